"""A slow-down of known size, to see whether the gate finds it."""

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
"""Hashed again and again: a fifth of a microsecond each time, short beside any operation."""


class Slowdown:
    """Makes some benchmarks slower by a fraction of their own time.

    A pytest plugin. Work is added, in each round, in proportion to what that round took: so every
    figure of it, and its median, is multiplied alike, and the processor is as busy as it would be.

    fraction: 0.15 makes them 15 % slower
    into: part of the names of those benchmarks
    """

    def __init__(self, fraction: float, into: str) -> None:
        self._fraction = fraction
        self._into = into

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Put the extra work into the benchmark's own, just before it is called."""
        given: dict[str, Any] = pyfuncitem.funcargs  # pytest knows no more of fixtures' types
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
