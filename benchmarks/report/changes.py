"""The changes from one run to another, and which of them are more than noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.results import machine
from benchmarks.results.errors import ResultsError
from benchmarks.results.interval import Interval, ratio_interval
from benchmarks.results.runs import Key, Row, SavedRun

MIN_REFERENCES = 10
"""The noise between two runs can be estimated from at least this many reference rows."""
CALM_SHARE = 0.95
"""The share of the reference rows that estimates the noise: those that moved least."""


@dataclass(frozen=True)
class Change:
    """The change of one row.

    ratio: its median divided by the earlier one: less than 1 is faster
    interval: the interval of the ratio, or None if a run does not hold its rounds
    beyond: whether the whole interval lies outside the noise; never true for reference rows, which
        define the noise
    """

    ratio: float
    interval: Interval | None
    beyond: bool


@dataclass(frozen=True)
class Changes:
    """The changes of all rows that both runs have.

    noise: the factor by which rows move without a cause, or None if it cannot be estimated
    appeared, gone: the rows that only the later run has, and only the earlier
    """

    before: SavedRun
    rows: Mapping[Key, Change]
    noise: float | None
    appeared: tuple[Key, ...]
    gone: tuple[Key, ...]

    @classmethod
    def between(cls, before: SavedRun, now: SavedRun) -> Self:
        """Compare two runs; raises ResultsError unless machine, disk and data are the same."""
        differing = machine.differences(now.machine, before.machine)
        if differing:
            raise ResultsError(
                f"run {before.name} does not compare with {now.name}: it differs in"
                f" {', '.join(differing)}"
            )
        both = [key for key in now.rows if key in before.rows]
        noise = _noise(
            [_ratio(before.rows[key], now.rows[key]) for key in both if key[2] not in STORE_ROWS]
        )
        return cls(
            before=before,
            rows={
                key: _change(
                    before.rows[key],
                    now.rows[key],
                    (noise or 1.0) if key[2] in STORE_ROWS else math.inf,
                )
                for key in both
            },
            noise=noise,
            appeared=tuple(key for key in now.rows if key not in before.rows),
            gone=tuple(key for key in before.rows if key not in now.rows),
        )

    @property
    def none(self) -> bool:
        """Whether both runs have the same rows with the same times, as a run has with itself."""
        moved = any(change.ratio != 1 for change in self.rows.values())
        return not (moved or self.appeared or self.gone)


def _ratio(before: Row, now: Row) -> float:
    return now.figure.microseconds / before.figure.microseconds


def _noise(references: list[float]) -> float | None:
    """How far rows move although their code stays the same: those of the limit and the tutorial.

    Rounds within the same second are more alike than two runs, so judged by the interval over
    rounds alone, nearly every row would have changed.
    """
    if len(references) < MIN_REFERENCES:
        return None
    moved = [abs(math.log(ratio)) for ratio in references]
    return math.exp(float(np.quantile(moved, CALM_SHARE)))


def _change(before: Row, now: Row, noise: float) -> Change:
    interval = ratio_interval(now.rounds, before.rounds)
    beyond = interval is not None and (interval.high < 1 / noise or interval.low > noise)
    return Change(_ratio(before, now), interval, beyond)
