"""The page's part on peers."""

from pathlib import Path

import pytest

from benchmarks.peers.merging import merged
from benchmarks.report import tables
from benchmarks.report.page import render
from benchmarks.results.peers import COLUMNS, peer_tables
from benchmarks.results.runs import SavedRun, load
from benchmarks.tests.peers.runs_of_peers import TWO, measured
from benchmarks.tests.saved import Saved, save, whole_run

TIMES = [1e-3, 1.001e-3, 0.999e-3]
OF_ROWS = {"limit": 0.5, "png": 40.0, "lmdb": 1.2, "hdf5": 1.1}
"""By how much longer a row takes than the peer that is ahead."""


@pytest.fixture
def run(tmp_path: Path) -> SavedRun:
    """A run in which one peer is ahead of every store, and another is not."""
    runs: dict[str, Saved] = {}
    for peer, own in {"peer-npy": 1.0, "peer-arrow": 1.1}.items():
        rows = OF_ROWS | {peer: own}
        benches = [measured(name, [t * by for t in TIMES]) for name, by in rows.items()]
        runs[peer] = TWO[peer] | {"benchmarks": benches}
    return load(str(save(merged(runs), tmp_path / "run.json")))


def test_formats_by_operations_with_those_ahead_in_bold(run: SavedRun) -> None:
    (table,) = tables.of_peers(peer_tables(run.figures.values()))
    assert table.title == "n = 1,000"
    assert table.columns == ("read all",)
    lines = {line.label: line for line in table.lines}
    assert [*lines] == ["png", "lmdb", "hdf5", "limit", "peer-npy", "peer-arrow"]
    assert {name: line.cells[0].mark for name, line in lines.items() if line.cells[0].mark} == {
        "peer-npy": "wins"
    }
    assert (lines["peer-npy"].cells[0].text, lines["peer-npy"].cells[0].note) == ("1.00", "×2.00")
    assert [name for name, line in lines.items() if line.reference] == ["limit"]


def test_the_page_says_which_peers_are_ahead(run: SavedRun) -> None:
    page = render(run, None, (), (), ())
    assert "<li>read all: peer-npy</li>" in page
    assert "<li>store all" not in page


def test_a_page_without_peers_has_no_such_part(tmp_path: Path) -> None:
    run = load(str(save(whole_run(), tmp_path / "run.json")))
    assert "what people would pick instead" not in render(run, None, (), (), ())


def test_no_two_columns_share_a_name() -> None:
    names = [job.name for job in COLUMNS]
    assert len({*names}) == len(names)
