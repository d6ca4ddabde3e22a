"""The table of rates: every arm has a row, and what follows is computed from what is printed."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.tests.runs import REPOSITORY, environment
from benchmarks.tools.convert_rates import IMAGENET, plant


def test_every_arm_has_a_row(tmp_path: Path) -> None:
    options = ["--cutoff=40", "--turns=1", f"--store-dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tools.convert_rates", *options],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    lines = done.stdout.splitlines()
    engines = ["one core", "one", "pool", *(["dask"] if find_spec("distributed") else [])]
    for name in ("cp -r, sync", *(f"{kind}, {e}" for kind in ("bytes", "pixels") for e in engines)):
        (row,) = (line for line in lines if line.startswith(f"{name}  "))
        rate = float(row[18:28].replace(",", ""))
        assert rate > 0
    assert any(
        re.fullmatch(r"opening a store of 40 parts: .* ms, median of 20", line) for line in lines
    )
    assert "files in it: 123, 3.00 in each part and 3" in lines
    (tasks,) = (line for line in lines if line.startswith("tasks, and parts: "))
    assert int(tasks.split()[3].replace(",", "")) == -(-IMAGENET * 110_000 // 2**30)
    assert [*tmp_path.iterdir()] == []


def test_the_pictures_are_all_different(tmp_path: Path) -> None:
    total = plant(tmp_path, 130, (32, 32))
    files = [path.read_bytes() for path in tmp_path.rglob("*.jpg")]
    assert len({*files}) == 130
    assert sum(map(len, files)) == total
