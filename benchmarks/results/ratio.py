"""The ratio of two figures that were measured in sweeps, and how sure it is.

Within a sweep, most rows of a group take turns. A round is compared with the other row's round of
about the same time, so the machine's speed cancels in their ratio; that of rows that take no turns
is compared with the other's in the same order. Sweeps lie many seconds apart, so the spread between
their ratios holds what the spread of neighbouring rounds does not. Resampling few ratios would give
intervals that are too narrow; Student's t of their logarithms is right for any number from two on, if they are about normal. On a
machine that does other things too, some sweeps are disturbed, and one of those can hide any
difference. So where there are enough sweeps, the extreme fifth at either end is trimmed, and t is
computed as by J. W. Tukey and D. H. McLaughlin, "Less vulnerable confidence and significance
procedures for location", 1963, and for two runs as by K. K. Yuen, "The two-sample trimmed t for
unequal population variances", 1974.

What is the same in all sweeps of a run, they cannot show: equal runs differ by more than their sweeps
do. So the error that the sweeps show is widened by what many equal runs have shown to be missing
(benchmarks/evaluation, counted in benchmarks/report/README.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Student's t is imported where it is needed, since that takes as long as importing NumPy. It is that
# of `scipy.special`; that of `scipy.stats` takes a hundred times as long.

CONFIDENCE = 0.95
TRIMMED = 0.2
"""The share of the sweeps that is left out at either end."""
FEWEST_TRIMMED = 10
"""Of fewer sweeps, all count: too few degrees of freedom would be left."""

WIDENED = 1.1
"""How much larger the error is than the sweeps show."""

Sweep: TypeAlias = tuple[int, int]
"""A sweep of one run, or of several that are pooled: the run's place and the sweep's, from 0."""
SweepRounds: TypeAlias = Mapping[Sweep, Sequence[float]]
"""The rounds of each sweep, in the order in which they were measured."""


class Interval(NamedTuple):
    """An interval at `CONFIDENCE`."""

    low: float
    high: float


@dataclass(frozen=True)
class Ratio:
    """A ratio of two figures.

    value: the median over the sweeps of the ratio within each
    mean, error: of the logarithm of the ratio, its trimmed mean and the standard error of that
    freedom: the degrees of freedom of the error; 0 if nothing is known of it
    sweeps: how many there are
    """

    value: float
    mean: float
    error: float
    freedom: float
    sweeps: int

    @classmethod
    def within(cls, over: SweepRounds, under: SweepRounds) -> Self | None:
        """The ratio of two rows of one run, or of the same runs; None without a common sweep."""
        common = [sweep for sweep in over if sweep in under]
        if not common:
            return None
        logs = np.array([_log_ratio(over[sweep], under[sweep]) for sweep in common])
        value = math.exp(float(np.median(logs)))
        return cls(value, *_trimmed(logs), len(logs))

    @classmethod
    def between(cls, over: SweepRounds, under: SweepRounds) -> Self:
        """The ratio of one row in two runs, whose sweeps are not those of each other (Welch)."""
        upper, lower = (np.log([*map(np.median, of.values())]) for of in (over, under))
        value = math.exp(float(np.median(upper) - np.median(lower)))
        means, errors, freedoms = zip(*map(_trimmed, (upper, lower)), strict=True)
        mean, sweeps = means[0] - means[1], min(len(upper), len(lower))
        if sweeps < 2:
            return cls(value, mean, 0.0, 0, sweeps)
        parts = [error**2 for error in errors]
        below = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
        freedom = sum(parts) ** 2 / below if below else sum(freedoms)
        return cls(value, mean, math.sqrt(sum(parts)), freedom, sweeps)

    @classmethod
    def exact(cls, value: float) -> Self:
        """A ratio that is counted, not measured."""
        return cls(value, math.log(value), 0.0, math.inf, 0)

    @property
    def interval(self) -> Interval | None:
        """The interval at `CONFIDENCE`, which holds the value; None if there is one sweep only."""
        if not self.freedom:
            return None
        from scipy.special import stdtrit

        half = self.error and self.error * float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2))
        ends = math.exp(self.mean - half), math.exp(self.mean + half)
        # The median may lie outside, if there are many sweeps and some are far off.
        return Interval(min(ends[0], self.value), max(ends[1], self.value))

    def p_above(self, bound: float) -> float:
        """The p of the one-sided test that the ratio is above `bound`."""
        return self._p(self.mean - math.log(bound))

    def p_below(self, bound: float) -> float:
        """The p of the one-sided test that the ratio is below `bound`."""
        return self._p(math.log(bound) - self.mean)

    def _p(self, distance: float) -> float:
        if not self.freedom:
            return 1.0
        if not self.error:
            return float(distance <= 0)
        from scipy.special import stdtr

        return float(stdtr(self.freedom, -distance / self.error))

    def inverse(self) -> Self:
        """The ratio of the second to the first."""
        return replace(self, value=1 / self.value, mean=-self.mean)

    def after(self, sweeps: int) -> Self:
        """What so many sweeps would show if they spread as these do."""
        error = self.error * math.sqrt(self.sweeps / sweeps)
        freedom = sweeps - 2 * _left_out(sweeps) - 1
        return replace(self, error=error, freedom=freedom, sweeps=sweeps)


def _log_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The logarithm of the ratio of two rows in one sweep.

    The sweep has as many stretches as the row with fewer rounds has rounds. Of the logarithms of
    their ratios, the mean of the middle half counts. A few disturbed ones do not change it much, and
    it spread less from sweep to sweep than their median.
    """
    stretches = min(len(over), len(under))
    if stretches == max(len(over), len(under)) == 1:  # the usual case of long rounds, and faster
        return math.log(over[0] / under[0])
    ratios = _of_stretches(over, stretches) / _of_stretches(under, stretches)
    logs = np.sort(np.log(ratios))
    out = stretches // 4
    return float(np.mean(logs[out : stretches - out]))


def _of_stretches(rounds: Sequence[float], stretches: int) -> NDArray[np.float64]:
    """The median of the rounds in each stretch; rounds are spread evenly over the sweep."""
    if len(rounds) == stretches:
        return np.array(rounds)
    ends = np.ceil(np.arange(1, stretches) * len(rounds) / stretches - 0.5).astype(int)
    return np.array([np.median(part) for part in np.split(rounds, ends)])


def _left_out(sweeps: int) -> int:
    """How many of the sweeps are trimmed at either end."""
    return int(TRIMMED * sweeps) if sweeps >= FEWEST_TRIMMED else 0


def _trimmed(logs: NDArray[np.float64]) -> tuple[float, float, float]:
    """The trimmed mean, its widened standard error (0 if there is one only), its degrees of freedom."""
    count, out = len(logs), _left_out(len(logs))
    kept = np.sort(logs)[out : count - out]
    freedom = len(kept) - 1
    if not freedom:
        return float(kept[0]), 0.0, 0.0
    spread = np.var(np.clip(logs, kept[0], kept[-1]), ddof=1)  # winsorized
    error = math.sqrt((count - 1) * float(spread) / (len(kept) * freedom))
    return float(np.mean(kept)), WIDENED * error, float(freedom)
