"""Hooks of pytest and pytest-benchmark: options, fixtures, metadata of saved runs, the summary.

Each hook only calls the module of `benchmarks` that its name suggests. The command
`pytest-benchmark compare` imports this file too, without pytest's configuration.
"""

import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import chdir
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any  # for JSON

import pytest
from _pytest.terminal import TerminalReporter
from pytest_benchmark import plugin
from pytest_benchmark.session import PerformanceRegression
from pytest_benchmark.utils import load_timer

from benchmarks.contenders.base import Contender
from benchmarks.contenders.peers import versions
from benchmarks.contenders.rows import find_row
from benchmarks.datasets import is_folder_of_pictures
from benchmarks.harness import options
from benchmarks.harness.interruption import heed_termination
from benchmarks.harness.links import Project, named_paths
from benchmarks.harness.loader import LoaderSetting
from benchmarks.harness.output import encodable
from benchmarks.harness.passes import Benchmark, Passes
from benchmarks.harness.suite import Measure, Suite
from benchmarks.harness.sweeps import OF_ROWS, Sweeps
from benchmarks.harness.text import one_line
from benchmarks.harness.workers import Workers
from benchmarks.results import addresses, decoding, jobs, keys, machine, saving, summary
from benchmarks.results.recorded import COLD, Recorded, is_recorded

PROJECT = Project(Path(__file__).parent)
OPERATIONS = PROJECT.folder / "benchmarks" / "operations"
TOOL_TESTS = PROJECT.folder / "benchmarks" / "tests"
STORING = ("test_store.py", "test_commits.py")
VARIANTS = ("how", "processes", "state", *LoaderSetting._fields)
"""The parameters of benchmarks that tell the variants of an operation apart."""

pytest_plugins = ("storage.tests.trials",)
"""Loaded here, before the tests are collected, or pytest would not know the option `--faults`."""

SUITE = pytest.StashKey[Suite]()
OPTIONS = pytest.StashKey[options.Options]()
SWEEPS = pytest.StashKey[Sweeps]()
NOT_SAVED = pytest.StashKey[list[str]]()


# ---- the run -------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    try:
        options.add_options(parser)
    except ValueError as error:  # pytest has loaded this file twice, under two names
        raise pytest.UsageError(
            f"{PROJECT.folder}: named both with and without a symbolic link; name it in one way"
        ) from error


def pytest_configure(config: pytest.Config) -> None:
    start = config.invocation_params.dir
    config.args = [PROJECT.without_links(argument, start) for argument in config.args]
    config.stash[OPTIONS] = options.read_options(config)
    if not _only_measures(config):
        _set_up_hypothesis()
    saving.save_in_repository(config, PROJECT.folder)


def _only_measures(config: pytest.Config) -> bool:
    """Whether it is a timed run of benchmarks and of no tests."""
    folder, tests = OPERATIONS.parent.resolve(), TOOL_TESTS.resolve()
    return config.stash[OPTIONS].timed and all(
        path.is_relative_to(folder) and not path.is_relative_to(tests) for path in _named(config)
    )


def _set_up_hypothesis() -> None:
    """Set how many examples property tests draw; machines are shared, so none has a deadline."""
    import hypothesis  # only here: a tenth of a second in each of many processes that measure

    hypothesis.settings.register_profile("default", deadline=None, max_examples=30)
    hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
    hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2_000)
    hypothesis.settings.load_profile("ci" if "CI" in os.environ else "default")


def _suite(config: pytest.Config) -> Suite:
    """The suite of this run, made when it is first needed."""
    if SUITE not in config.stash:
        terminal = config.get_terminal_writer().hasmarkup
        config.add_cleanup(heed_termination())  # undone last, when the stores are removed
        # The suite times rounds itself, and heeds these options of pytest-benchmark.
        clock = load_timer(config.getoption("benchmark_timer")).target  # type: ignore[no-untyped-call]  # it has no types
        collects = not config.getoption("benchmark_disable_gc")
        config.stash[SUITE] = suite = Suite(config.stash[OPTIONS], terminal, clock, collects)
        config.add_cleanup(suite.close)
    return config.stash[SUITE]


def _has_benchmarks(config: pytest.Config) -> bool:
    """Whether the paths that the user named include benchmarks, not just tests of tools."""
    if _lists_without_data(config):
        return False
    suite = OPERATIONS.resolve()
    return any(suite.is_relative_to(p) or p.is_relative_to(suite) for p in _named(config))


def _lists_without_data(config: pytest.Config) -> bool:
    """Whether tests are only listed. That of a folder needs its pictures, which give the cutoffs."""
    dataset = config.stash[OPTIONS].dataset
    return bool(config.option.collectonly) and not is_folder_of_pictures(dataset)


