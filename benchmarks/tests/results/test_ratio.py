"""The ratio of two rows, and how often its interval is right."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from benchmarks.results.ratio import WIDENED, Ratio, SweepRounds

Logs = NDArray[np.float64]


def medians(*values: float, run: int = 0) -> SweepRounds:
    """Sweeps of a round each."""
    return {(run, place): (value,) for place, value in enumerate(values)}


def a_ratio(*ratios: float) -> Ratio:
    found = Ratio.within(medians(*ratios), medians(*[1.0] * len(ratios)))
    assert found is not None
    return found


def widened(interval: tuple[float, float]) -> tuple[float, float]:
    """An interval of a logarithm, of what the sweeps show; as one of the ratio, of what is claimed."""
    middle, half = sum(interval) / 2, (interval[1] - interval[0]) / 2 * WIDENED
    return math.exp(middle - half), math.exp(middle + half)


def test_it_is_the_median_of_the_ratios_within_sweeps_not_the_ratio_of_the_medians() -> None:
    over, under = medians(20.0, 3.0, 4.0, 8.0, 30.0), medians(10.0, 1.0, 4.0, 2.0, 10.0)
    found = Ratio.within(over, under)
    assert found is not None
    assert found.value == pytest.approx(3.0)  # of 2, 3, 1, 4, 3
    assert found.sweeps == 5


def test_within_a_sweep_rounds_of_about_the_same_time_are_compared() -> None:
    """Although most rounds of the one fell into slow moments, and few of the other."""
    over, under = (2.0, 2.0, 20.0, 20.0), (1.0, 1.0, 10.0, 1.0)
    found = Ratio.within({(0, 0): over}, {(0, 0): under})
    assert found is not None
    assert found.value == pytest.approx(2.0)  # of 2, 2, 2, 20; that of the medians is 3.6


@pytest.mark.parametrize(
    ("over", "value"),
    [
        ((6.0,), 3.0),
        ((4.0, 16.0), 4.0),
        ((1.0, 9.0, 4.0, 16.0, 17.0, 3.0), 4.0),  # halves: 4, 16
        ((3.0, 5.0, 16.0, 9.0, 90.0), 4.0),  # the third round is in the second half: 4, 16
    ],
)
def test_a_row_of_more_rounds_has_their_median_for_each_of_the_other(
    over: tuple[float, ...], value: float
) -> None:
    under = (2.0, 2.0)[: len(over)]
    one = Ratio.within({(0, 0): over}, {(0, 0): under})
    other = Ratio.within({(0, 0): under}, {(0, 0): over})
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(value)
    assert other.value == pytest.approx(1 / value)


def test_the_speed_of_the_machine_cancels() -> None:
    speed = np.array([1.0, 1.5, 0.8, 3.0, 1.1])
    over = medians(*(2 * speed))
    found = Ratio.within(over, medians(*speed))
    assert found is not None
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((2.0, 2.0))


def test_only_common_sweeps_count() -> None:
    long, short = medians(4.0, 8.0, 6.0), medians(2.0, 2.0, 2.0, 50.0, 50.0)
    for found in (Ratio.within(long, short), Ratio.within(long, {**short, **medians(9.0, run=1)})):
        assert found is not None
        assert found.value == pytest.approx(3.0)
        assert found.sweeps == 3
    assert Ratio.within(medians(1.0), medians(1.0, run=1)) is None


def test_of_one_sweep_nothing_is_shown() -> None:
    for found in (
        a_ratio(9.0),
        Ratio.between(medians(9.0), medians(1.0)),
        Ratio.between(medians(9.0, 9.0), medians(1.0)),
    ):
        assert found.value == pytest.approx(9.0)
        assert found.interval is None
        assert found.p_above(1.05) == found.p_below(100.0) == 1.0


def test_the_interval_is_student_s_of_the_logarithms_widened() -> None:
    logs = np.array([0.1, 0.2, 0.25, 0.3, 0.15])
    found = a_ratio(*np.exp(logs)).interval
    wanted = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(widened(wanted))


def test_of_many_sweeps_the_extreme_ones_are_trimmed() -> None:
    chance = np.random.default_rng(18)
    over, under = chance.standard_t(2, 20) / 10, chance.standard_t(2, 15) / 10
    one = a_ratio(*np.exp(over))
    assert one.mean == pytest.approx(stats.trim_mean(over, 0.2))
    winsorized = np.asarray(stats.mstats.winsorize(over, (0.2, 0.2)))
    error = np.std(winsorized, ddof=1) / (0.6 * math.sqrt(20))
    assert one.error == pytest.approx(WIDENED * error, rel=0.02)
    assert one.freedom == 11
    two = Ratio.between(medians(*np.exp(over)), medians(*np.exp(under)))
    wanted = stats.ttest_ind(over, under, equal_var=False, trim=0.2)
    p = stats.t.sf(wanted.statistic / WIDENED, wanted.df)
    assert two.p_above(1.0) == pytest.approx(p)


def test_the_interval_between_runs_is_welch_s() -> None:
    over, under = np.array([0.1, 0.2, 0.25, 0.3, 0.15]), np.array([0.0, 0.3, -0.1])
    found = Ratio.between(medians(*np.exp(over)), medians(*np.exp(under)))
    wanted = stats.ttest_ind(over, under, equal_var=False).confidence_interval(0.95)
    assert found.interval is not None
    assert tuple(found.interval) == pytest.approx(widened(wanted))
    above = stats.ttest_ind(over - math.log(1.05), under, equal_var=False)
    p = stats.t.sf(above.statistic / WIDENED, above.df)
    assert found.p_above(1.05) == pytest.approx(p)


def test_the_interval_holds_the_value_although_some_sweeps_were_disturbed() -> None:
    found = a_ratio(*np.linspace(0.999, 1.001, 41), *[1.5] * 9)
    assert found.value == pytest.approx(1.0, abs=0.001)
    assert found.interval is not None
    assert found.interval.low <= found.value <= found.interval.high < 1.001
    skewed = a_ratio(*[1.0] * 51, *[1.5] * 49)
    assert skewed.interval is not None
    assert skewed.interval.low == skewed.value == 1.0
    assert skewed.mean > 0.15


def test_the_tests_agree_with_the_interval() -> None:
    found = a_ratio(1.3, 1.2, 1.25, 1.4, 1.1)
    assert found.interval is not None
    low, high = found.interval
    assert found.p_above(low) == pytest.approx(0.025)
    assert found.p_below(high) == pytest.approx(0.025)
    assert found.p_above(low / 1.1) < 0.025 < found.p_above(low * 1.1)


def test_what_is_counted_is_sure() -> None:
    found = Ratio.exact(1.2)
    assert found.interval is not None
    assert tuple(found.interval) == pytest.approx((1.2, 1.2))
    assert (found.p_above(1.1), found.p_above(1.3)) == (0.0, 1.0)
    assert (found.p_below(1.3), found.p_below(1.1)) == (0.0, 1.0)


def test_more_sweeps_narrow_the_interval() -> None:
    few = a_ratio(1.3, 1.2, 1.25, 1.4, 1.1)
    more = few.after(20)
    assert more.value == few.value
    assert more.error == pytest.approx(few.error / 2)
    assert more.freedom == 11  # four at either end are trimmed
    assert few.after(5) == few


# ---- how often an interval covers the true ratio -----------------------------------------------

TRIALS = 1_000


def calm(chance: np.random.Generator, count: int) -> Logs:
    return chance.normal(0, 0.03, count)


def skewed(chance: np.random.Generator, count: int) -> Logs:
    """A machine that is sometimes slow: the median of such noise is not its mean."""
    return chance.gamma(4, 0.02, count) - 0.08


def stalling(chance: np.random.Generator, count: int) -> Logs:
    """One sweep in ten is disturbed, for either row alike."""
    stalled = chance.random(count) < 0.1
    return np.where(stalled, chance.normal(0, 0.3, count), chance.normal(0, 0.03, count))


@pytest.mark.parametrize("noise", [calm, skewed, stalling], ids=lambda noise: noise.__name__)
@pytest.mark.parametrize("sweeps", [3, 5, 10, 25])
def test_intervals_within_sweeps_cover_the_true_ratio(sweeps: int, noise: object) -> None:
    assert callable(noise)
    chance = np.random.default_rng(18)
    covered = 0
    for _ in range(TRIALS):
        drift = chance.normal(0, 0.4, sweeps)  # of the machine, for both rows
        over = medians(*np.exp(math.log(1.3) + drift + noise(chance, sweeps)))
        under = medians(*np.exp(drift + noise(chance, sweeps)))
        found = Ratio.within(over, under)
        assert found is not None
        assert found.interval is not None
        covered += found.interval.low <= 1.3 <= found.interval.high
    most = 1.0 if noise is stalling else 0.98  # with outliers they are wide, never narrow
    assert 0.90 <= covered / TRIALS <= most


@pytest.mark.parametrize("sweeps", [3, 5, 10])
def test_intervals_between_runs_cover_the_true_ratio(sweeps: int) -> None:
    chance = np.random.default_rng(18)
    covered = 0
    for _ in range(TRIALS):
        over = medians(*np.exp(chance.normal(math.log(1.3), 0.05, sweeps)))
        found = Ratio.between(over, medians(*np.exp(chance.normal(0, 0.05, 5))))
        assert found.interval is not None
        covered += found.interval.low <= 1.3 <= found.interval.high
    assert 0.90 <= covered / TRIALS <= 0.98


def test_resampling_five_sweeps_would_not_cover_it() -> None:
    """Why the interval is not a percentile bootstrap."""
    chance = np.random.default_rng(18)
    samples = chance.normal(0, 0.03, (TRIALS, 5))
    drawn = np.median(samples[:, chance.integers(0, 5, (1_000, 5))], axis=2)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
    means = samples[:, chance.integers(0, 5, (1_000, 5))].mean(axis=2)
    low_mean, high_mean = np.quantile(means, (0.025, 0.975), axis=1)
    assert np.mean((low_mean <= 0) & (high_mean >= 0)) < 0.90
    assert np.mean((low <= 0) & (high >= 0)) <= 0.95
