"""Two runs: changes, noise, and runs that cannot be compared."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.report.changes import Changes
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key
from benchmarks.results.runs import load
from benchmarks.tests.saved import (
    NS,
    Saved,
    bench,
    cold_bench,
    faster,
    only,
    save,
    whole_run,
    without_rounds,
)


def changes(before: Saved, now: Saved, folder: Path) -> Changes:
    return Changes.between(
        load(str(save(before, folder / "0001_before.json"))),
        load(str(save(now, folder / "0002_now.json"))),
    )


def shaken(saved: Saved, by: float) -> Saved:
    """As the same machine may measure it next: every row a little faster or slower."""
    chance = np.random.default_rng(3)
    return faster(saved, 1, lambda _: False) | {
        "benchmarks": [
            bench(
                one["extra_info"]["operation"],
                one["extra_info"]["backend"],
                one["extra_info"]["n"],
                one["stats"]["median"]
                / one["extra_info"]["images_per_round"]
                * 1e6
                * np.exp(chance.uniform(-by, by)),
                one["extra_info"]["variant"],
            )
            for one in saved["benchmarks"]
        ]
    }


def test_a_change_is_the_ratio_of_now_to_before_within_its_interval(tmp_path: Path) -> None:
    now = faster(whole_run(), 0.7, lambda info: info["backend"] == "hdf5")
    found = changes(whole_run(), now, tmp_path).rows
    assert len(found) == len(whole_run()["benchmarks"])
    for key, change in found.items():
        assert change.ratio == pytest.approx(0.7 if key.backend == "hdf5" else 1)
        assert change.interval is not None
        assert change.interval.low <= change.ratio <= change.interval.high
        assert change.beyond == (key.backend == "hdf5")


def test_what_moves_no_further_than_the_references_is_noise(tmp_path: Path) -> None:
    now = faster(shaken(whole_run(), 0.15), 1.6, lambda info: info["operation"] == "epoch")
    found = changes(whole_run(), now, tmp_path)
    assert 1.1 < (found.noise["warm"] or 0) < 1.17
    moved = {key for key, change in found.rows.items() if change.beyond}
    slowed = {key for key in found.rows if key[0] == "epoch"}
    assert slowed <= moved
    assert len(moved - slowed) <= 0.1 * len(found.rows)


def test_references_are_never_marked(tmp_path: Path) -> None:
    now = faster(whole_run(), 5, lambda info: info["backend"] in ("limit", "article-png"))
    found = changes(whole_run(), now, tmp_path)
    assert not any(change.beyond for change in found.rows.values())


def of_pictures(decoding: float) -> Saved:
    """A run of a folder of pictures; `decoding` takes so many microseconds per picture."""
    decoder = {"decoder": "simplejpeg 1, else Pillow 1"}
    benches = []
    for n in NS:
        for operation in ("read_single", "read_many", "read_batch"):
            alone = bench(operation, "files", n, 400.0)
            alone["extra_info"] |= {"file_bytes": 100.0, "decoder": "Pillow 1"}
            benches += [alone, bench(operation, "limit", n, 20.0)]
            for name in ("lmdb-encoded", "limit-encoded"):
                images = bench(operation, name, n, 10.0 + decoding)
                images["extra_info"] |= {"file_bytes": 100.0} | decoder
                benches += [images, bench(operation, name, n, 10.0, "bytes")]
        stored = bench("store_many", "limit", n, 30.0 + decoding)
        stored["extra_info"] |= decoder
        benches.append(stored)
    return whole_run() | {"benchmarks": benches}


def test_a_slower_decoder_is_no_noise(tmp_path: Path) -> None:
    found = changes(of_pictures(100.0), of_pictures(150.0), tmp_path)
    assert found.noise == {"warm": 1}
    slower = {key for key, change in found.rows.items() if change.beyond}
    assert slower == {
        Key(operation, "", "lmdb-encoded", n)
        for operation in ("read_single", "read_many", "read_batch")
        for n in NS
    }


def with_cold_rows(by: float) -> Saved:
    """A run with cold rows, of which the references alternate between the two ends of `by`."""
    saved = whole_run()
    for name in ("limit", "article-png", "article-lmdb", "article-hdf5"):
        for operation, factor in (("read_single", by), ("read_many", 1 / by)):
            saved["benchmarks"].append(cold_bench(operation, name, 1000, 100.0 * factor))
    saved["benchmarks"].append(cold_bench("read_many", "hdf5", 1000, 100.0 * by))
    return saved


def test_cold_rows_set_no_bound_for_warm_ones(tmp_path: Path) -> None:
    """Nor warm ones for cold."""
    now = with_cold_rows(1.3)
    now["benchmarks"] = [
        bench("append", "png", 10, 60.0) if one["name"] == "test_append[png-n=10]" else one
        for one in now["benchmarks"]
    ]
    found = changes(with_cold_rows(1.0), now, tmp_path)
    assert found.noise == {"warm": 1, "cold": pytest.approx(1.3, rel=1e-3)}
    assert [key for key, change in found.rows.items() if change.beyond] == [
        Key("append", "", "png", 10)
    ]


def test_a_run_has_not_changed_since_itself(tmp_path: Path) -> None:
    found = changes(whole_run(), whole_run(), tmp_path)
    assert found.none
    assert found.noise == {"warm": 1}
    assert not any(change.beyond for change in found.rows.values())
    assert not changes(only(whole_run(), lambda info: info["n"] > 1), whole_run(), tmp_path).none
    assert not changes(faster(whole_run(), 0.99, lambda _: True), whole_run(), tmp_path).none


def test_where_no_references_tell_the_noise_nothing_is_marked(tmp_path: Path) -> None:
    now = faster(whole_run(), 0.5, lambda info: info["backend"] == "png")
    before = only(whole_run(), lambda info: info["backend"] in ("png", "lmdb"))
    found = changes(before, now, tmp_path)
    assert found.noise == {"warm": None}
    assert not any(change.beyond for change in found.rows.values())


@pytest.mark.parametrize(
    ("changed", "one"),
    [
        ({}, True),
        ({"id": "fedcba9876543210"}, False),
        ({"dirty": True}, False),
        ({"id": None}, False),
        ({"id": "unversioned"}, False),
    ],
)
def test_runs_of_one_commit_are_known(
    tmp_path: Path, changed: dict[str, object], one: bool
) -> None:
    before = whole_run()
    before["commit_info"] |= changed
    assert changes(before, whole_run(), tmp_path).one_commit == one


@pytest.mark.parametrize("changed", [{"id": "unversioned"}, {"dirty": True}])
def test_runs_whose_commit_does_not_tell_their_code_are_never_of_one(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    before, now = whole_run(), whole_run()
    before["commit_info"] |= changed
    now["commit_info"] |= changed
    assert not changes(before, now, tmp_path).one_commit


@pytest.mark.parametrize("older", ["before", "now"])
def test_without_rounds_a_change_has_no_interval_and_no_mark(tmp_path: Path, older: str) -> None:
    before, now = whole_run(), faster(whole_run(), 0.5, lambda _: True)
    without_rounds(before if older == "before" else now)
    for change in changes(before, now, tmp_path).rows.values():
        assert change.ratio == pytest.approx(0.5)
        assert change.interval is None
        assert not change.beyond


def test_rows_of_one_run_only_are_named(tmp_path: Path) -> None:
    before = only(whole_run(), lambda info: info["operation"] != "epoch")
    now = only(whole_run(), lambda info: info["backend"] != "png")
    found = changes(before, now, tmp_path)
    assert {key[0] for key in found.appeared} == {"epoch"}
    assert {key[2] for key in found.gone} == {"png"}
    assert not {key for key in found.rows if key[0] == "epoch" or key[2] == "png"}


def test_runs_of_unlike_machines_or_data_are_refused(tmp_path: Path) -> None:
    before = whole_run()
    before["machine_info"] |= {"cpu_model": "Slide\nrule", "dataset": "other\ud800"}
    with pytest.raises(ResultsError) as caught:
        changes(before, whole_run(), tmp_path)
    assert str(caught.value) == (
        r"run 0001 does not compare with 0002: it differs in CPU (Slide\nrule, now Abacus),"
        r" data set (other\ud800, now standin-v9)"
    )
