"""Injecting a slow-down of known size, to test whether the gate finds it."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from xxhash import xxh3_64_intdigest

from benchmarks.harness.protocol import Result, Work
from benchmarks.harness.suite import Case, Measure

PIECE = bytes(4096)
"""Hashed repeatedly: a fifth of a microsecond each time, short compared with any operation."""


class Slowdown:
    """Makes some benchmarks slower by a fraction of their own time.

    This pytest plugin adds work to each round in proportion to the round's own time. So all figures
    grow by the same factor, and the processor is as busy as in a real slow-down.

    fraction: 0.15 makes them 15 % slower
    into: a part of the names of these benchmarks
    """

    def __init__(self, fraction: float, into: str) -> None:
        self._fraction = fraction
        self._into = into

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Add the extra work to the benchmark just before it is called."""
        given: dict[str, Any] = pyfuncitem.funcargs  # pytest does not type fixtures
        if self._into in pyfuncitem.name and "measure" in given:
            given["measure"] = partial(_measure_slowed, given["measure"], self._fraction)


def _measure_slowed(measure: Measure, fraction: float, case: Case, work: Work[Result]) -> None:
    measure(case, replace(work, run=partial(slowed, work.run, fraction)))


def slowed(
    run: Callable[[], Result], fraction: float, clock: Callable[[], float] = time.perf_counter
) -> Result:
    """Call `run`, then compute for `fraction` of the time it took."""
    start = clock()
    result = run()
    stop = clock()
    stop += (stop - start) * fraction
    while clock() < stop:
        xxh3_64_intdigest(PIECE)
    return result
