"""The part of a page that sets cold rows beside warm ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.report import style
from benchmarks.report.__main__ import main
from benchmarks.report.cold import draw, lines
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.runs import SavedRun, load
from benchmarks.tests.saved import Saved, bench, cold_bench, save, whole_run

from .drawing import draw_only

SKIPPED = SkippedRow(Key("read_batch", "", "png", 1000, cold=True), "tmpfs keeps it")


def with_cold_rows() -> Saved:
    """A whole run with the cold rows of three back ends, of which one was skipped."""
    saved = whole_run()
    saved["benchmarks"] += [
        cold_bench("read_single", "lmdb", 1000, 808.0),
        cold_bench("read_many", "limit", 1000, 10.1),
        cold_bench("read_many", "hdf5", 1000, 20.2),
        cold_bench("read_many", "png", 1000, 101.0),
    ]
    return saved | {"skipped": [SKIPPED.written()]}


@pytest.fixture
def run(tmp_path: Path) -> SavedRun:
    return load(str(save(with_cold_rows(), tmp_path / "run.json")))


def test_each_row_that_was_measured_both_ways_has_a_line(run: SavedRun) -> None:
    found = lines(run)
    assert [(line.operation, line.label, line.n) for line in found] == [
        ("read_single", "lmdb", "1,000"),
        ("read_many", "png", "1,000"),
        ("read_many", "hdf5", "1,000"),
        ("read_many", "limit", "1,000"),
    ]
    assert [line.begins for line in found] == [False, True, False, False]
    assert [line.reference for line in found] == [False, False, False, True]
    _, png, hdf5, limit = found
    assert (png.warm, png.cold, png.times) == ("50.5", "101", "×2.00")
    assert (hdf5.warm, hdf5.cold, hdf5.times) == ("2.02", "20.2", "×10")
    assert limit.times == "×10"
    low, _, high = hdf5.between.partition(" to ")
    assert float(low) <= 10 <= float(high)


def test_a_run_without_cold_rows_has_none(tmp_path: Path) -> None:
    warm = load(str(save(whole_run(), tmp_path / "run.json")))
    assert lines(warm) == []
    with style.canvas("cold", "") as (_, axes):
        assert not draw(axes, warm)


def test_the_figure_goes_from_warm_to_cold(run: SavedRun) -> None:
    with style.canvas("cold", "") as (_, axes):
        assert draw(axes, run)
        ends = [np.asarray(line.get_xdata()) for line in axes.lines]
        pairs = np.array([of for of in ends if len(of) == 2])
        expected = [(4.04, 808.0), (50.5, 101.0), (2.02, 20.2), (1.01, 10.1)]
        np.testing.assert_allclose(pairs, expected)
        assert axes.get_xscale() == "log"
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["read_single\nn = 1,000", "read_many\nn = 1,000"]
        assert axes.get_legend_handles_labels()[1] == ["lmdb", "png", "hdf5", "limit"]


def test_what_is_read_undecoded_or_at_another_n_has_a_group_of_its_own(tmp_path: Path) -> None:
    saved = whole_run()
    rows = [("", 100, 10.0), ("bytes", 100, 2.0), ("", 1000, 8.0)]
    saved["benchmarks"] = []
    for variant, n, microseconds in rows:
        warm = bench("read_many", "lmdb-encoded", n, microseconds, variant)
        cold = cold_bench("read_many", "lmdb-encoded", n, 3 * microseconds)
        cold["extra_info"]["variant"] = variant
        saved["benchmarks"] += [warm, cold]
    run = load(str(save(saved, tmp_path / "run.json")))
    with style.canvas("cold", "") as (_, axes):
        assert draw(axes, run)
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["read_many\nn = 100", "read_many\nn = 1,000", "read_many bytes\nn = 100"]
        drawn = [(np.asarray(o.get_xdata()), np.asarray(o.get_ydata())) for o in axes.lines]
        pairs = [(*x, np.mean(y)) for x, y in drawn if len(x) == 2]
        np.testing.assert_allclose(pairs, [(10, 30, 0), (8, 24, 1), (2, 6, 2)], atol=1e-9)
        assert axes.get_legend_handles_labels()[1] == ["lmdb-encoded"]


def test_the_page_shows_both_and_a_winner_among_fewer_stores_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch)
    saved = save(with_cold_rows(), tmp_path / "run.json")
    assert main([str(saved), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "cold.svg").exists()
    assert '<th scope="row">read_many hdf5</th>\n<td>1,000</td><td>2.02</td><td>20.2</td>' in page
    assert page.count("Not measured: tmpfs keeps it: read_batch png n=1,000 cold.") == 1
    assert page.index("Not measured: tmpfs") > page.index("Before you rely on it")
    assert "read_batch png n=1,000 cold" not in page[page.index('id="cold"') :]
    card = page[page.index("<h3>Read everything, cold</h3>") :]
    card = card[: card.index("</li>")]
    assert '<div class="verdict">hdf5</div>' in card
    assert "Not measured here: lmdb, npy, " in card
    assert "<h3>read_many, cold</h3>" in page
