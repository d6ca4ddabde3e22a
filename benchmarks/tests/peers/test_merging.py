"""One run of several: rounds are pooled, and each process keeps its sweeps."""

import copy
from pathlib import Path

import pytest

from benchmarks.peers.merging import merged, save
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.pool import pool
from benchmarks.results.runs import load
from benchmarks.tests.saved import Saved
from benchmarks.tests.saved import save as write_saved

from .runs_of_peers import TWO


def found(run: Saved, backend: str) -> Saved:
    (one,) = [b for b in run["benchmarks"] if b["extra_info"]["backend"] == backend]
    assert isinstance(one, dict)
    return one


def test_what_every_process_measured_has_the_rounds_of_all() -> None:
    limit = found(merged(TWO), "limit")
    assert limit["stats"]["rounds"] == 5
    assert limit["stats"]["median"] == 3e-3
    assert limit["extra_info"]["rounds_microseconds"] == "1000 2000 3000 5000 6000"
    assert limit["extra_info"]["microseconds_per_image"] == pytest.approx(3)
    assert limit["extra_info"]["sweep_rounds"] == [1] * 5
    assert limit["extra_info"]["sweep_numbers"] == "0 1 2 3 4"
    assert "data" not in limit["stats"]


def test_what_one_process_measured_is_as_it_was() -> None:
    npy = found(merged(TWO), "peer-npy")
    assert (npy["stats"]["rounds"], npy["stats"]["median"]) == (2, 4e-3)
    assert npy["extra_info"]["sweep_numbers"] == "0 1"
    arrow = found(merged(TWO), "peer-arrow")
    assert arrow["extra_info"]["sweep_numbers"] == "3"


def test_the_circumstances_are_those_of_the_first_with_the_libraries_of_all() -> None:
    run = merged(TWO)
    assert run["machine_info"]["peer_libraries"] == {"numpy": "2.4", "pyarrow": "26"}
    first = TWO["peer-npy"]
    assert run["commit_info"] == first["commit_info"]
    assert run["machine_info"]["cpu_model"] == first["machine_info"]["cpu_model"]
    orders = [{"count": 2, "order_seed": seed} for seed in (1, 2)]
    runs = {
        peer: saved | {"sweeps": order}
        for (peer, saved), order in zip(TWO.items(), orders, strict=True)
    }
    assert merged(runs)["sweeps"] == {"processes": orders}


def test_what_any_process_skipped_is_named_once() -> None:
    skipped = [
        SkippedRow(Key("read_many", "", name, 1000), "why").written()
        for name in ("png", "lmdb", "peer-arrow")
    ]
    runs = {
        peer: run | {"skipped": own}
        for (peer, run), own in zip(TWO.items(), (skipped, skipped[1:]), strict=True)
    }
    assert merged(runs)["skipped"] == skipped[:2]  # the last was measured in its own process


def test_a_process_in_which_all_failed_has_no_sweeps() -> None:
    nothing = TWO["peer-npy"] | {"benchmarks": []}
    run = merged({"peer-npy": nothing, "peer-arrow": TWO["peer-arrow"]})
    assert found(run, "limit")["extra_info"]["sweep_numbers"] == "1 2"


def test_the_runs_given_are_not_changed() -> None:
    before = copy.deepcopy(TWO)
    merged(TWO)
    assert before == TWO


def test_a_saved_run_has_the_next_number_and_is_read_as_any_other(tmp_path: Path) -> None:
    first, second = (save(merged(TWO), tmp_path) for _ in range(2))
    assert [path.name[:5] for path in (first, second)] == ["0001_", "0002_"]
    run = load(str(second))
    assert run.unreadable == run.strangers == ()
    assert {key[2] for key in run.rows} == {"limit", "peer-npy", "peer-arrow"}
    row = run.rows[Key("read_many", "", "limit", 1000)]
    assert row.figure.microseconds == pytest.approx(3)
    assert row.rounds is not None
    assert len(row.rounds) == 5
    arrow = run.rows[Key("read_many", "", "peer-arrow", 1000)].figure
    # Of its own process: its only sweep has the number of the limit's fourth.
    assert arrow.ratio_to(row.figure).value == pytest.approx(12 / 5)


def test_runs_of_peers_are_pooled_and_each_process_keeps_its_sweeps(tmp_path: Path) -> None:
    runs = []
    for day, peer in enumerate(TWO, 1):
        one = merged({peer: TWO[peer]}) | {"datetime": f"2026-11-2{day}T03:29:00+00:00"}
        runs.append(load(str(write_saved(one, tmp_path / f"000{day}_x.json"))))
    run = pool(runs)
    assert run.machine["peer_libraries"] == {"numpy": "2.4", "pyarrow": "26"}
    limit, npy, arrow = (
        run.rows[Key("read_many", "", name, 1000)].figure
        for name in ("limit", "peer-npy", "peer-arrow")
    )
    assert len(limit.sweeps) == 5
    assert npy.sweeps.keys() < limit.sweeps.keys()
    assert arrow.ratio_to(limit).value == pytest.approx(12 / 5)
    assert not npy.sweeps.keys() & arrow.sweeps.keys()
