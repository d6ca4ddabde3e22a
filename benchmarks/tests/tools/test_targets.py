"""The tables of targets: each figure is the run's, and is judged by its target."""

from pathlib import Path

import pytest

from benchmarks.tests.saved import Saved, only, save, whole_run
from benchmarks.tools.targets import AtLeast, AtMost, main


def lines_of(saved: Saved, path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The cells that are printed, by the first of their line."""
    assert main([str(save(saved, path / "run.json"))]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for line in lines if (cells := line.strip("| ").split(" | "))}


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (AtMost(1.3, " × limit", 1.3), "1.30 × limit ≤ 1.3"),
        (AtMost(1.31, "", 1.3), "**1.31 > 1.3**"),
        (AtLeast(1.7, "", 1.7), "1.70 ≥ 1.7"),
        (AtLeast(1.69, " µs", 1.7), "**1.69 µs < 1.7**"),
    ],
)
def test_a_figure_that_misses_its_target_is_bold(bound: AtMost, text: str) -> None:
    assert str(bound) == text


def test_figures_are_those_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(whole_run(), tmp_path, capsys)
    assert lines["store_many"][0] == "**2.00 × limit > 1.15**"
    assert lines["store_many"][2] == "**0.333 × article-png > 0.3**"
    assert lines["read_batch, per image"][:2] == ["**2.00 µs > 1**", "**4.00 µs > 1.3**"]
    assert lines["allocated bytes per image"][0] == "**3,200 > 3,100**"
    assert lines["parallel_read, 2 processes"] == ["2.00 × one process ≥ 1.7"] * 3
    assert lines["store_many, × that at n = 10"] == ["0.505 ≤ 1.3"] * 3  # 1 + 10 / n µs an image
    assert lines["iterate slice, × that at n = 10"] == lines["epoch, × that at n = 10"]
    assert lines["store_single, buffered"][0] == "0.003 × article-hdf5 ≤ 1.5"
    assert lines["compacted, × that of one call"] == ["0.990 ≤ 1.2"] * 3


def test_a_run_without_a_row_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacking = only(whole_run(), lambda info: info["operation"] != "epoch")
    assert main([str(save(lacking, tmp_path / "run.json"))]) == 2
    error = capsys.readouterr().err
    assert error == "error: run run lacks epoch hdf5 n=1,000; make a complete run\n"
