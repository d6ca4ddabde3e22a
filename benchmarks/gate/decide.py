"""The statistics: from the pairs of measurements of a benchmark to a finding.

A pair is two fresh processes, one of each side, that measure a benchmark in turns; chance decides
which begins. It gives one number: the logarithm of the head's median over the base's. If both sides
are the same code, its distribution is symmetric around zero, whatever else the machine does. The
signed-rank test needs no more than that.

The test is applied twice, to different pairs. A screen of all benchmarks clears those shown not to
be slower by `EFFECT`. Only the others are measured again; then a benchmark must be shown to be
slower by more than `MARGIN`, with a small chance of one error over all of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.results.standing import holm

LogRatios: TypeAlias = NDArray[np.float64]

MARGIN = 0.05
"""A slow-down must be shown to be larger than this fraction."""
EFFECT = 0.08
"""The measured slow-down must be at least this fraction."""
UNSEEN = 0.15
"""If a slow-down by this fraction is neither shown nor ruled out, the verdict is inconclusive."""
FAMILY_ERROR = 0.01
"""The chance that any benchmark is called slower although none is by more than the margin."""
SCREEN_ERROR = 0.05
"""The chance that the screen clears a benchmark slower by `EFFECT`; if slower by more, far less."""
POWER = 0.99
"""The wanted chance of finding a benchmark that is slower by `UNSEEN`."""
CONFIDENCE = 0.95
"""The confidence level of intervals."""

TO_SPARE = 12
"""Pairs beyond the fewest with which the test can reject at all.

If the machine was busy during one side's turns, a pair can have any ratio, also an extreme one.
With this many to spare, the test can reject although the two most extreme pairs contradict it.
"""
MOST_PAIRS = 40
"""The most pairs of one suspect; more would take too long."""
FEWEST_SCREENED = 5
"""With fewer pairs, the screen could clear nothing: the smallest p of n pairs is 0.5**n."""

# With Gaussian noise, the signed-rank test needs 1/0.955 times as many pairs as a t-test; with
# worse noise, it needs fewer than a t-test (Hodges and Lehmann, 1956).
RELATIVE_EFFICIENCY = 3 / math.pi
MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""The standard error of a median divided by that of a mean, if the noise is Gaussian."""


class Verdict(StrEnum):
    """The verdict on a benchmark, or on a whole run."""

    PASS = "pass"  # noqa: S105  # a word to print
    IMPROVED = "improved"  # of a benchmark only
    REGRESSED = "regressed"
    INVALID = "invalid"  # of a run only
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Finding:
    """The result for one benchmark.

    base, head: medians over its processes, in seconds
    ratio: the median over the pairs of head / base
    low, high: the interval of that ratio
    detectable: the smallest slow-down that would nearly always have been found, as a fraction
    confirmed: whether it was a suspect; then all figures are of the second measurement
    """

    name: str
    verdict: Verdict
    base: float
    head: float
    ratio: float
    low: float
    high: float
    detectable: float
    pairs: int
    confirmed: bool


def may_be_slower(ratios: LogRatios) -> bool:
    """Whether a benchmark is a suspect after the screen.

    It is, unless the test shows that it is not slower by `EFFECT`. So with much noise more
    benchmarks are measured again, and none passes without evidence.
    """
    return p_value(ratios, EFFECT, "less") > SCREEN_ERROR


def p_value(ratios: LogRatios, bound: float, alternative: str) -> float:
    """The p of the exact one-sided signed-rank test of the ratios against 1 + `bound`."""
    shifted = ratios - math.log1p(bound)
    return float(stats.wilcoxon(shifted, alternative=alternative, method="exact").pvalue)


def spread(ratios: LogRatios) -> float:
    """The standard deviation of the log ratios without outliers, which affect the test little."""
    return float(stats.iqr(ratios, scale="normal"))


def _fewest_pairs(error: float) -> int:
    """The fewest pairs that can give a p of at most `error`: the smallest p of n is 0.5**n."""
    return math.ceil(-math.log2(error))


def _errors_away(error: float) -> float:
    """How many standard errors a ratio must be beyond the margin to be found with `POWER`."""
    return float(stats.norm.isf(error) + stats.norm.ppf(POWER))


