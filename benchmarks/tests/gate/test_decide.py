"""The gate's statistics, against simulated measurements whose answers are known."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.gate.decide import (
    EFFECT,
    FAMILY_ERROR,
    MARGIN,
    MOST_PAIRS,
    TO_SPARE,
    UNSEEN,
    Finding,
    MedianPairs,
    Verdict,
    cleared,
    confirmed,
    detectable,
    interval,
    log_ratios,
    may_be_slower,
    overall,
    p_value,
    pairs_needed,
)
from benchmarks.gate.errors import InvalidError
from benchmarks.gate.judge import Judgement, MeasuredPair, judge

Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]


def gaussian(chance: np.random.Generator, n: int) -> NDArray[np.float64]:
    return chance.normal(0, 0.05, n)


def heavy_tailed(chance: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Noise of a shared machine: mostly quiet, sometimes twice as slow, on either side."""
    return 0.03 * chance.standard_t(2, n)


def pairs_of(ratio: float, n: int, noise: Noise, seed: int) -> MedianPairs:
    chance = np.random.default_rng(seed)
    base = 1e-3 * np.exp(chance.normal(0, 0.3, n))  # the machine changes from pair to pair
    head = base * ratio * np.exp(noise(chance, n))
    return [*zip(base.tolist(), head.tolist(), strict=True)]


def findings_of(ratios: dict[str, float], noise: Noise, seed: int) -> Judgement:
    """A whole run over simulated benchmarks of these true ratios."""
    chance = np.random.default_rng(seed)

    def measure_pair(names: Sequence[str]) -> Iterator[MeasuredPair]:
        for name in names:
            base = 1e-3 * math.exp(chance.normal(0, 0.3))
            head = base * ratios[name] * math.exp(noise(chance, 1)[0])
            yield MeasuredPair(name, {"stats": {"median": base}}, {"stats": {"median": head}})

    return judge([*ratios], 10, measure_pair, lambda _what, _total, measured: measured)


def called(judgement: Judgement, verdict: Verdict) -> set[str]:
    return {finding.name for finding in judgement.findings if finding.verdict is verdict}


# ---- whole runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [gaussian, heavy_tailed])
def test_equal_versions_are_never_called_slower(noise: Noise) -> None:
    equal = {f"b{i}": 1.0 for i in range(10)}
    for seed in range(25):
        assert findings_of(equal, noise, seed).verdict is Verdict.PASS


@pytest.mark.parametrize("noise", [gaussian, heavy_tailed])
def test_one_benchmark_a_sixth_slower_among_many_is_found_and_no_other(noise: Noise) -> None:
    ratios = {f"b{i}": 1.0 for i in range(9)} | {"slow": 1 + UNSEEN}
    found = [called(findings_of(ratios, noise, seed), Verdict.REGRESSED) for seed in range(25)]
    assert found.count({"slow"}) >= 24
    assert set().union(*found) == {"slow"}


def test_all_benchmarks_slower_are_all_found() -> None:
    judgement = findings_of({f"b{i}": 1.3 for i in range(10)}, gaussian, seed=0)
    assert len(called(judgement, Verdict.REGRESSED)) == 10
    assert all(finding.confirmed for finding in judgement.findings)


def test_a_slow_down_below_the_margin_passes() -> None:
    for seed in range(20):
        judgement = findings_of({"a": 1.04, "b": 1.0}, gaussian, seed)
        assert judgement.verdict is Verdict.PASS


def test_noise_in_which_nothing_could_be_seen_is_no_pass() -> None:
    judgement = findings_of({"a": 1.0}, lambda c, n: c.normal(0, 1.0, n), seed=1)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    (finding,) = judgement.findings
    assert finding.high >= 1 + UNSEEN
    assert finding.detectable > UNSEEN


def test_an_improvement_is_told_and_passes() -> None:
    judgement = findings_of({"a": 0.7, "b": 1.0}, gaussian, seed=0)
    assert called(judgement, Verdict.IMPROVED) == {"a"}
    assert judgement.verdict is Verdict.PASS


def test_what_is_said_of_a_suspect_is_by_its_fresh_pairs_alone() -> None:
    calls = 0

    def measure_pair(names: Sequence[str]) -> Iterator[MeasuredPair]:
        nonlocal calls
        calls += 1
        head = 2.0 if calls <= 10 else 1.0 + calls / 1e6  # slow in the screen only
        yield MeasuredPair(names[0], {"stats": {"median": 1.0}}, {"stats": {"median": head}})

    judgement = judge(["a"], 10, measure_pair, lambda _what, _total, measured: measured)
    (finding,) = judgement.findings
    assert finding.confirmed
    assert finding.verdict is Verdict.PASS
    assert finding.ratio == pytest.approx(1.0, abs=1e-3)
    assert finding.pairs == calls - 10 == len(judgement.confirmed)


def test_a_benchmark_that_is_left_out_once_is_not_asked_for_again() -> None:
    asked: list[tuple[str, ...]] = []

    def measure_pair(names: Sequence[str]) -> Iterator[MeasuredPair]:
        asked.append(tuple(names))
        slower = 1 + len(asked) / 1e6
        if "a" in names:
            yield MeasuredPair("a", {"stats": {"median": 1.0}}, {"stats": {"median": slower}})

    judgement = judge(["a", "b"], 6, measure_pair, lambda _what, _total, measured: measured)
    assert asked == [("a", "b")] + [("a",)] * 5
    assert [finding.name for finding in judgement.findings] == ["a"]


# ---- the parts -------------------------------------------------------------------------------


