"""Who wins, who is level, what is undecided; and how often that is wrong."""

import math

import numpy as np
import pytest

from benchmarks.results.ratio import Ratio
from benchmarks.results.standing import Outcome, Rivals, Standing, holm, standings


def ratio(*ratios: float) -> Ratio:
    over = {(0, place): (value,) for place, value in enumerate(ratios)}
    found = Ratio.within(over, dict.fromkeys(over, (1.0,)))
    assert found is not None
    return found


def near(value: float, spread: float = 0.01, sweeps: int = 5) -> Ratio:
    """A ratio of sweeps that lie evenly around `value`."""
    return ratio(*(value * math.exp(spread * place) for place in np.linspace(-1, 1, sweeps)))


def alone(**others: Ratio) -> Standing:
    (found,) = standings([Rivals("hdf5", others)])
    return found


def test_a_store_that_is_ahead_of_every_other_wins() -> None:
    found = alone(lmdb=near(1.5), png=near(50.0, 0.2))
    assert found.outcome is Outcome.WINS
    assert found.in_words == "hdf5"
    assert found.needed is None


def test_one_that_is_ahead_of_some_does_not() -> None:
    found = alone(lmdb=near(1.2, 0.3), png=near(50.0, 0.2))
    assert found.outcome is Outcome.UNDECIDED
    assert found.open == ("lmdb",)
    assert found.in_words == "undecided: hdf5 or lmdb"


def test_a_cell_is_undecided_between_all_stores_that_are_not_shown_to_be_behind() -> None:
    found = alone(zip=near(1.1, 0.3), lmdb=near(1.2, 0.3), png=near(50.0, 0.2))
    assert found.in_words == "undecided: hdf5, lmdb or zip"
    assert alone(lmdb=ratio(3.0), png=ratio(50.0)).open == (
        "lmdb",
        "png",
    )  # one sweep shows nothing


def test_a_lead_within_the_margin_does_not_win_however_sure_it_is() -> None:
    found = alone(lmdb=near(1.04, 0.0001), png=near(50.0))
    assert found.outcome is Outcome.LEVEL
    assert found.in_words == "level: hdf5, lmdb"


def test_stores_are_level_only_where_that_is_shown() -> None:
    assert alone(lmdb=near(1.0), png=near(1.02)).level == ("lmdb", "png")
    assert alone(lmdb=near(1.0, 0.3)).outcome is Outcome.UNDECIDED
    assert alone(lmdb=near(1.0), png=near(1.2, 0.3)).outcome is Outcome.UNDECIDED


def test_an_undecided_cell_says_about_how_many_sweeps_would_decide_it() -> None:
    close = near(1.15, 0.1)
    found = alone(lmdb=close)
    assert found.needed is not None
    assert 5 < found.needed < 60
    assert alone(lmdb=close.after(found.needed)).outcome is Outcome.WINS
    assert alone(lmdb=close.after(found.needed - 1)).outcome is Outcome.UNDECIDED
    assert alone(lmdb=near(1.2, 3.0)).needed is None


def test_one_sweep_decides_nothing_and_does_not_say_how_many_would() -> None:
    found = alone(lmdb=ratio(50.0))
    assert (found.outcome, found.needed) == (Outcome.UNDECIDED, None)


def test_counted_figures_are_judged_by_the_same_margins() -> None:
    assert alone(lmdb=Ratio.exact(1.06)).outcome is Outcome.WINS
    assert alone(lmdb=Ratio.exact(1.04)).outcome is Outcome.LEVEL
    assert alone(lmdb=Ratio.exact(1.04), png=Ratio.exact(1.3)).level == ("lmdb",)


def test_more_cells_need_more_evidence() -> None:
    cell = Rivals("hdf5", {"lmdb": near(1.3, 0.1)})
    level = Rivals("hdf5", {"lmdb": near(1.0, 0.3)})
    assert standings([cell])[0].outcome is Outcome.WINS
    assert standings([cell, *[level] * 60])[0].outcome is Outcome.UNDECIDED
    assert standings([]) == []


def test_no_cell_is_level_with_nobody() -> None:
    """Where all are rather behind, but not shown to be, though other cells are level."""
    behind = Rivals("hdf5", {"lmdb": near(1.3, 0.15), "png": near(50.0)})
    level = Rivals("hdf5", {"lmdb": near(1.0), "png": near(50.0)})
    assert standings([behind])[0].outcome is Outcome.WINS
    found, *others = standings([behind, *[level] * 9])
    assert {other.in_words for other in others} == {"level: hdf5, lmdb"}
    assert (found.outcome, found.level, found.open) == (Outcome.UNDECIDED, (), ("lmdb",))
    assert found.in_words == "undecided: hdf5 or lmdb"
    assert found.needed is not None


def test_holm_is_between_bonferroni_and_none() -> None:
    assert holm([0.003, 0.004, 0.2], 0.01) == [True, True, False]
    assert holm([0.004, 0.004, 0.2], 0.01) == [False, False, False]  # a third of 0.01 is less
    assert holm([0.2, 0.009, 0.004], 0.01) == [False, False, False]
    assert holm([0.009], 0.01) == [True]
    assert holm([], 0.01) == []


# ---- how often it is wrong ---------------------------------------------------------------------

PAGES, CELLS = 100, 20


def page(true: float, spread: float, chance: np.random.Generator, sweeps: int) -> list[Standing]:
    """The cells of a page in which the second of two stores is `true` times as slow."""
    cells = []
    for _ in range(CELLS):
        logs = math.log(true) + chance.normal(0, spread, sweeps)
        found = ratio(*np.exp(logs))
        if found.mean < 0:  # the best is chosen by the same figures
            found = ratio(*np.exp(-logs))
        cells.append(Rivals("first", {"second": found}))
    return standings(cells)


@pytest.mark.parametrize("true", [1.0, 1.05])
@pytest.mark.parametrize("sweeps", [3, 5, 25])
def test_pages_seldom_name_a_winner_that_is_none(true: float, sweeps: int) -> None:
    chance = np.random.default_rng(18)
    pages = [page(true, 0.05, chance, sweeps) for _ in range(PAGES)]
    wrong = [any(s.outcome is Outcome.WINS for s in standing) for standing in pages]
    assert np.mean(wrong) <= 0.05


def test_pages_seldom_call_level_what_is_not() -> None:
    chance = np.random.default_rng(18)
    pages = [page(1.1, 0.05, chance, 5) for _ in range(PAGES)]
    wrong = [any(s.outcome is Outcome.LEVEL for s in standing) for standing in pages]
    assert np.mean(wrong) <= 0.1  # by its error, 5 %; by chance, a little more or less


def test_twice_as_fast_nearly_always_wins_and_equal_stores_become_level_with_enough_sweeps() -> (
    None
):
    chance = np.random.default_rng(18)
    double = [s for _ in range(20) for s in page(2.0, 0.08, chance, 5)]
    assert np.mean([s.outcome is Outcome.WINS for s in double]) >= 0.95
    equal = [s for _ in range(20) for s in page(1.0, 0.05, chance, 25)]
    assert np.mean([s.outcome is Outcome.LEVEL for s in equal]) >= 0.9
