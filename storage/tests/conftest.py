"""The trials of a run, and the table of them at its end where `--faults` asked for them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from .. import STORES
from .histories import NEVER, SMALL_PIECES
from .nursery import Nursery
from .samples import kinds, stores_of_each_kind
from .trials import Trials, not_tried, read_option

HERE = Path(__file__).parent
IN_MEMORY = Path("/dev/shm")  # noqa: S108  # only the folder in which a temporary one is made
WARNINGS = (
    # Python 3.12 and newer warn of a fork beside other threads, which the child then lacks. The tests
    # fork so on purpose, to see that a store does not mind.
    "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning",
    # A finaliser that fails writes to standard error.
    "error::pytest.PytestUnraisableExceptionWarning",
)
TRIALS = pytest.StashKey[Trials]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRIALS] = Trials(read_option(config.getoption("faults")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker(stores_of_each_kind.name):
        chosen = STORES if metafunc.config.stash[TRIALS].full else kinds()
        metafunc.parametrize("store_class", chosen.values(), ids=chosen)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            for warning in WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


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
def path(tmp_path: Path) -> Path:
    """Where a test may create a store."""
    return tmp_path / "store"


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """How many faults a test tries, and where it counts what came of them."""
    return request.config.stash[TRIALS]


@pytest.fixture(scope="session")
def all_trials(request: pytest.FixtureRequest) -> Trials:
    """The same, for fixtures that several tests share."""
    return request.config.stash[TRIALS]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few small images are a large call then: several blocks of LMDB, PNG in threads."""
    for name, value in SMALL_PIECES.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call's part stays as it is."""
    monkeypatch.setattr("storage._catalog.FOLD", NEVER)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    started = Nursery()
    yield started
    started.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may write, where pytest's own ones are closed to others.

    In memory if there is such a file system: what tests do in it is many small files.
    """
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    # A killed process's orphans may still write there.
    with tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
