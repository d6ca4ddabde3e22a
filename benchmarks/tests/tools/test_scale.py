"""The table of scale: every operation of every store asked for, at both sizes."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.tests.runs import REPOSITORY, environment

OPERATIONS = ("store_many", "epoch", "open", "read_batch")


def test_every_operation_has_a_row(tmp_path: Path) -> None:
    options = ["--cutoff=30", f"--store-dir={tmp_path}", "--backend", "npy", "lmdb"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tools.scale", *options],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[-3:] == ["n=30", "n=300", "×"]
    names = [re.split(r"\s{2,}", row)[0] for row in rows]
    assert names == [f"{store} {name}" for store in ("npy", "lmdb") for name in OPERATIONS]
    for row in rows:
        small, large, ratio = map(float, row.split()[-3:])
        assert abs(large / small - ratio) < 0.02 * ratio + 0.01
    assert [*tmp_path.iterdir()] == []
