"""Figures look the same whatever the user has set for matplotlib."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from benchmarks.report import style
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment
from benchmarks.tests.saved import only, save, whole_run

OTHER = """
text.usetex: True
font.family: serif
font.size: 30
figure.dpi: 31
savefig.bbox: tight
savefig.dpi: 33
savefig.transparent: True
svg.fonttype: path
svg.hashsalt: other
axes.prop_cycle: cycler('color', ['r'])
axes.formatter.use_locale: True
axes.formatter.limits: 0, 0
axes.unicode_minus: False
axes.xmargin: 0.4
lines.marker: x
legend.loc: lower left
xtick.direction: in
"""
"""Of a matplotlibrc: what breaks where there is no LaTeX, and what changes a figure."""


def report(folder: Path, run: Path, variables: dict[str, str]) -> dict[str, bytes]:
    """The files that the command makes of a run, when it is started in a folder."""
    command = [sys.executable, "-m", "benchmarks.report", str(run), f"--out={folder / 'out'}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(REPOSITORY) | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in (folder / "out").iterdir()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = only(
        whole_run(), lambda info: info["operation"] == "read_many" and info["backend"] != "png"
    )
    return save(few, tmp_path_factory.mktemp("run") / "run.json")


@pytest.fixture(scope="module")
def usual(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return report(tmp_path_factory.mktemp("usual"), run, {"MPLCONFIGDIR": "", "MPLBACKEND": ""})


@pytest.mark.parametrize(
    "variables",
    [
        {
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MPLCONFIGDIR": "{}/settings",
        },
        {
            "MPLBACKEND": "no such",
            "MATPLOTLIBRC": "{}/broken/matplotlibrc",
            "MPLCONFIGDIR": "/proc/nowhere",
            "HOME": "/proc/nowhere",
        },
    ],
    ids=lambda variables: " ".join(f"{name}={value}" for name, value in variables.items()),
)
def test_no_variable_of_the_environment_changes_a_figure(
    usual: dict[str, bytes], run: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    for folder, content in (("settings", OTHER.encode()), ("broken", b"\xff\xfe")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "matplotlibrc").write_bytes(content)
    set_so = {name: value.format(tmp_path) for name, value in variables.items()}
    assert report(tmp_path, run, set_so) == usual


def test_nor_does_a_file_where_the_report_is_started(
    usual: dict[str, bytes], run: Path, tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_text(OTHER)
    assert report(tmp_path, run, {}) == usual


def drawn() -> str:
    with style.canvas("name", "Title") as (figure, axes):
        axes.plot([1, 2000], [-1, 2])
        return style.svg(figure, "name", "Title", "Lines")


def test_nor_do_settings_that_were_made_before(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(OTHER)
    usual = drawn()
    with mpl.rc_context(fname=tmp_path / "matplotlibrc"):
        assert drawn() == usual
        assert mpl.rcParams["text.usetex"]
