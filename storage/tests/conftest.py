"""The trials of a run, and the table of them at its end where `--faults` asked for them."""

import pytest
from _pytest.terminal import TerminalReporter

from .trials import Trials, read_option

TRIALS = pytest.StashKey[Trials]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRIALS] = Trials(read_option(config.getoption("faults")))


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("faults"):
        terminalreporter.section("faults")
        for line in config.stash[TRIALS].table():
            terminalreporter.write_line(line)


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """How many faults a test tries, and where it counts what came of them."""
    return request.config.stash[TRIALS]
