"""The memory table: what it counts, and that every store is in it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tests.runs import REPOSITORY, environment
from benchmarks.tools import memory
from benchmarks.tools.memory import peak_beyond, table
from storage import STORES

MEGABYTE = 10**6
NOISE = 8 * MEGABYTE
"""What a process may take for itself without being asked."""


class Hoarder:
    """Takes memory for its input, for a while, and for its result."""

    def __init__(self, before: int, meanwhile: int, result: int) -> None:
        self._before, self._meanwhile, self._result = before, meanwhile, result

    def __call__(self) -> Callable[[], int]:
        held = np.ones(self._before, np.uint8)

        def run() -> int:
            result = np.ones(self._result, np.uint8)
            for _ in range(50):  # long enough to be seen
                meanwhile = np.ones(self._meanwhile, np.uint8)
                del meanwhile
            return result.nbytes + 0 * held.nbytes

        return run


class Failing:
    def __call__(self) -> Callable[[], int]:
        raise MemoryError


@pytest.mark.parametrize("meanwhile", [0, 40 * MEGABYTE])
def test_input_and_result_are_not_counted(meanwhile: int) -> None:
    job = Hoarder(before=60 * MEGABYTE, meanwhile=meanwhile, result=50 * MEGABYTE)
    assert meanwhile - NOISE <= peak_beyond(job) <= meanwhile + NOISE


def test_a_process_that_fails_is_not_measured() -> None:
    with pytest.raises(EOFError):
        peak_beyond(Failing())


def test_each_store_has_a_row_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = {name: STORES[name] for name in ("png", "npy")}  # the others would take as long again
    monkeypatch.setattr(memory, "STORES", stores)
    title, head, *rows = table(300, tmp_path)
    assert "300 images, 1 MB of pixels" in title
    assert head.split() == ["store_many", "of", "an", "iterator", "read_many"]
    assert [row.split()[0] for row in rows] == [*stores]
    assert all(float(cell) >= 0 for row in rows for cell in row.split()[1:])


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--cutoff=0", "--cutoff: 0; give at least one image"),
        ("--store-dir=no", "--store-dir: "),
        ("--store-dir=", "--store-dir: '' names no directory"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, argument: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tools.memory", argument],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