def pairs_needed(screened: Sequence[LogRatios]) -> list[int]:
    """How many fresh pairs each suspect gets, from its noise in the screen.

    Enough, within limits, to find a slow-down of `UNSEEN` with `POWER` at the strictest of Holm's
    levels. Outliers count here, since one among a screen's few pairs may be one of many.
    """
    error = FAMILY_ERROR / max(1, len(screened))
    fewest = _fewest_pairs(error) + TO_SPARE
    room = math.log1p(UNSEEN) - math.log1p(MARGIN)
    wanted = (
        math.ceil((_errors_away(error) * np.std(ratios) / room) ** 2 / RELATIVE_EFFICIENCY)
        for ratios in screened
    )
    return [min(max(fewest, n), max(fewest, MOST_PAIRS)) for n in wanted]


def detectable(ratios: LogRatios, error: float) -> float:
    """The smallest slow-down, a fraction, that pairs with this spread show with `POWER`.

    It must be shown to be beyond the margin, and the median must be `EFFECT` or more. The result
    is infinity for too few pairs to reach `error`, the level of the test.
    """
    if len(ratios) < _fewest_pairs(error):
        return math.inf
    of_mean = spread(ratios) / math.sqrt(len(ratios))
    of_test, of_median = of_mean / math.sqrt(RELATIVE_EFFICIENCY), of_mean * MEDIAN_ERROR
    shown = math.log1p(MARGIN) + _errors_away(error) * of_test
    large = math.log1p(EFFECT) + float(stats.norm.ppf(POWER)) * of_median
    return math.expm1(max(shown, large))


def interval(ratios: LogRatios) -> tuple[float, float]:
    """A bootstrap interval of the median ratio."""
    if np.ptp(ratios) == 0:  # equal ratios have no bootstrap distribution
        return math.exp(ratios[0]), math.exp(ratios[0])
    found = stats.bootstrap(
        (ratios,),
        np.median,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return math.exp(found.low), math.exp(found.high)


MedianPairs: TypeAlias = Sequence[tuple[float, float]]
"""The medians of base and head in seconds, for each pair of processes."""


def log_ratios(pairs: MedianPairs) -> LogRatios:
    base, head = np.array(pairs, np.float64).T
    ratios: LogRatios = np.log(head / base)
    return ratios


def cleared(name: str, pairs: MedianPairs) -> Finding:
    """The finding for a benchmark that the screen has cleared: improved, or pass."""
    verdict = Verdict.IMPROVED if _is_faster(log_ratios(pairs)) else Verdict.PASS
    return _finding(name, pairs, verdict, FAMILY_ERROR, confirmed=False)


def _is_faster(ratios: LogRatios) -> bool:
    """Whether a benchmark is faster, by the rule for slower ones reversed.

    No exit code depends on it, so it is not corrected for the number of benchmarks.
    """
    shown = p_value(ratios, 1 / (1 + MARGIN) - 1, "less") <= FAMILY_ERROR
    return shown and bool(np.median(ratios) <= -math.log1p(EFFECT))


def confirmed(measured: Mapping[str, MedianPairs]) -> list[Finding]:
    """The finding for each suspect, from its fresh pairs alone."""
    ratios = {name: log_ratios(pairs) for name, pairs in measured.items()}
    p_values = [p_value(found, MARGIN, "greater") for found in ratios.values()]
    error = FAMILY_ERROR / max(1, len(measured))
    findings = []
    for (name, pairs), slower in zip(measured.items(), holm(p_values, FAMILY_ERROR), strict=True):
        verdict = Verdict.PASS
        if slower and np.median(ratios[name]) >= math.log1p(EFFECT):
            verdict = Verdict.REGRESSED
        elif interval(ratios[name])[1] >= 1 + UNSEEN:
            verdict = Verdict.INCONCLUSIVE
        elif _is_faster(ratios[name]):
            verdict = Verdict.IMPROVED
        findings.append(_finding(name, pairs, verdict, error, confirmed=True))
    return findings


def _finding(
    name: str, pairs: MedianPairs, verdict: Verdict, error: float, *, confirmed: bool
) -> Finding:
    ratios = log_ratios(pairs)
    base, head = np.median(pairs, axis=0).tolist()
    low, high = interval(ratios)
    ratio = math.exp(np.median(ratios))
    seen = detectable(ratios, error)
    return Finding(name, verdict, base, head, ratio, low, high, seen, len(pairs), confirmed)


def overall(findings: Sequence[Finding]) -> Verdict:
    """The verdict on the run: the worst of its benchmarks' verdicts."""
    found = {finding.verdict for finding in findings}
    for verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
        if verdict in found:
            return verdict
    return Verdict.PASS
