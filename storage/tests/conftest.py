"""The trials of a run, and the table of them at its end where `--faults` asked for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from .histories import SMALL_PIECES
from .nursery import Nursery
from .trials import Trials, not_tried, read_option

HERE = Path(__file__).parent
TRIALS = pytest.StashKey[Trials]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRIALS] = Trials(read_option(config.getoption("faults")))


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("faults"):
        terminalreporter.section("faults")
        skipped = [
            (report.nodeid.split("::")[-1], report.longrepr[2].removeprefix("Skipped: "))
            for report in terminalreporter.getreports("skipped")
            if (config.rootpath / report.nodeid.split("::")[0]).parent == HERE
        ]
        for line in (*config.stash[TRIALS].table(), *not_tried(skipped)):
            terminalreporter.write_line(line)


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """How many faults a test tries, and where it counts what came of them."""
    return request.config.stash[TRIALS]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few small images are a large call: several transactions of LMDB, PNG in threads."""
    for name, value in SMALL_PIECES.items():
        monkeypatch.setattr(name, value)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    yield started
    started.close()
