"""A row that was measured twice, as if it were two."""

from pathlib import Path

import pytest

from benchmarks.report.noise import pairs, sentences, told_apart
from benchmarks.results.keys import Key
from benchmarks.results.runs import SavedRun, load
from benchmarks.tests.saved import SPREAD, bench, save, whole_run


def run_of(folder: Path, *twins: tuple[int, float]) -> SavedRun:
    """A run with a second copy of HDF5's row at each n, slower by a factor."""
    rows = [bench("read_many", "hdf5", n, 2.0) for n, _ in twins]
    copies = [
        bench("read_many", "hdf5-twin", n, 2.0 * factor, spread=SPREAD[::-1]) for n, factor in twins
    ]
    saved = whole_run() | {"benchmarks": [*rows, *copies, bench("read_many", "png-twin", 7, 1.0)]}
    return load(str(save(saved, folder / "run.json")))


def test_each_row_is_paired_with_its_copy(tmp_path: Path) -> None:
    found = pairs(run_of(tmp_path, (10, 1.0), (100, 1.02)).figures)
    assert [pair.key for pair in found] == [
        Key("read_many", "", "hdf5", 10),
        Key("read_many", "", "hdf5", 100),
    ]
    assert [pair.ratio.value for pair in found] == pytest.approx([1.0, 1.02], rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_copy_that_would_win_or_lose_is_counted(tmp_path: Path, factor: float) -> None:
    found = pairs(run_of(tmp_path, (10, 1.0), (100, factor)).figures)
    assert told_apart(found) == [found[1]]


def test_the_page_has_a_summary_and_each_ratio(tmp_path: Path) -> None:
    summary, *ratios = sentences(run_of(tmp_path, (10, 1.0), (100, 2.0)))
    assert summary.startswith("2 rows were measured twice, as if they were two.")
    assert summary.endswith("1 of 2 intervals leave out 1, and 1 pairs would have a winner.")
    assert ratios[1].startswith("read_many hdf5 n=100: 2.00 (1.9")


def test_a_run_without_copies_says_nothing(tmp_path: Path) -> None:
    assert sentences(load(str(save(whole_run(), tmp_path / "run.json")))) == []
