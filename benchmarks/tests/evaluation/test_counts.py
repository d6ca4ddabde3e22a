"""The counts, over runs that are simulated with a known truth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.evaluation.counts import POOLED, Rate, beyond_sweeps, rates, table
from benchmarks.evaluation.record import KeptRow, Replicate
from benchmarks.results import rounds

SweepNoise = Callable[[np.random.Generator, int], NDArray[np.float64]]

TIMES = {"hdf5": 200.0, "lmdb": 400.0, "png": 9_000.0, "limit": 150.0, "article-hdf5": 900.0}
"""Microseconds of a round."""
OPERATIONS = ("store_many", "read_many", "read_batch")
NS = (100, 1_000, 10_000)
RUNS, SWEEPS = 20, 20


def calm(chance: np.random.Generator, sweeps: int) -> NDArray[np.float64]:
    return chance.normal(0, 0.015, sweeps)


def disturbed(chance: np.random.Generator, sweeps: int) -> NDArray[np.float64]:
    """One sweep in ten is much slower."""
    return calm(chance, sweeps) + (chance.random(sweeps) < 0.1) * chance.exponential(0.5, sweeps)


def runs(
    noise: SweepNoise = calm,
    *,
    count: int = RUNS,
    times: Sequence[dict[str, float]] = (TIMES,),
    same: float = 1.0,
    slowed: float = 1.1,
    between: float = 0.0,
) -> list[Replicate]:
    """Runs on a machine whose speed drifts by half from sweep to sweep.

    times: of the rows, in one run after the other
    same, slowed: by what factor the second rows are slower
    between: the standard deviation of what is the same for all sweeps of a run
    """
    chance = np.random.default_rng(18)
    made = []
    for place in range(count):
        of_run = times[place % len(times)]
        known = {**of_run, "hdf5-twin": of_run["hdf5"] * same, "lmdb-twin": of_run["lmdb"] * slowed}
        kept = []
        for operation in OPERATIONS:
            for n in NS:
                drift = chance.normal(0, 0.4, SWEEPS)
                for backend, time in known.items():
                    logs = np.log(time) + drift + noise(chance, SWEEPS)
                    logs += chance.normal(0, between)
                    stored = 3_100.0 if operation == "store_many" else None
                    text = rounds.pack(np.exp(logs) / 1e6)
                    row = KeptRow(operation, "", backend, n, False, n, stored, text, [1] * SWEEPS)
                    kept.append(row)
        made.append(
            Replicate(
                commit="0123abc",
                dirty=False,
                arguments=[],
                when=str(place),
                order_seed=place,
                seconds=90.0,
                machine={"cores": 2},
                same="hdf5",
                slowed="lmdb",
                rows=kept,
            )
        )
    return made


def counted(records: Sequence[Replicate]) -> dict[str, Rate]:
    names = (
        *("contradicted", "same", "covered", "covered by others"),
        *("slowed", "slowed, pooled", "marked"),
    )
    found = [rate for rate in rates(records, []) if not rate.what.startswith("of these, ")]
    return dict(zip(names, found, strict=True))


def share(rate: Rate) -> float:
    return rate.counted / rate.of


@pytest.mark.parametrize("noise", [calm, disturbed], ids=lambda noise: noise.__name__)
def test_the_method_reaches_every_share_although_the_machine_drifts(noise: SweepNoise) -> None:
    found = counted(runs(noise))
    cells = len(OPERATIONS) * len(NS)
    assert found["contradicted"].of <= RUNS * (RUNS - 1) / 2 * cells
    assert found["same"].of == found["slowed"].of == RUNS * cells
    assert found["covered"].of == RUNS * cells * 6  # three stores and the limit
    marked = found.pop("marked")
    assert marked.of == RUNS * (RUNS - 1) / 2 * cells * 3
    assert marked.is_met
    assert {name: rate for name, rate in found.items() if not rate.is_met} == {}


def test_equal_rows_that_differ_are_told_apart() -> None:
    assert share(counted(runs(same=1.2, count=4))["same"]) > 0.9


@pytest.mark.parametrize("slowed", [1.0, 1.05, 0.8])
def test_only_a_slower_second_row_counts_as_found(slowed: float) -> None:
    assert share(counted(runs(slowed=slowed, count=4))["slowed"]) <= 0.02


def test_operations_are_counted_apart() -> None:
    count = POOLED + 2
    found = rates(runs(count=count), [])
    wholes = [place for place, rate in enumerate(found) if not rate.what.startswith("of these")]
    parts = {found[place].what: found[place + 1 : place + 4] for place in wholes}
    apart = {whole: of for whole, of in parts.items() if of and of[0].what.startswith("of these")}
    assert len(apart) == 3  # the ratio of all runs, found, and found in runs that are pooled
    for (whole, of), each in zip(apart.items(), (6 * count, count, 3), strict=True):
        (all_rows,) = (rate for rate in found if rate.what == whole)
        assert [rate.what for rate in of] == [f"of these, `{name}`" for name in OPERATIONS]
        assert [rate.of for rate in of] == [each * len(NS)] * 3
        assert sum(rate.counted for rate in of) == all_rows.counted
        assert sum(rate.of for rate in of) == all_rows.of


def test_pooled_runs_find_what_one_cannot_show() -> None:
    def noisy(chance: np.random.Generator, sweeps: int) -> NDArray[np.float64]:
        return chance.normal(0, 0.06, sweeps)

    found = counted(runs(noisy))
    assert share(found["slowed"]) < 0.5
    assert share(found["slowed, pooled"]) > 0.8


def test_runs_are_pooled_only_if_a_row_of_the_same_store_is_slower() -> None:
    made = [
        replace(record, slowed=store)
        for record, store in zip(runs(count=POOLED), ["lmdb", "hdf5"] * POOLED, strict=False)
    ]
    assert counted(made)["slowed, pooled"].of == 0


def test_what_sweeps_do_not_show_is_measured() -> None:
    for spread in (0.0, 0.02, 0.05):
        made = runs(between=spread / math.sqrt(2))
        found = beyond_sweeps([record.figures for record in made])
        assert found == pytest.approx(spread, rel=0.2, abs=0.002)
    assert beyond_sweeps([record.figures for record in runs(count=1)]) is None


def test_widened_intervals_hold_what_differs_a_little_from_run_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = runs(between=0.0035)
    assert counted(made)["covered"].is_met
    monkeypatch.setattr("benchmarks.results.ratio.WIDENED", 1.0)
    assert share(counted(made)["covered"]) < 0.90


def test_short_rounds_are_not_asked_for() -> None:
    short = TIMES | {"lmdb": 20.0}
    assert counted(runs(times=[short], count=2))["slowed"].of == 0


def test_winners_that_change_from_run_to_run_contradict_each_other() -> None:
    other = TIMES | {"hdf5": 300.0, "lmdb": 200.0}
    found = counted(runs(times=[TIMES, other], count=4))
    assert share(found["contradicted"]) == pytest.approx(4 / 6)  # pairs of unlike runs
    assert not found["contradicted"].is_met
    level = TIMES | {"hdf5": 300.0, "lmdb": 200.0, "png": 201.0}
    assert share(counted(runs(times=[TIMES, level], count=2))["contradicted"]) == 1.0


def test_a_winner_elsewhere_level_or_undecided_is_not_contradicted() -> None:
    near = TIMES | {"lmdb": 201.0}
    assert counted(runs(times=[TIMES, near], count=2))["contradicted"].counted == 0


def test_what_is_the_same_in_all_sweeps_of_a_run_is_seen_as_intervals_that_miss() -> None:
    found = counted(runs(between=0.05))
    assert share(found["covered"]) < 0.5
    assert not found["covered by others"].is_met


def test_a_slower_run_is_marked() -> None:
    slow = {name: time * (1.5 if name == "png" else 1.0) for name, time in TIMES.items()}
    steady = [replace(one, rows=_without_drift(one)) for one in runs(times=[TIMES, slow], count=2)]
    assert counted(steady)["marked"].counted == len(OPERATIONS) * len(NS)


def _without_drift(run: Replicate) -> list[KeptRow]:
    """The rows as a machine of one speed would have measured them."""
    chance = np.random.default_rng(int(run.when))
    steady = []
    for row in run.rows:
        known = TIMES.get(row.backend, 200.0)
        is_slow = row.backend == "png" and run.when == "1"
        times = known * (1.5 if is_slow else 1.0) * np.exp(calm(chance, SWEEPS)) / 1e6
        steady.append(row._replace(microseconds=rounds.pack(times)))
    return steady


def test_of_one_run_nothing_is_compared() -> None:
    found = counted(runs(count=1))
    assert [name for name, rate in found.items() if rate.of] == ["same", "slowed"]
    assert not found["contradicted"].is_met


def test_default_runs_are_counted_too() -> None:
    other = TIMES | {"hdf5": 300.0, "lmdb": 200.0}
    default = [record.figures for record in runs(times=[TIMES, other], count=2)]
    *_, last = rates(runs(count=2), default)
    assert last.what.startswith("default runs")
    assert last.counted == last.of == len(OPERATIONS) * len(NS)


def test_the_table_says_what_was_wanted_and_what_was_missed() -> None:
    lines = table(
        [
            Rate("a", 1, 50, 0, 0.01),
            Rate("b", 95, 100, 0.9, 0.98),
            Rate("c", 1_600, 2_000, 0.8, 1),
            Rate("d", 0, 0, 0, 0.01),
            Rate("of these, e", 1, 4, 0, 1),
        ]
    )
    assert lines[2:] == [
        "| a | 1 | 50 | 2.0% | ≤ 1% | missed |",
        "| b | 95 | 100 | 95.0% | 90% to 98% | met |",
        "| c | 1,600 | 2,000 | 80.0% | ≥ 80% | met |",
        "| d | 0 | 0 | - | ≤ 1% | not counted |",
        "| of these, e | 1 | 4 | 25.0% |  |  |",
    ]
