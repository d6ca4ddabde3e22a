"""What has changed from one run to another, and what of that is more than noise."""

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
"""Fewer reference rows than this say nothing of the noise between two runs."""
CALM_SHARE = 0.95
"""The share of the reference rows that moved least, by which the noise is told; the rest stalled."""


@dataclass(frozen=True)
class Change:
    """Of one row.

    ratio: its median over what it was: less than 1 is faster
    interval: of the ratio, or None where a run does not hold its rounds
    beyond: whether the whole interval lies outside the noise; never so for reference rows, which
        tell what noise is
    """

    ratio: float
    interval: Interval | None
    beyond: bool


@dataclass(frozen=True)
class Changes:
    """Of every row that both runs have.

    noise: the factor by which rows move without a reason, or None if it cannot be told
    appeared, gone: rows that only the later, only the earlier run has
    """

    before: SavedRun
    rows: Mapping[Key, Change]
    noise: float | None
    appeared: tuple[Key, ...]
    gone: tuple[Key, ...]

    @classmethod
    def between(cls, before: SavedRun, now: SavedRun) -> Self:
        """Raises ResultsError if the two are not of the same machine, disk and data."""
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
        """Whether the two have the same rows with the same times, as a run and itself have."""
        moved = any(change.ratio != 1 for change in self.rows.values())
        return not (moved or self.appeared or self.gone)


def _ratio(before: Row, now: Row) -> float:
    return now.figure.microseconds / before.figure.microseconds


def _noise(references: list[float]) -> float | None:
    """How far rows move whose code stays as it is: the limit's and the tutorial's.

    Rounds that follow each other within a second are more alike than two runs are, so the interval
    over rounds alone would call nearly every row changed.
    """
    if len(references) < MIN_REFERENCES:
        return None
    moved = [abs(math.log(ratio)) for ratio in references]
    return math.exp(float(np.quantile(moved, CALM_SHARE)))


def _change(before: Row, now: Row, noise: float) -> Change:
    interval = ratio_interval(now.rounds, before.rounds)
    beyond = interval is not None and (interval.high < 1 / noise or interval.low > noise)
    return Change(_ratio(before, now), interval, beyond)
