"""Saving a run: its destination is checked before anything is measured, and errors are caught.

pytest-benchmark saves first and prints its tables afterwards. An error in saving would lose
measurements of perhaps an hour.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import get_tag

from benchmarks.harness.text import one_line
from storage import DiskFullError

IN_CURRENT_DIRECTORY = "file://./.benchmarks"
"""pytest-benchmark's own default."""


class BenchmarkSession(Protocol):
    """The part of pytest-benchmark's session that is used here."""

    save: str | None
    autosave: str | None
    json: Path | None
    histogram: str | Literal[False]
    compare: str | bool | None
    save_json: Callable[[object], None]
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
        _require_folder("--benchmark-storage", _folder(session.storage))
    if session.histogram:
        if find_spec("pygal") is None:
            raise pytest.UsageError(
                "--benchmark-histogram: pygal, which draws it, is not installed"
            )
        _require_folder("--benchmark-histogram", Path(session.histogram).absolute().parent)
    if xml := config.getoption("xmlpath", None):
        _require_folder("--junitxml", Path(xml).absolute().parent)


def check_compared(session: BenchmarkSession) -> None:
    """Raise pytest.UsageError if the run is to be compared with one that does not exist.

    pytest-benchmark only warns, after everything was measured, and compares nothing.
    """
    named = session.compare
    if not isinstance(named, str) or not isinstance(session.storage, FileStorage):
        return
    found = []
    with suppress(ValueError):  # not a name of a run
        found = session.storage.query(named)  # type: ignore[no-untyped-call]  # it has no types
    if not found:
        there = one_line(session.storage.path)
        raise pytest.UsageError(
            f"--benchmark-compare: there is no saved run {one_line(named)} in {there}"
        )


def _folder(storage: FileStorage) -> Path:
    return Path(storage.path, storage.default_machine_id)


def _require_folder(option: str, folder: Path) -> None:
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


def mind_saving(session: BenchmarkSession) -> list[str]:
    """Let a run go on to its tables if saving fails.

    Returns a list; a failure adds a line to it that says where the run was not saved, and why.
    """
    failures: list[str] = []
    save_json, save = session.save_json, session.storage.save

    def save_json_minded(output: object) -> None:
        with _minded(session.json, failures):
            save_json(output)

    def save_minded(output: object, name: str) -> None:
        storage = session.storage
        is_file = isinstance(storage, FileStorage)
        target = _folder(storage) / f"{storage._next_num}_{name}.json" if is_file else None
        with _minded(target, failures):
            save(output, name)

    session.save_json = save_json_minded
    session.storage.save = save_minded
    return failures


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
        failures.append(f"NOT SAVED: {one_line(target or 'the run')}: {one_line(reason)}")


def _state(target: Path | None) -> tuple[int, int] | None:
    """The time and size that change when a file is written; None if there is no file."""
    try:
        status = os.stat(target) if target else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size)
