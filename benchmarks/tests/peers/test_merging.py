"""One run of several: rounds are pooled, and nothing of a process is lost."""

import copy
from pathlib import Path

import pytest

from benchmarks.peers.merging import MEDIANS, merged, save
from benchmarks.results.keys import Key
from benchmarks.results.runs import load
from benchmarks.tests.saved import Saved

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
    assert limit["extra_info"][MEDIANS] == pytest.approx({"peer-npy": 2e3, "peer-arrow": 5.5e3})
    assert "data" not in limit["stats"]


def test_what_one_process_measured_is_as_it_was() -> None:
    npy = found(merged(TWO), "peer-npy")
    assert (npy["stats"]["rounds"], npy["stats"]["median"]) == (2, 4e-3)
    assert npy["extra_info"][MEDIANS] == pytest.approx({"peer-npy": 4e3})


def test_the_circumstances_are_those_of_the_first_with_the_libraries_of_all() -> None:
    run = merged(TWO)
    assert run["machine_info"]["peer_libraries"] == {"numpy": "2.4", "pyarrow": "26"}
    first = TWO["peer-npy"]
    assert run["commit_info"] == first["commit_info"]
    assert run["machine_info"]["cpu_model"] == first["machine_info"]["cpu_model"]


def test_what_any_process_skipped_is_named_once() -> None:
    skipped = [{"backend": "png"}, {"backend": "limit"}]
    runs = {
        peer: run | {"skipped": own}
        for (peer, run), own in zip(TWO.items(), (skipped, skipped[1:]), strict=True)
    }
    assert merged(runs)["skipped"] == skipped


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
