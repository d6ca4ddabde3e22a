"""Saving a run: its destination is checked before anything is measured, and errors are caught.

pytest-benchmark saves first and prints its tables afterwards. An error in saving would lose
measurements of perhaps an hour.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import pytest
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import get_tag, safe_dumps

from benchmarks.harness.text import one_line
from storage import DiskFullError

from .errors import ResultsError
from .runs import INTERRUPTED, NUMBERED, is_run, read_file

IN_CURRENT_DIRECTORY = "file://./.benchmarks"
"""pytest-benchmark's own default."""
STATISTICS = ("min", "max", "mean", "stddev", "median", "iqr", "rounds")
"""What it needs of each row of a run that it compares with."""


Output: TypeAlias = dict[str, Any]
"""A run's JSON."""


class BenchmarkSession(Protocol):
    """The part of pytest-benchmark's session that is used here."""

    save: str | None
    autosave: str | None
    json: Path | None
    histogram: str | Literal[False]
    compare: str | bool | None
    compare_fail: Any  # a list of untyped rules
    save_json: Callable[[Output], None]
    storage: Any  # one of several untyped classes


def save_in_repository(config: pytest.Config, folder: Path) -> None:
    """Save a run started in another directory in the repository's folder, with its commit."""
    if Path.cwd() == folder:
        return
    if config.option.benchmark_storage == IN_CURRENT_DIRECTORY:
        config.option.benchmark_storage = f"file://{folder}/.benchmarks"
    if config.option.benchmark_autosave:
        with chdir(folder):
            config.option.benchmark_autosave = get_tag()  # type: ignore[no-untyped-call]


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that no space is left, whatever library raised it."""
    known = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return known or isinstance(error, DiskFullError) or os.strerror(errno.ENOSPC) in str(error)


def check_writable(session: BenchmarkSession, config: pytest.Config) -> None:
    """Raise pytest.UsageError if a file that the run will save cannot be written."""
    if session.json is not None:
        if session.json.is_dir() or not session.json.parent.is_dir():
            raise pytest.UsageError(
                f"--benchmark-json: {str(session.json)!r} is no file in an existing directory"
            )
        _require("--benchmark-json", session.json if session.json.exists() else session.json.parent)
    if (session.save or session.autosave) and isinstance(session.storage, FileStorage):
        require_folder("--benchmark-storage", _folder(session.storage))
    if session.histogram:
        if find_spec("pygal") is None:
            raise pytest.UsageError(
                "--benchmark-histogram: pygal, which draws it, is not installed"
            )
        require_folder("--benchmark-histogram", Path(session.histogram).absolute().parent)
    if xml := config.getoption("xmlpath", None):
        if Path(xml).exists():
            _require("--junitxml", Path(xml))
        else:
            require_folder("--junitxml", Path(xml).absolute().parent)


def check_compared(session: BenchmarkSession) -> None:
    """Raise pytest.UsageError if the run is to be compared with one that cannot be read.

    pytest-benchmark only warns, or fails after everything was measured.
    """
    named, storage = session.compare, session.storage
    if session.compare_fail and not named:
        raise pytest.UsageError(
            "--benchmark-compare-fail: nothing is compared; give --benchmark-compare, too"
        )
    if not named or not isinstance(storage, FileStorage):
        return
    found: list[Path] = []
    with suppress(ValueError):  # not a name of a run
        found = storage.query(named if isinstance(named, str) else NUMBERED)  # type: ignore[no-untyped-call]  # it has no types
    if not found and (isinstance(named, str) or session.compare_fail):
        shown = one_line(named) if isinstance(named, str) else ""
        raise pytest.UsageError(
            f"--benchmark-compare: there is no saved run {shown} in {one_line(storage.path)}"
        )
    for path in found if isinstance(named, str) else found[-1:]:
        try:
            check_loaded(read_file(path))  # it has only warned of what it could not load
        except ResultsError as error:
            raise pytest.UsageError(f"--benchmark-compare: {error}; name another run") from error


def check_loaded(saved: object) -> None:
    """Raise pytest.UsageError if pytest-benchmark could not compare with a run that it has loaded."""
    whole = is_run(saved) and all(
        isinstance(stats := row.get("stats"), dict)
        and all(isinstance(row.get(key), str) for key in ("name", "fullname"))
        and all(type(stats.get(key)) in (int, float) for key in STATISTICS)
        for row in saved["benchmarks"]
    )
    if not whole:
        raise pytest.UsageError(
            "--benchmark-compare: the saved run is damaged: it lacks the machine, or names and times"
            " of rows; name another run"
        )


def _folder(storage: FileStorage) -> Path:
    return Path(storage.path, storage.default_machine_id)


def require_folder(option: str, folder: Path) -> None:
    """Require that `folder`, or the nearest parent that exists, is a writable directory."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise pytest.UsageError(f"{option}: {one_line(there)} is not a directory")
    _require(option, there)


