"""Where large arrays take their memory."""

import subprocess
import sys

import pytest

from benchmarks.tests.runs import REPOSITORY

FAULTS = """
import resource
import numpy as np
from benchmarks.harness.memory import fix_bounds

fix_bounds()

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(size, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for size in (800_000, 3_000_000):
    print(min(faults(size) for _ in range(10)))
"""
"""Prints how many pages the system gave for an array of a batch, and for one of a thousand images."""


def numbers(program: str) -> tuple[int, int]:
    """The two numbers that a program prints."""
    done = subprocess.run(  # our own command
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    one, other = map(int, done.stdout.split())
    return one, other


PLACES = """
import numpy as np
from benchmarks.harness.memory import HUGE_PAGE, Places, fix_bounds

fix_bounds()
places, large, small = Places(), set(), set()
for _ in range(20):
    places.move()
    array, batch = np.empty(30_720_000, np.uint8), np.empty(800_000, np.uint8)
    large.add(array.ctypes.data % HUGE_PAGE)
    small.add(batch.ctypes.data)
    del array, batch
print(len(large), len(small))
"""
"""Prints at how many places an array of ten thousand images, and one of a batch, has been."""


def test_arrays_lie_elsewhere_after_each_move() -> None:
    large, small = numbers(PLACES)
    assert large > 10
    assert small > 5


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is known to reuse large arrays")
def test_large_arrays_always_come_from_the_system_and_batches_are_given_back() -> None:
    batch, thousand = numbers(FAULTS)
    assert batch < 20
    assert thousand > 700  # of 4 KiB
