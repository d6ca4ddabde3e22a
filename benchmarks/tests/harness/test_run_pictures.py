"""Runs of the suite on a folder of pictures, as a user makes them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.contenders.rows import DEFAULT_PICTURE_ROWS
from benchmarks.report.__main__ import main as report
from benchmarks.tests.report.drawing import draw_only
from benchmarks.tests.runs import REPOSITORY, run, saved_run, too_wide

OWN_IMAGES = REPOSITORY.parent / "shared" / "own-images"
N = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of several sizes in two classes, with names to be recognised by."""
    chance = np.random.default_rng(0)
    for i in range(N):
        label = tmp_path / "holiday" / ("secretcat" if i % 2 else "secretdog")
        label.mkdir(parents=True, exist_ok=True)
        noise = chance.integers(0, 256, (8 + i, 9, 3), np.uint8)
        Image.fromarray(noise).save(label / f"secret{i}.jpg")
    return tmp_path / "holiday"


def test_every_row_goes_through_every_benchmark_and_files_are_read_twice(folder: Path) -> None:
    done = run(f"--dataset={folder}", "--benchmark-disable", "-v", tests="benchmarks/operations")
    assert done.returncode == 0, done.stdout
    for row in DEFAULT_PICTURE_ROWS:
        assert f"::test_store_many[{row}-n=10] PASSED" in done.stdout
        assert f"::test_read_many[{row}-n=10] PASSED" in done.stdout
    for row in ("files", "files-encoded", "lmdb-encoded", "hdf5-encoded", "limit-encoded"):
        for name in ("read_single[{}-n=10", "read_batch[{}-n=10", "iterate[{}-n=10-slice"):
            assert f"::test_{name.format(row)}] PASSED" in done.stdout
            assert f"::test_{name.format(f'{row}-bytes')}] PASSED" in done.stdout
    assert "article" not in done.stdout


def test_a_timed_run_says_what_is_decoding_and_saves_no_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch)
    saved = tmp_path / "run.json"
    done = run(
        f"--dataset={folder}",
        "--cutoff=12",
        "--backend=files,lmdb-encoded,lmdb,limit-encoded",
        "--sweeps=1",
        f"--benchmark-json={saved}",
        *("-k", "read_many or (parallel and 2)"),
    )
    assert done.returncode == 0, done.stdout
    shown = done.stdout.split(" image storage benchmark ")[1]
    assert "decoding: its share of reading images, at the largest n" in shown
    assert "read_many: open, read n images, close; µs per image (× its limit)" in shown
    assert "\nlmdb-encoded bytes" in shown
    assert "\nlmdb-encoded 2 processes bytes" in shown
    assert too_wide(shown) == []
    text = saved.read_text()
    assert not any(name in text for name in ("holiday", "secret", str(tmp_path)))
    found = [bench["extra_info"] for bench in saved_run(saved)["benchmarks"]]
    decoders = {
        (info["operation"], info["variant"], info["backend"]): info.get("decoder") for info in found
    }
    assert str(decoders["read_many", "", "files"]).startswith("Pillow")
    assert decoders["read_many", "bytes", "files"] is None
    assert report([str(saved), "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<h2>Storage and decoding</h2>" in page
    assert "lmdb-encoded bytes" in page
    assert "Missing in this run" not in page


def test_what_is_listed_of_a_folder_is_what_is_measured_of_it(folder: Path) -> None:
    options = (f"--dataset={folder}", "--sweeps=1", "-k", "read_many and (png or files)")
    listed = run(*options, "--collect-only", "-q", "--cache=warm", "--cutoff=3,12")
    assert listed.returncode == 0, listed.stdout
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    assert [name.split("::")[1] for name in names] == [
        f"test_read_many[{row}-n={n}]"
        for row in ("files", "files-bytes", "files-encoded", "files-encoded-bytes", "png")
        for n in (3, 12)
    ]


FULL = """
from benchmarks.harness import suite

suite.lacking = lambda folder, needed: "/home/secret is full" if needed.bytes > {most} else ""
"""
"""A plugin under which the disk has room for few bytes."""


def test_rows_without_room_are_skipped_and_the_saved_run_says_why(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.py").write_text(FULL.format(most=700_000))
    saved = tmp_path / "run.json"
    done = run(
        *("-p", "full", f"--dataset={folder}", "--cutoff=12", "--backend=lmdb-encoded,lmdb"),
        *("--sweeps=2", f"--benchmark-json={saved}", "-k", "read_many or store_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " 3 passed, 2 skipped" in done.stdout
    reason = "too little free space for rows that hold pixels"
    shown = " ".join(done.stdout.split())
    assert f"not measured: {reason}: read_many lmdb n=12, store_many lmdb n=12" in shown
    assert "left out: lmdb, which hold pixels: /home/secret is full" in done.stdout
    skipped = saved_run(saved)["skipped"]
    assert [(one["operation"], one["backend"], one["reason"]) for one in skipped] == [
        ("store_many", "lmdb", reason),
        ("read_many", "lmdb", reason),
    ]
    assert "secret" not in saved.read_text()


@pytest.mark.skipif(not OWN_IMAGES.is_dir(), reason="no ../shared/own-images beside the repository")
def test_a_real_folder_is_read_the_same_by_every_row() -> None:
    done = run(
        f"--dataset={OWN_IMAGES}",
        *("--benchmark-disable", "--cutoff=20", "-k", "read_many"),
        tests="benchmarks/operations",
    )
    assert done.returncode == 0, done.stdout
    assert f" {len(DEFAULT_PICTURE_ROWS) + 5} passed" in f" {done.stdout}"