def _named(config: pytest.Config) -> list[Path]:
    """The paths named on the command line, or in pytest.ini, without links."""
    return named_paths(config.args, config.invocation_params.dir, config.option.pyargs)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop at once, in one line, if an option does not suit the data or the disk."""
    config = session.config
    if not _has_benchmarks(config):
        return
    if config.stash[OPTIONS].timed:
        measured = config._benchmarksession  # type: ignore[attr-defined]  # no other way
        saving.check_writable(measured, config)
        saving.check_compared(measured)
        config.stash[NOT_SAVED] = saving.mind_saving(measured, session)
    _suite(config)
    if config.stash[OPTIONS].sweeps > 1:
        config.stash[SWEEPS] = Sweeps(config.stash[OPTIONS].sweeps, _is_benchmark)
        config.pluginmanager.register(config.stash[SWEEPS])


def pytest_report_header(config: pytest.Config) -> list[str]:
    return _suite(config).header() if _has_benchmarks(config) else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out second names of files, and in a timed run of benchmarks the tests of the tools."""
    if PROJECT.is_second_name(collection_path):
        return True
    is_tool_test = collection_path == TOOL_TESTS and not any(
        p.is_relative_to(TOOL_TESTS.resolve()) for p in _named(config)
    )
    return True if is_tool_test and config.stash[OPTIONS].timed else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the storing benchmarks first; the others read the stores that these make."""
    items.sort(key=lambda item: _is_benchmark(item) and item.path.name not in STORING)


def _is_benchmark(item: pytest.Item) -> bool:
    return item.path.parent == OPERATIONS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not metafunc.module.__name__.startswith("benchmarks.operations."):
        return
    config = metafunc.config
    chosen = config.stash[OPTIONS]
    operation = metafunc.function.__name__.removeprefix("test_")
    if _lists_without_data(config):
        rows = [name for name in chosen.rows if operation in find_row(name).operations]
    else:
        rows = _suite(config).names_of(operation)
    for fixture in {"contender", "store"} & {*metafunc.fixturenames}:
        metafunc.parametrize(fixture, rows, indirect=True)
    listed = chosen.cutoffs or chosen.usual_cutoffs  # to list them without loading the data
    cutoffs = listed if _lists_without_data(config) else _suite(config).cutoffs
    match "n" in metafunc.fixturenames, "cold" in metafunc.fixturenames:
        case True, True:
            states = chosen.states(operation, cutoffs)
            ids = [f"n={n}" + ("-cold" if is_cold else "") for n, is_cold in states]
            metafunc.parametrize(("n", "cold"), states, ids=ids)
        case True, False:
            metafunc.parametrize("n", cutoffs, ids=[f"n={n}" for n in cutoffs])
        case False, True:
            is_cold = chosen.cache == COLD
            metafunc.parametrize(
                "cold", [is_cold], ids=["cold" if is_cold else pytest.HIDDEN_PARAM]
            )
    if "num_workers" in metafunc.fixturenames:
        labels = [setting.label for setting in chosen.loaders]
        metafunc.parametrize(LoaderSetting._fields, chosen.loaders, ids=labels)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a row that fails, since a winner is then named without it.

    End the run if the disk is full, since every benchmark would fail; keep the measurements.
    """
    report = yield
    if report.failed and _is_benchmark(item) and {*OF_ROWS} & {*getattr(item, "fixturenames", ())}:
        _suite(item.config).note_failure(_key(item))
    error = call.excinfo.value if call.excinfo else None
    if error and _is_benchmark(item) and saving.is_disk_full(error):
        text = f"the disk is full: free some space, or choose another by --store-dir ({error})"
        report.longrepr = one_line(text)
        item.session.shouldfail = "the disk is full"
    return report


# ---- fixtures ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> Suite:
    """The data set, and its temporary stores, one for each row and cutoff."""
    return _suite(request.config)


@pytest.fixture(scope="session")
def workers(request: pytest.FixtureRequest) -> Workers:
    """The processes for parallel reading."""
    started = Workers()
    # Unlike a fixture's teardown, this also runs if the end of the session is interrupted.
    request.config.add_cleanup(started.close)
    return started


@pytest.fixture
def contender(request: pytest.FixtureRequest) -> Contender:
    """A row of the tables; saved runs name it by its parameter."""
    return _row(request)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Contender:
    """One of this project's stores or, where its operations allow it, another row."""
    return _row(request)


def _row(request: pytest.FixtureRequest) -> Contender:
    """The row that a benchmark measures; skips it if the disk has no room for it."""
    suite = _suite(request.config)
    suite.require_space(_key(request.node))
    return suite.row(request.param)


def _key(item: pytest.Item) -> keys.Key:
    """The row that a benchmark measures, by its parameters."""
    assert isinstance(item, pytest.Function)
    params: dict[str, Any] = item.callspec.params
    operation = item.originalname.removeprefix("test_")
    (row,) = (params[name] for name in OF_ROWS if name in params)
    variant = " ".join(str(params[name]) for name in VARIANTS if name in params)
    return keys.Key(operation, variant, row, params.get("n", 1), params.get("cold", False))


