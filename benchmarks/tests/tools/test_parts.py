"""The table of parts: every operation of every store asked for, with few parts and with many."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tests.runs import REPOSITORY, environment

OPERATIONS = ["open", "labels", "first batches", "batches of an epoch", "last batches"]


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.tools.parts", *options],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_operation_has_a_row_and_memory_is_told(tmp_path: Path) -> None:
    sizes = ["--cutoff=1200", "--parts=120", "--few=60", "--side=2"]
    done = run(*sizes, f"--store-dir={tmp_path}", "--backend", "npy", "lmdb")
    assert done.returncode == 0, done.stderr
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[-5:] == ["60", "parts", "120", "parts", "×"]
    names = [re.split(r"\s{2,}|: ", row)[0] for row in rows]
    told = [*OPERATIONS, "index", "index of two processes"]
    assert names == [f"{store} {name}" for store in ("npy", "lmdb") for name in told]
    for row in rows:
        if "index" not in row:
            few, many, ratio = map(float, row.split()[-3:])
            assert abs(many / few - ratio) < 0.1 * ratio + 0.1
    # Of a hundred open parts, each has two files: its index and its cells.
    assert all(int(row.split()[-3]) < 300 for row in rows if "open files" in row)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("option", ["--parts", "--few"])
@pytest.mark.parametrize("parts", ["0", "1201"])
def test_a_part_has_an_image(option: str, parts: str) -> None:
    done = run("--cutoff=1200", "--parts=100", f"{option}={parts}")
    assert done.returncode == 2
    assert f"{option}: {parts}; give" in done.stderr
