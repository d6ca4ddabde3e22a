"""The tool that compares stores of files with what is beside them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tests.runs import REPOSITORY
from benchmarks.tools.own_images import paint, ratios

COMMAND = (sys.executable, "-m", "benchmarks.tools.own_images")


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    took = {"fast": iter([9.0, 1.0, 2.0, 4.0]), "slow": iter([9.0, 2.0, 5.0, 8.0])}
    ways = {name: seconds.__next__ for name, seconds in took.items()}
    assert ratios(3, ways, "fast") == {"fast": 1.0, "slow": 2.0}


def test_painted_pictures_have_several_sizes(tmp_path: Path) -> None:
    paint(3, tmp_path / "painted")
    files = sorted((tmp_path / "painted").iterdir())
    assert [file.name for file in files] == ["000000.jpg", "000001.jpg", "000002.jpg"]
    assert len({file.stat().st_size for file in files}) == 3


def test_each_comparison_is_printed_for_a_folder(tmp_path: Path) -> None:
    paint(3, tmp_path / "painted")
    (tmp_path / "work").mkdir()
    done = subprocess.run(  # our own command
        [
            *COMMAND,
            tmp_path / "painted",
            "--rounds=1",
            "--listed=100",
            f"--store-dir={tmp_path / 'work'}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    head, *table = done.stdout.strip().split("\n")
    assert head.startswith("3 pictures (sha256:")
    for row in (
        *("batch of 64, images, lmdb-encoded", "batch of 64, the bytes, hdf5-encoded"),
        *("bytes on disk, lmdb-encoded", "storing, hdf5-encoded", "cold pass, hdf5-encoded"),
        *("decoding 3 pictures, default decoder", "listing 100 files in 10 folders"),
    ):
        assert any(re.match(rf"\| {row} \| \**[\d.]+ × ", line) for line in table), row
    assert not any((tmp_path / "work").iterdir())


@pytest.mark.parametrize("arguments", [(), (".", "--paint=3"), (".", "--rounds=0")])
def test_a_folder_or_a_number_to_paint_is_asked_for(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(  # our own command
        [*COMMAND, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "give a folder, or --paint with a number" in done.stderr


def test_what_is_no_folder_of_pictures_is_refused_in_a_line(tmp_path: Path) -> None:
    done = subprocess.run(  # our own command
        [*COMMAND, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}: no images in it")
    assert "Traceback" not in done.stderr