def _require(option: str, path: Path) -> None:
    if not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
        raise pytest.UsageError(
            f"{option}: {one_line(path)} is not writable, and the run is to be saved there; choose"
            " another place"
        )


def mind_saving(session: BenchmarkSession, run: pytest.Session) -> list[str]:
    """Save a run that ended early as such, none without benchmarks; go on if saving fails.

    Returns a list; whatever is not saved adds a line to it that says where, and why.
    """
    failures: list[str] = []
    save_json, save = session.save_json, session.storage.save

    def minded(output: Output, target: Path | None, write: Callable[[], None]) -> None:
        if not output["benchmarks"]:
            failures.append(_not_saved(target, "no benchmark was measured"))
            return
        if reason := interruption(run):
            output[INTERRUPTED] = reason
        with _minded(target, failures):
            write()

    def save_json_minded(output: Output) -> None:
        minded(output, session.json, lambda: save_json(output))

    def save_minded(output: Output, name: str) -> None:
        storage = session.storage
        is_file = isinstance(storage, FileStorage)
        if is_file and interruption(run):
            target = new_file(_folder(storage), f"{INTERRUPTED}_{name}")
            minded(output, target, lambda: _write(target, output))
        else:
            numbered = _folder(storage) / f"{storage._next_num}_{name}.json" if is_file else None
            minded(output, numbered, lambda: save(output, name))

    session.save_json = save_json_minded
    session.storage.save = save_minded
    return failures


def interruption(run: pytest.Session) -> str:
    """Why a run ended before all its benchmarks were measured; "" if it did not."""
    if run.exitstatus == pytest.ExitCode.INTERRUPTED and not run.shouldstop:
        return "by Ctrl-C or another signal"
    return one_line(run.shouldfail or run.shouldstop or "")


def new_file(folder: Path, name: str) -> Path:
    """A file of that name that does not exist; the second of them has a number."""
    numbered = (f"{name}_{number}.json" for number in count(2))
    return next(p for one in chain([f"{name}.json"], numbered) if not (p := folder / one).exists())


def _write(target: Path, output: Output) -> None:
    """Write a run where a storage of pytest-benchmark would, but under a name without a number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(safe_dumps(output, ensure_ascii=True, indent=4).encode())  # type: ignore[no-untyped-call]  # it has no types


@contextmanager
def _minded(target: Path | None, failures: list[str]) -> Iterator[None]:
    """Note any error in `failures`, and remove a partly written file."""
    before = _state(target)
    try:
        yield
    except BaseException as error:
        if target is not None and target.is_file() and _state(target) != before:
            target.unlink()  # it is partly written; a device stays
        if not isinstance(error, Exception):
            raise
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        failures.append(_not_saved(target, reason))


def _not_saved(target: Path | None, reason: str) -> str:
    return f"NOT SAVED: {one_line(target or 'the run')}: {one_line(reason)}"


def _state(target: Path | None) -> tuple[int, int] | None:
    """The time and size that change when a file is written; None if there is no file."""
    try:
        status = os.stat(target) if target else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size)
