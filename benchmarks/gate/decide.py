"""The statistics: what the pairs of measurements of a benchmark say of it.

A pair is two fresh processes, one of each side, that measure a benchmark in turns, which first
being a matter of chance. Its one number is the logarithm of the head's median over the base's: were
both sides the same code, it would be as often above zero as below, by as much, whatever else the
machine does. That is all that the signed-rank test needs.

It is asked twice, each time of other pairs. A screen of all benchmarks clears those that are surely
not slower by as much as matters. Only what it cannot clear is measured again; there it must be
shown to be slower by more than a margin, with a small chance of one error over all of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LogRatios: TypeAlias = NDArray[np.float64]

MARGIN = 0.05
"""A slow-down must be shown to be larger than this fraction."""
EFFECT = 0.08
"""And have been measured to be at least this fraction."""
UNSEEN = 0.15
"""Where even this much slower cannot be ruled out, nor shown, there is no answer."""
FAMILY_ERROR = 0.01
"""The chance that any benchmark is called slower although none is by more than the margin."""
SCREEN_ERROR = 0.05
"""The chance that the screen clears a benchmark that is slower by `EFFECT`; by more, far less."""
POWER = 0.99
"""The chance wanted of finding a benchmark that is slower by `UNSEEN`."""
CONFIDENCE = 0.95
"""Of intervals."""

TO_SPARE = 12
"""Pairs beyond those with which the test can reject at all.

A pair in which the machine was busy during one side's turns says anything, loudly. With so many to
spare, two of the loudest may contradict all others.
"""
MOST_PAIRS = 40
"""Of one suspect. More would not finish."""
FEWEST_SCREENED = 5
"""With fewer, the screen could clear nothing: half to the power of their number is its smallest p."""

# The signed-rank test needs as many more pairs than a t-test would, if the noise is Gaussian; where
# it is worse, fewer (Hodges and Lehmann, 1956).
RELATIVE_EFFICIENCY = 3 / math.pi
MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""The standard error of a median over that of a mean, if the noise is Gaussian."""


class Verdict(StrEnum):
    """Of a benchmark, or of a whole run."""

    PASS = "pass"  # noqa: S105  # a word to print
    IMPROVED = "improved"  # of a benchmark only
    REGRESSED = "regressed"
    INVALID = "invalid"  # of a run only
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Finding:
    """What is said of one benchmark.

    base, head: medians over its processes, in seconds
    ratio: the median of head over base of each pair
    low, high: interval of that ratio
    detectable: the smallest slow-down that would have been found nearly always, as a fraction
    confirmed: whether it was a suspect, and all this is of the second measurement
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
    """Whether the screen leaves a benchmark a suspect.

    It does unless the opposite is shown: that it is not slower by `EFFECT`. So where there is much
    noise, more is measured again, and nothing is let pass.
    """
    return p_value(ratios, EFFECT, "less") > SCREEN_ERROR


def p_value(ratios: LogRatios, bound: float, alternative: str) -> float:
    """Of the exact one-sided signed-rank test of the ratios against 1 + `bound`."""
    shifted = ratios - math.log1p(bound)
    return float(stats.wilcoxon(shifted, alternative=alternative, method="exact").pvalue)


def spread(ratios: LogRatios) -> float:
    """The standard deviation of the log ratios, but for outliers, which the test minds little."""
    return float(stats.iqr(ratios, scale="normal"))


def _fewest_pairs(error: float) -> int:
    """With fewer, no p can be below `error`: half to the power of their number is the smallest."""
    return math.ceil(-math.log2(error))


def _errors_away(error: float) -> float:
    """How many standard errors beyond the margin a ratio must be to be found with `POWER`."""
    return float(stats.norm.isf(error) + stats.norm.ppf(POWER))


def pairs_needed(screened: Sequence[LogRatios]) -> list[int]:
    """How many fresh pairs each suspect gets, by what the screen has shown of its noise.

    As many as make a slow-down of `UNSEEN` found with `POWER`, though the strictest of Holm's
    levels be applied; within limits. One outlier among a screen's few pairs may be one of many,
    so here it counts.
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
    """The smallest slow-down, a fraction, that so many pairs of that spread show with `POWER`.

    It must be shown to be beyond the margin, and the median must come out at `EFFECT` or more.

    error: the level of the test; infinity where so few pairs can never reach it
    """
    if len(ratios) < _fewest_pairs(error):
        return math.inf
    of_mean = spread(ratios) / math.sqrt(len(ratios))
    of_test, of_median = of_mean / math.sqrt(RELATIVE_EFFICIENCY), of_mean * MEDIAN_ERROR
    shown = math.log1p(MARGIN) + _errors_away(error) * of_test
    large = math.log1p(EFFECT) + float(stats.norm.ppf(POWER)) * of_median
    return math.expm1(max(shown, large))


def holm(p_values: Sequence[float], error: float) -> list[bool]:
    """Which hypotheses to reject so that one true one among them is with chance `error` at most.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    rejected = [False] * len(p_values)
    for rank, i in enumerate(np.argsort(p_values)):
        if p_values[i] > error / (len(p_values) - rank):
            break
        rejected[i] = True
    return rejected


def interval(ratios: LogRatios) -> tuple[float, float]:
    """A bootstrap interval of the median ratio."""
    if np.ptp(ratios) == 0:  # of which there is no distribution to be had
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
"""Medians in seconds, base and head, of each pair of processes."""


def log_ratios(pairs: MedianPairs) -> LogRatios:
    base, head = np.array(pairs, np.float64).T
    ratios: LogRatios = np.log(head / base)
    return ratios


def cleared(name: str, pairs: MedianPairs) -> Finding:
    """What is said of a benchmark that the screen has cleared: whether it has become faster."""
    verdict = Verdict.IMPROVED if _is_faster(log_ratios(pairs)) else Verdict.PASS
    return _finding(name, pairs, verdict, FAMILY_ERROR, confirmed=False)


def _is_faster(ratios: LogRatios) -> bool:
    """By as much as makes a benchmark slower, the other way round.

    Nothing hangs on that, so it is not corrected for the number of benchmarks.
    """
    shown = p_value(ratios, 1 / (1 + MARGIN) - 1, "less") <= FAMILY_ERROR
    return shown and bool(np.median(ratios) <= -math.log1p(EFFECT))


def confirmed(measured: Mapping[str, MedianPairs]) -> list[Finding]:
    """What is said of each suspect, by its fresh pairs alone."""
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
    """Of the run: the worst of its benchmarks'."""
    found = {finding.verdict for finding in findings}
    for verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
        if verdict in found:
            return verdict
    return Verdict.PASS
