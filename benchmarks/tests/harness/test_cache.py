"""Getting a store out of the page cache, on real files."""

import mmap
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.harness import cache
from benchmarks.harness.cache import (
    CAN_EVICT,
    MOST_RESIDENT,
    evict,
    evict_or_wait,
    files_below,
    place_anew,
    resident_fraction,
    warm,
)
from benchmarks.results.machine import file_system

EVICTING = ("ext2", "ext3", "ext4", "xfs")
"""File systems known to drop what they are asked to drop; others may keep it, as a tmpfs must."""

PAGES = 64 * 4096
SHM = Path("/dev/shm")

pytestmark = pytest.mark.skipif(not CAN_EVICT, reason="this system cannot evict files")


def write(folder: Path) -> None:
    """Some files in and below `folder`, one of them empty and one not of whole pages."""
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / "a").write_bytes(os.urandom(PAGES))
    (folder / "empty").write_bytes(b"")
    (folder / "below" / "deeper" / "b").write_bytes(os.urandom(PAGES + 1))


def test_every_file_below_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in files_below(tmp_path))
    assert names == ["a", "below/deeper/b", "empty"]


def test_what_was_just_written_and_read_is_in_memory(tmp_path: Path) -> None:
    write(tmp_path)
    for path in files_below(tmp_path):
        path.read_bytes()
    assert resident_fraction(tmp_path) == 1.0


def skip_unless_it_evicts(folder: Path) -> None:
    kind = file_system(folder)
    if kind not in EVICTING:
        pytest.skip(f"whether {kind} drops what it is asked to is not known")


def test_what_was_evicted_is_not_and_is_unharmed(tmp_path: Path) -> None:
    skip_unless_it_evicts(tmp_path)
    write(tmp_path)
    os.sync()
    written = {path: path.read_bytes() for path in files_below(tmp_path)}
    evict(tmp_path)
    assert resident_fraction(tmp_path) <= MOST_RESIDENT
    assert resident_fraction(tmp_path) <= MOST_RESIDENT, "looking must not read"
    warm(tmp_path)
    assert resident_fraction(tmp_path) == 1.0
    assert evict_or_wait(tmp_path) <= MOST_RESIDENT
    assert {path: path.read_bytes() for path in files_below(tmp_path)} == written
    assert resident_fraction(tmp_path) == 1.0


def test_what_this_process_has_mapped_is_evicted_and_comes_back(tmp_path: Path) -> None:
    skip_unless_it_evicts(tmp_path)
    write(tmp_path)
    os.sync()
    written = (tmp_path / "a").read_bytes()
    with (
        (tmp_path / "a").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert mapped[:] == written  # all its pages are in use now
        evict(tmp_path)
        assert resident_fraction(tmp_path) <= MOST_RESIDENT
        assert mapped[:] == written


def test_a_private_page_that_was_written_to_is_not_lost(tmp_path: Path) -> None:
    write(tmp_path)
    os.sync()
    with (
        (tmp_path / "a").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped,
    ):
        mapped[:5] = b"mine!"
        evict(tmp_path)
        assert mapped[:5] == b"mine!"


def test_what_is_placed_anew_was_evicted_and_is_all_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = file_system(tmp_path)
    if kind not in EVICTING:
        pytest.skip(f"whether {kind} drops what it is asked to is not known")
    write(tmp_path)
    os.sync()
    between: list[float] = []

    def warm_and_note(path: Path) -> None:
        between.append(resident_fraction(path))
        warm(path)

    monkeypatch.setattr(cache, "warm", warm_and_note)
    place_anew(tmp_path)
    assert between[0] <= MOST_RESIDENT
    assert resident_fraction(tmp_path) == 1.0


@pytest.mark.skipif(file_system(SHM) != "tmpfs", reason="no tmpfs in the usual place")
def test_a_tmpfs_keeps_everything_and_this_is_seen() -> None:
    with TemporaryDirectory(dir=SHM) as name:
        write(Path(name))
        assert evict_or_wait(Path(name)) == 1.0


def test_nothing_is_not_in_memory(tmp_path: Path) -> None:
    assert resident_fraction(tmp_path) == 0.0
    (tmp_path / "empty").write_bytes(b"")
    evict(tmp_path)
    assert resident_fraction(tmp_path) == 0.0
