"""Several runs as one."""

from pathlib import Path

import pytest

from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.pool import pool
from benchmarks.results.runs import SavedRun, load
from benchmarks.tests.saved import SPREAD, Saved, faster, only, save, whole_run, without_rounds

KEY = Key("read_many", "", "hdf5", 1000)


def loaded(saved: Saved, folder: Path, number: int) -> SavedRun:
    saved["datetime"] = f"2026-11-2{number}T03:29:00.687510+00:00"
    return load(str(save(saved, folder / f"000{number}_x.json")))


def test_a_run_alone_stays_as_it_is(tmp_path: Path) -> None:
    run = loaded(whole_run(), tmp_path, 1)
    assert pool([run]) is run


def test_the_sweeps_of_all_runs_count_and_the_median_is_that_of_all_rounds(tmp_path: Path) -> None:
    slow = faster(whole_run(), 1.5, lambda info: info["backend"] == "hdf5")
    runs = [loaded(saved, tmp_path, k) for k, saved in enumerate((whole_run(), slow, slow), 1)]
    pooled = pool(runs)
    assert pooled.name == "0001 + 0002 + 0003"
    assert pooled.when == runs[-1].when
    row, first = pooled.rows[KEY], runs[0].rows[KEY]
    assert row.figure.rounds == 3 * len(SPREAD)
    assert row.rounds is not None
    assert len(row.rounds) == row.figure.rounds
    assert {place for place, _ in row.figure.sweeps} == {0, 1, 2}
    assert len(row.figure.sweeps) == 3 * len(SPREAD)
    assert 1.4 < row.figure.microseconds / first.figure.microseconds < 1.55
    assert row.q1 < row.figure.microseconds < row.q3
    # Ratios are within runs, in which both were measured.
    limit = pooled.rows[Key("read_many", "", "limit", 1000)].figure
    assert row.figure.ratio_to(limit).value == pytest.approx(3.0)


def test_more_runs_narrow_the_interval(tmp_path: Path) -> None:
    one, two, three = (loaded(whole_run(), tmp_path, number) for number in (1, 2, 3))
    alone, together = one.rows[KEY].interval, pool([one, two, three]).rows[KEY].interval
    assert alone is not None
    assert together is not None
    assert together.high - together.low < 0.6 * (alone.high - alone.low)


def test_a_row_of_one_run_only_is_kept_and_unknown_rounds_give_way(tmp_path: Path) -> None:
    fewer = loaded(only(whole_run(), lambda info: info["backend"] != "hdf5"), tmp_path, 1)
    old = loaded(without_rounds(whole_run()), tmp_path, 2)
    new = loaded(whole_run(), tmp_path, 3)
    assert pool([fewer, new]).rows[KEY].figure.sweeps.keys() == {
        (1, sweep) for sweep in range(len(SPREAD))
    }
    assert pool([old, new]).rows[KEY].figure.rounds == len(SPREAD)
    assert pool([old, fewer]).rows[KEY].rounds is None
    assert pool([old, fewer]).rows[KEY].interval is None


def test_what_one_run_measured_was_not_skipped(tmp_path: Path) -> None:
    nowhere = SkippedRow(Key("loader", "3 workers", "png", 1000), "torch is not installed")
    elsewhere = SkippedRow(KEY, "no space")
    lacking = only(whole_run(), lambda info: info["backend"] != "hdf5")
    lacking["skipped"] = [nowhere.written(), elsewhere.written()]
    one = loaded(lacking, tmp_path, 1)
    assert one.skipped == (nowhere, elsewhere)
    assert pool([one, loaded(whole_run(), tmp_path, 2)]).skipped == (nowhere,)


@pytest.mark.parametrize(
    ("part", "changed", "said"),
    [
        ("machine_info", {"cpu_model": "Slide rule"}, "CPU"),
        ("machine_info", {"file_system": "xfs"}, "file system"),
        ("machine_info", {"dataset": "other"}, "data set"),
        ("commit_info", {"id": "fedcba9876543210"}, "commit"),
        ("commit_info", {"dirty": True}, "code, of which no commit tells all"),
    ],
)
def test_unlike_runs_are_not_pooled(
    tmp_path: Path, part: str, changed: dict[str, object], said: str
) -> None:
    other = whole_run()
    other[part] |= changed
    runs = [loaded(whole_run(), tmp_path, 1), loaded(other, tmp_path, 2)]
    with pytest.raises(
        ResultsError, match=f"0001 and 0002 cannot be pooled: they differ in {said}"
    ):
        pool(runs)


def test_runs_of_which_no_commit_tells_all_code_are_not_pooled(tmp_path: Path) -> None:
    """Each could have other changes."""
    dirty = whole_run()
    dirty["commit_info"]["dirty"] = True
    with pytest.raises(ResultsError, match="differ in code, of which no commit tells all"):
        pool([loaded(dirty, tmp_path, 1), loaded(dirty, tmp_path, 2)])


def test_a_run_counts_once(tmp_path: Path) -> None:
    run = loaded(whole_run(), tmp_path, 1)
    with pytest.raises(ResultsError, match="run 0001 is named twice"):
        pool([run, loaded(whole_run(), tmp_path, 2), run])
