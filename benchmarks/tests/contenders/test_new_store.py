"""A new store: with a module and a class, it takes part in every test and benchmark."""

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.tests.harness.test_loader import HAS_TORCH
from benchmarks.tests.runs import REPOSITORY, run
from storage.tests.samples import stores_of_each_kind
from storage.tests.trials import Trials, read_option

MODULE = Path(__file__).with_name("sqlite_container.py")
"""A container that keeps each cell in SQLite."""
MOST_LINES = 150

ORACLE = """
import sqlite3
from contextlib import closing


def read_sqlite(part: Path) -> bytes:
    with closing(sqlite3.connect(part / "cells.sqlite")) as database:
        return b"".join(cell for (cell,) in database.execute("SELECT cell FROM cells ORDER BY row"))


def write_sqlite(part: Path, cells: Cells) -> PlainStructure:
    file = part / "cells.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE cells (row INTEGER PRIMARY KEY, cell BLOB NOT NULL)")
        database.executemany("INSERT INTO cells VALUES (?, ?)", enumerate(cells.data))
    data = file.read_bytes()
    return PlainStructure([], [(0, 100), (len(data), 0)])


CELL_FILES = (*CELL_FILES, "cells.sqlite")
STORES["sqlite"] = PlainContainer(read_sqlite, write_sqlite), RAW
"""
"""Put at the end of `storage/tests/raw.py`, by which tests read and write every store's files."""

IMPORT = "from .containers.npy import NpyContainer\n"
OPENING = "\n\ndef open_store("
"""What comes before, or after, what is added to the registry."""
STORE = '''

class SqliteStore(Store, name="sqlite", container=SqliteContainer(), payload=RawPayload()):
    """Pixels in SQLite files; see `Store`."""
'''


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more store, without the tests of the tools: this is one."""
    copy = tmp_path_factory.mktemp("copy")
    caches = "__pycache__"
    shutil.copytree(REPOSITORY / "storage", copy / "storage", ignore=shutil.ignore_patterns(caches))
    without = shutil.ignore_patterns(caches, "tests")
    shutil.copytree(REPOSITORY / "benchmarks", copy / "benchmarks", ignore=without)
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(REPOSITORY / name, copy)
    shutil.copy(MODULE, copy / "storage" / "containers" / "sqlite.py")
    with (copy / "storage" / "tests" / "raw.py").open("a") as raw:
        raw.write(ORACLE)
    registry = copy / "storage" / "_registry.py"
    text = registry.read_text()
    assert text.count(IMPORT) == text.count(OPENING) == 1
    text = text.replace(IMPORT, f"{IMPORT}from .containers.sqlite import SqliteContainer\n")
    registry.write_text(text.replace(OPENING, STORE + OPENING))
    return copy


def test_a_container_is_one_short_module() -> None:
    assert len(MODULE.read_text().splitlines()) < MOST_LINES


TESTS = sorted(
    str(path.relative_to(REPOSITORY))
    for path in (REPOSITORY / "storage" / "tests").glob("test_*.py")
)
GROUPS = 4
"""The modules of tests are run in as many processes, which other tests may run beside."""
NOT_ITS = ("lines_of_the_docstrings", "a_read_that_fails")
"""Tests of what the modules of this project's containers say, and of a disk that fails while it is
read, which SQLite reports as damage (`SQLITE_IOERR_CORRUPTFS`).
"""


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_new_store_goes_through_the_contract_tests(
    repository: Path, group: int, request: pytest.FixtureRequest
) -> None:
    """Those that take long in the full trials only: `--faults 1000`."""
    chosen = " and not ".join(("sqlite", *NOT_ITS))
    first, *others = TESTS[group::GROUPS]
    trials = Trials(read_option(request.config.getoption("faults")))
    quick = () if trials.full else ("-m", f"not {stores_of_each_kind.name}")
    # One trial of each fault; the stores of this project have more.
    done = run("-k", chosen, *quick, "--faults=1", *others, tests=first, repository=repository)
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), done.stdout
    if "storage/tests/test_contract.py" in (first, *others):
        assert re.search(r" \d{2,} passed, ", done.stdout)


def test_a_new_store_goes_through_every_benchmark(repository: Path) -> None:
    done = run("--benchmark-disable", "-v", "--backend=sqlite", repository=repository)
    assert done.returncode == 0, done.stdout
    operations = ("store_many", "append", "read_single", "read_many", "read_batch", "epoch")
    ways = ("iterate[sqlite-n=10-single", "iterate[sqlite-n=10-slice")
    teams = [f"parallel_read[sqlite-n=10-processes={processes}" for processes in (1, 2, 4)]
    names = [f"{operation}[sqlite-n=10" for operation in operations]
    commits = [f"commits_{what}" for what in ("store[sqlite", "open[sqlite", "read[sqlite-read")]
    loaders = [f"loader[sqlite-workers={count}" for count in (0, 1, 2, 4)] if HAS_TORCH else []
    for name in ("store_single[sqlite", *names, *ways, *teams, *commits, *loaders):
        assert f"::test_{name}] PASSED" in done.stdout
    assert f" {16 + len(loaders)} passed" in done.stdout


def test_a_new_store_is_measured_only_if_it_is_asked_for(repository: Path) -> None:
    listed = run("--collect-only", "-q", repository=repository).stdout
    assert "[hdf5-" in listed
    assert "sqlite" not in listed
    assert "hdf5-encoded, sqlite, limit" in " ".join(
        run("--help", repository=repository).stdout.split()
    )


def test_a_new_store_is_in_the_tables_where_the_registry_lists_it(
    repository: Path, tmp_path: Path
) -> None:
    done = run(
        f"--store-dir={tmp_path}",
        "--backend=limit,sqlite,png",
        *("-k", "read_many or iterate"),
        repository=repository,
    )
    assert done.returncode == 0, done.stdout
    summary = done.stdout.split(" image storage benchmark ")[1].splitlines()
    rows = [line.split()[0] for line in summary if line.startswith(("png", "sqlite", "limit"))]
    assert rows == ["png", "sqlite", "limit", "png", "png", "sqlite", "sqlite"]