@pytest.fixture
def passes(request: pytest.FixtureRequest) -> Passes:
    """What the benchmark has measured in earlier sweeps of the run."""
    sweeps = request.config.stash.get(SWEEPS, None)
    return sweeps.of(request.node) if sweeps else Passes(sweeps=1)


@pytest.fixture
def sweep(passes: Passes) -> int:
    """The number of this sweep, from 0."""
    return passes.done


@pytest.fixture
def measure(suite: Suite, benchmark: Benchmark, passes: Passes) -> Iterator[Measure]:
    """Times, checks and records one operation, as `benchmarks/harness/protocol.py` says."""
    yield partial(suite.measure, benchmark, passes)
    # Only one pass makes a record. Of all others, pytest-benchmark warns that it was not used.
    benchmark.skipped = True


# ---- saved runs ----------------------------------------------------------------------------


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, object]
) -> None:
    if SUITE not in config.stash and not _has_benchmarks(config):
        return
    more = (
        {machine.PEER_LIBRARIES: found} if (found := versions(config.stash[OPTIONS].rows)) else {}
    )
    described = machine.describe(machine_info, _suite(config).circumstances(), **more)
    machine_info.clear()
    machine_info.update(described)


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, object]) -> None:
    """Save what is no property of the machine, which must not differ between runs."""
    if SWEEPS in config.stash:
        output_json["sweeps"] = config.stash[SWEEPS].written()
    if SUITE in config.stash and (skipped := config.stash[SUITE].skipped):
        output_json[keys.SKIPPED] = [one.written() for one in skipped]


def pytest_benchmark_generate_commit_info(config: pytest.Config) -> dict[str, object]:
    """The commit of the measured code, wherever pytest was started."""
    with chdir(PROJECT.folder):
        return plugin.pytest_benchmark_generate_commit_info(config)  # type: ignore[no-any-return, no-untyped-call]  # it has no types


def pytest_benchmark_compare_machine_info(
    machine_info: dict[str, object], compared_benchmark: dict[str, Any]
) -> None:
    """Refuse a saved run that cannot be compared; update the addresses of its benchmarks."""
    saving.check_loaded(compared_benchmark)
    differing = machine.differences(machine_info, compared_benchmark["machine_info"])
    if differing:
        raise pytest.UsageError(
            f"--benchmark-compare: the saved run differs in {', '.join(differing)}; compare it"
            " with `pytest-benchmark compare` if that is what you want"
        )
    for bench in compared_benchmark["benchmarks"]:
        addresses.update(bench)


def pytest_benchmark_group_stats(
    config: pytest.Config | None, benchmarks: Iterable[dict[str, Any]], group_by: str
) -> list[tuple[str | None, list[dict[str, Any]]]]:
    """Group benchmarks; only here can saved ones be changed in `pytest-benchmark compare`."""
    benches = [*benchmarks]
    for bench in benches:
        addresses.update(bench)
    return plugin.pytest_benchmark_group_stats(config, benches, group_by)  # type: ignore[no-any-return, no-untyped-call]  # it has no types


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run fail if it should have been saved and was not."""
    if session.config.stash.get(NOT_SAVED, []) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Show the tables after pytest-benchmark's own, also if it fails a run that became slower."""
    try:
        yield
    except PerformanceRegression as regression:
        for line in str(regression).splitlines():
            terminalreporter.write_line(encodable(f"ERROR: {line.strip()}", sys.stdout.encoding))
        if (session := terminalreporter._session) is not None:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    finally:
        _show_tables(terminalreporter, config)


def _show_tables(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    figures = [
        summary.Figure.of(Recorded.of(bench.extra_info), bench.stats.as_dict())
        for bench in config._benchmarksession.benchmarks  # type: ignore[attr-defined]  # no other way
        if bench and not bench.has_error and is_recorded(bench.extra_info)
    ]
    skipped = config.stash[SUITE].skipped if SUITE in config.stash else []
    unmeasured = keys.in_lines(skipped) if config.stash[OPTIONS].timed else []
    encoding = sys.stdout.encoding
    if figures:
        terminalreporter.section("image storage benchmark")
        known = config._benchmarksession.get_machine_info()  # type: ignore[attr-defined]  # as above
        for line in machine.in_words(known, summary.cache_in_words(figures)):
            terminalreporter.write_line(encodable(line, encoding))
        terminalreporter.write_line("")
        lines = jobs.in_lines(figures, skipped), decoding.in_lines(figures), summary.tables(figures)
        for line in chain.from_iterable(lines):
            terminalreporter.write_line(encodable(line, encoding))
    elif unmeasured:
        terminalreporter.section("image storage benchmark")
    for line in unmeasured:
        terminalreporter.write_line(encodable(line, encoding))
    for failure in config.stash.get(NOT_SAVED, []):
        terminalreporter.write_line(failure, red=True)
