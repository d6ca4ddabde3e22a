"""What space a run asks for before anything is measured."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.contenders.rows import ROWS
from benchmarks.harness.options import CUTOFFS
from benchmarks.harness.space import check_space

CIFAR_BYTES = 3072


def test_a_real_small_disk_takes_few_images_and_is_refused_for_many(tmpfs: Path) -> None:
    check_space(tmpfs, ("limit",), (10,), CIFAR_BYTES, BRIEF)
    with pytest.raises(pytest.UsageError, match="has 1 MB free"):
        check_space(tmpfs, ("limit",), (1_000,), CIFAR_BYTES, BRIEF)


BRIEF = 1e-9
"""A round budget with no time for more than the fewest rounds."""


def pretend(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, inodes: int = 0, free_inodes: int = 0
) -> None:
    status = SimpleNamespace(
        f_bavail=free_bytes // 4096, f_frsize=4096, f_files=inodes, f_favail=free_inodes
    )
    monkeypatch.setattr(os, "statvfs", lambda _: status)


def test_a_full_disk_is_refused_with_what_is_free_and_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, free_bytes=409_600_000)
    with pytest.raises(
        pytest.UsageError, match=r"^--store-dir: .* has 410 MB free, .* take up to [\d,]+ MB"
    ) as caught:
        check_space(tmp_path, tuple(ROWS), CUTOFFS, CIFAR_BYTES, BRIEF)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


# A row has a store that is kept and one that is being written, a store also one that is added to and
# two of small commits; the rows of PNG files also have those of three rounds and a warm-up, which are
# removed at the end, and where small commits are made, the same with three clusters for each. A peer's
# stores may be twice as large.
@pytest.mark.parametrize(
    ("row", "stores"),
    [
        ("limit", 2),
        ("hdf5", 3 + 2),
        ("png", 3 + 2 + 4 + 12),
        ("article-png", 2 + 4),
        ("peer-tar", 2 * 2),
    ],
)
def test_the_space_asked_for_holds_all_stores_of_a_row_in_whole_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, stores: int
) -> None:
    least = stores * 1_000 * 4096
    pretend(monkeypatch, free_bytes=least)
    with pytest.raises(pytest.UsageError):
        check_space(tmp_path, (row,), (1_000,), CIFAR_BYTES, BRIEF)
    pretend(monkeypatch, free_bytes=least * 5 // 4)
    check_space(tmp_path, (row,), (1_000,), CIFAR_BYTES, BRIEF)


def test_the_space_asked_for_holds_what_each_cutoff_of_png_files_sets_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = (2 + 4 * 3) * 1_000
    least = ((2 + 4) * (500 + 1_000) + 1_000 + commits) * 4096
    pretend(monkeypatch, free_bytes=least)
    with pytest.raises(pytest.UsageError):
        check_space(tmp_path, ("png",), (500, 1_000), CIFAR_BYTES, BRIEF)
    pretend(monkeypatch, free_bytes=least * 5 // 4)
    check_space(tmp_path, ("png",), (500, 1_000), CIFAR_BYTES, BRIEF)


def test_a_disk_with_too_few_inodes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, free_bytes=10**12, inodes=1_000_000, free_inodes=1_000)
    with pytest.raises(pytest.UsageError, match="room for 1,000 more files") as caught:
        check_space(tmp_path, tuple(ROWS), (1_000,), CIFAR_BYTES, BRIEF)
    assert "\n" not in str(caught.value)


def test_the_inodes_asked_for_hold_all_stores_of_the_rows_with_a_file_for_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = 3 * (1 + 4) * (500 + 1_000) + 4 * 3 * 1_000
    pretend(monkeypatch, free_bytes=10**12, inodes=1_000_000, free_inodes=least - 1)
    with pytest.raises(pytest.UsageError, match="PNG stores of this run take up to 34,500"):
        check_space(tmp_path, tuple(ROWS), (500, 1_000), CIFAR_BYTES, BRIEF)
    pretend(monkeypatch, free_bytes=10**12, inodes=1_000_000, free_inodes=least * 5 // 4)
    check_space(tmp_path, tuple(ROWS), (500, 1_000), CIFAR_BYTES, BRIEF)


def test_a_large_round_budget_needs_space_for_more_rounds_of_png_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, free_bytes=2 * 10**9, inodes=1_000_000, free_inodes=1_000_000)
    check_space(tmp_path, ("png",), (1_000,), CIFAR_BYTES, 1)
    check_space(tmp_path, ("lmdb",), (1_000,), CIFAR_BYTES, 100)
    with pytest.raises(pytest.UsageError, match="MB"):
        check_space(tmp_path, ("png",), (1_000,), CIFAR_BYTES, 100)


def test_a_file_system_that_does_not_count_inodes_has_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, free_bytes=10**12, inodes=0, free_inodes=0)
    check_space(tmp_path, tuple(ROWS), CUTOFFS, CIFAR_BYTES, BRIEF)