def test_where_nothing_could_be_measured_there_is_no_pass() -> None:
    asked = []

    def measure_pair(names: Sequence[str]) -> Iterator[MeasuredPair]:
        asked.append(names)
        return iter(())

    with pytest.raises(InvalidError, match="no benchmark could be measured"):
        judge(["a"], 10, measure_pair, lambda _what, _total, measured: measured)
    assert asked == [["a"]]


def test_a_suspect_that_proves_faster_is_told() -> None:
    (finding,) = confirmed({"a": pairs_of(0.7, 20, gaussian, seed=0)})
    assert finding.verdict is Verdict.IMPROVED


def test_the_test_is_exact() -> None:
    """If all n ratios are on one side, p is 0.5**n."""
    ratios = np.log1p(MARGIN) + np.arange(1, 9) / 100
    assert p_value(ratios, MARGIN, "greater") == pytest.approx(2**-8)
    assert p_value(ratios, MARGIN, "less") == pytest.approx(1.0)


def test_the_screen_clears_only_what_is_shown_not_to_be_slower() -> None:
    quiet = np.array([-0.01, 0.012, 0.003, -0.004, 0.006, -0.013, 0.01, -0.002])
    assert not may_be_slower(quiet)
    assert may_be_slower(quiet + 0.08)
    assert may_be_slower(30 * quiet)  # too noisy to say


def test_the_screen_seldom_clears_what_matters() -> None:
    missed = sum(
        not may_be_slower(log_ratios(pairs_of(1 + EFFECT, 10, gaussian, seed)))
        for seed in range(400)
    )
    assert missed <= 0.08 * 400


@pytest.mark.parametrize("suspects", [1, 2, 5, 39, 300])
def test_there_are_enough_pairs_for_the_strictest_of_holm_s_levels(suspects: int) -> None:
    quiet = np.array([-0.01, 0.01] * 5)
    (needed,) = set(pairs_needed([quiet] * suspects))
    assert 2.0 ** -(needed - TO_SPARE) <= FAMILY_ERROR / suspects
    assert math.isfinite(detectable(np.resize(quiet, needed), FAMILY_ERROR / suspects))


def test_a_noisier_suspect_gets_more_pairs_up_to_a_limit() -> None:
    quiet = np.linspace(-0.01, 0.01, 10)
    few, more, most = pairs_needed([quiet, 14 * quiet, 100 * quiet])
    assert few < more < most == MOST_PAIRS


def test_a_sure_but_small_slow_down_passes_for_want_of_effect() -> None:
    measured = {"a": [(1.0, 1.06 + i / 1e6) for i in range(20)]}
    (finding,) = confirmed(measured)
    assert p_value(log_ratios(measured["a"]), MARGIN, "greater") < FAMILY_ERROR
    assert finding.verdict is Verdict.PASS


def test_the_interval_covers_the_ratio() -> None:
    covered = 0
    for seed in range(200):
        low, high = interval(log_ratios(pairs_of(1.1, 20, gaussian, seed)))
        covered += low <= 1.1 <= high
    assert covered >= 180


def test_equal_ratios_have_an_interval_of_one_point() -> None:
    assert interval(np.zeros(5)) == (1.0, 1.0)


@pytest.mark.parametrize("deviation", [0.01, 0.02, 0.05])
def test_what_is_detectable_is_found_and_much_less_is_not(deviation: float) -> None:
    n = 16
    as_spread = deviation * norm.ppf((np.arange(n) + 0.5) / n)
    seen = detectable(as_spread, FAMILY_ERROR)

    def times_found(slow_down: float) -> int:
        chance = np.random.default_rng(0)
        noise = deviation * chance.standard_normal((60, n))
        every = (1 + slow_down) * np.exp(noise)
        runs = [confirmed({"a": [(1.0, ratio) for ratio in row]})[0] for row in every.tolist()]
        return sum(finding.verdict is Verdict.REGRESSED for finding in runs)

    assert times_found(seen) >= 56
    assert times_found(seen / 2) <= 6


def test_a_suspect_shown_to_be_slower_is_undecided_where_it_may_be_much_slower() -> None:
    ratios = [1.06] * 10 + [1.079] + [1.16] * 9
    (finding,) = confirmed({"a": [(1.0, ratio) for ratio in ratios]})
    assert finding.ratio < 1 + EFFECT
    assert finding.high >= 1 + UNSEEN
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_too_few_pairs_never_see_anything() -> None:
    assert math.isinf(detectable(np.zeros(6), FAMILY_ERROR))
    assert detectable(np.zeros(7), FAMILY_ERROR) == pytest.approx(EFFECT)


def test_the_medians_are_those_of_each_side_and_the_ratio_that_of_the_pairs() -> None:
    finding = cleared("a", [(1.0, 1.0), (2.0, 2.2), (4.0, 4.0), (8.0, 8.8), (16.0, 17.6)])
    assert (finding.base, finding.head) == (4.0, 4.0)
    assert finding.ratio == pytest.approx(1.1)
    assert finding.pairs == 5
    assert not finding.confirmed


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.PASS, Verdict.IMPROVED], Verdict.PASS),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE),
        ([Verdict.INCONCLUSIVE, Verdict.REGRESSED, Verdict.PASS], Verdict.REGRESSED),
    ],
)
def test_a_run_is_as_bad_as_its_worst_benchmark(verdicts: list[Verdict], expected: Verdict) -> None:
    findings = [Finding("a", v, 1, 1, 1, 1, 1, 0.08, 10, confirmed=False) for v in verdicts]
    assert overall(findings) is expected
