"""Intervals over rounds: as wide as the rounds spread, and the same each time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.results.interval import Interval, median_interval, ratio_interval


def normal(mean: float, deviation: float, count: int, seed: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, deviation, count)


def test_an_interval_holds_the_median_and_narrows_with_more_rounds() -> None:
    many = normal(10, 1, 200)
    wide, narrow = median_interval(many[:12]), median_interval(many)
    assert wide is not None
    assert narrow is not None
    assert narrow.low < np.median(many) < narrow.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_of_three_rounds_it_is_all_of_them() -> None:
    assert median_interval(np.array([3.0, 1.0, 2.0])) == Interval(1.0, 3.0)


def test_it_covers_the_true_median_about_as_often_as_it_says() -> None:
    found = [median_interval(normal(10, 1, 40, seed)) for seed in range(100)]
    covering = sum(between is not None and between.low < 10 < between.high for between in found)
    assert covering >= 85


def test_the_same_rounds_give_the_same_interval() -> None:
    rounds = normal(10, 1, 30)
    assert median_interval(rounds) == median_interval(rounds.copy())


def test_a_ratio_is_that_of_the_first_to_the_second() -> None:
    between = ratio_interval(normal(30, 0.3, 50), normal(10, 0.1, 50))
    assert between is not None
    assert 2.9 < between.low < 3 < between.high < 3.1


@pytest.mark.parametrize("rounds", [None, np.array([]), np.array([1.0])])
def test_of_fewer_than_two_rounds_there_is_none(rounds: NDArray[np.float64] | None) -> None:
    assert median_interval(rounds) is None
    assert ratio_interval(np.array([1.0, 2.0]), rounds) is None
    assert ratio_interval(rounds, np.array([1.0, 2.0])) is None


def test_equal_rounds_have_an_interval_without_width() -> None:
    assert median_interval(np.full(9, 2.0)) == Interval(2.0, 2.0)


@pytest.mark.parametrize(
    ("other", "overlap"), [((1, 2), True), ((3, 4), True), ((3.1, 4), False), ((0, 0.9), False)]
)
def test_intervals_that_touch_overlap(other: tuple[float, float], overlap: bool) -> None:
    assert Interval(1, 3).overlaps(Interval(*other)) is overlap
    assert Interval(*other).overlaps(Interval(1, 3)) is overlap
