"""Confidence intervals of medians, from the rounds behind them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

CONFIDENCE = 0.95
RESAMPLES = 2_000
SEED = 0
"""Fixed, so that the same run gives the same page."""

Durations = NDArray[np.float64]


class Interval(NamedTuple):
    """A bootstrap percentile interval at `CONFIDENCE`."""

    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        return self.low <= other.high and other.low <= self.high


def median_interval(rounds: Durations | None) -> Interval | None:
    """The interval of the median of rounds, (rounds,) float64; None for fewer than two."""
    return _interval((rounds,), np.median)


def ratio_interval(over: Durations | None, under: Durations | None) -> Interval | None:
    """The interval of the ratio of two medians; None if either has fewer than two rounds."""
    return _interval((over, under), _ratio_of_medians)


def _ratio_of_medians(over: Durations, under: Durations, axis: int) -> Durations:
    ratio: Durations = np.median(over, axis=axis) / np.median(under, axis=axis)
    return ratio


def _interval(samples: tuple[Durations | None, ...], statistic: object) -> Interval | None:
    if any(sample is None or len(sample) < 2 for sample in samples):
        return None
    found = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",  # other methods need more rounds than the three that some rows have
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
