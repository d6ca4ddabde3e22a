"""A system call that fails gives a typed error, and every earlier commit stays as it was."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from .. import DiskFullError, ReadOnlyError, StorageError, Store, StoreIOError
from .._session import Mode
from .histories import (
    COMPACT,
    History,
    Seen,
    Step,
    go_on,
    names,
    run_in_child,
    some,
    stream,
    trees,
    work_in_small_pieces,
)
from .model import is_right
from .nursery import Nursery
from .samples import stores_of_each_kind
from .traced import CHANGES, Point, Traced, listing, points, require_strace, traced
from .trials import Trials

pytestmark = [stores_of_each_kind, pytest.mark.usefixtures("small_pieces")]

FAILURES: dict[str, type[StorageError]] = {
    "EIO": StoreIOError,
    "ENOSPC": DiskFullError,
    "EDQUOT": DiskFullError,
    "EROFS": ReadOnlyError,
    "EMFILE": StoreIOError,
}
READ_FAILURES: dict[str, type[StorageError]] = {
    "EIO": StoreIOError,
    "EMFILE": StoreIOError,
    "ENOMEM": StoreIOError,
}
"""What each is raised as. Not every call can fail in every way; the stores need not know."""
OPENING = ["open", "openat"]
READING = ["read", "pread64", "preadv", "readv", "getdents64", "mmap", *OPENING]
REMOVING = ("unlink", "unlinkat", "rmdir")
PER = 2
PER_MOMENT = 8
"""One in this many trials is made; the full trials try each call with each error, or one for good."""
ATTEMPTS = 3


class FailingScenario(NamedTuple):
    """What was done to a store before, the mode in which it is opened, and what is done then."""

    before: list[Step]
    mode: Mode
    steps: list[Step]

    @property
    def held(self) -> int:
        return sum(step.adds for step in self.before)


WRITING = {
    "create": FailingScenario([], "x", [some(3)]),
    "append": FailingScenario([some(1)] * 4, "a", [some(1), some(9), stream(3)]),
    "fold": FailingScenario([some(1)] * 15, "a", [some(1)]),
    "compact": FailingScenario([some(1)] * 4, "a", [COMPACT]),
}


class Report(NamedTuple):
    """What a process that met failures tells of it."""

    errors: list[tuple[str, str]]  # the type's name, and the text
    length: int  # images that it believes the store to have; -1 if it could not open it
    right: bool  # whether all of them are right, to the process itself


def use(store_class: type[Store], path: Path, scenario: FailingScenario) -> Report:
    """Open and make each call, and where it fails again, as a caller may who has read the error."""
    work_in_small_pieces()
    errors: list[tuple[str, str]] = []

    def persist(call: Callable[[], object]) -> object:
        for _ in range(ATTEMPTS):
            try:
                return call()
            except StorageError as error:
                errors.append((type(error).__name__, str(error)))
        return None

    store = persist(lambda: store_class(path, scenario.mode))
    if not isinstance(store, Store):
        return Report(errors, -1, True)
    for step in scenario.steps:
        persist(lambda step=step: step.call(store))  # type: ignore[misc]  # mypy cannot infer it
    right = persist(lambda: is_right(store))
    length = len(store)
    store.close()
    return Report(errors, length, right is True)


def prepare(store_class: type[Store], path: Path, scenario: FailingScenario) -> None:
    """Put the store in place anew that the scenario begins with, or nothing."""
    base = path.with_name("base")
    shutil.rmtree(path, ignore_errors=True)
    if not scenario.before:
        return
    if not base.exists():
        assert run_in_child(History(store_class, base, "x", scenario.before).run) == 0
    shutil.copytree(base, path)


def failing(
    nursery: Nursery,
    store_class: type[Store],
    path: Path,
    scenario: FailingScenario,
    point: Point,
    kind: str,
) -> Traced:
    """A use of a store in which one call fails."""
    prepare(store_class, path, scenario)
    task = partial(use, store_class, path, scenario)
    inject = point.inject(f"error={kind}")
    ended = traced(task, "-e", f"trace={point.name}", *inject, nursery=nursery)
    assert ended.failed, f"it has not come to {point}"
    return ended


def moments(
    nursery: Nursery,
    store_class: type[Store],
    path: Path,
    scenario: FailingScenario,
    names: Sequence[str],
    by_file: bool = True,
) -> list[Point]:
    """The system calls of a run without failures that are about the store's files."""
    prepare(store_class, path, scenario)
    task = partial(use, store_class, path, scenario)
    whole = traced(task, "-e", f"trace={listing(*names)}", nursery=nursery)
    assert whole.status == 0
    assert whole.answer.right
    return points(whole.calls, names, str(path), by_file)


def judge(
    store_class: type[Store],
    path: Path,
    scenario: FailingScenario,
    point: Point,
    kind: str,
    ended: Traced,
) -> tuple[str, str]:
    """An outcome of `trials` and a detail, of one failure after which all works again."""
    if ended.status:
        return "died", f"status {ended.status}"
    report: Report = ended.answer
    for name, text in report.errors:
        if (
            name != (FAILURES | READ_FAILURES)[kind].__name__
            or "\n" in text
            or str(path) not in text
        ):
            return "untyped", f"{name}: {text}"
    if report.length < 0 or not report.right:
        return "lost", f"the process could not go on: {report}"
    if point.name not in REMOVING and any(".tmp-" in name for name in names(path)):
        return "missed", f"left behind: {names(path)}"
    seen = go_on(History(store_class, path, "a", [], report.length))
    if seen.outcome != "right":
        return seen.outcome, seen.detail
    return ("refused" if report.errors else "right"), ""


@pytest.mark.parametrize("name", WRITING)
def test_a_call_that_fails_once_stores_nothing_and_can_be_made_again(
    store_class: type[Store], tmp_path: Path, trials: Trials, nursery: Nursery, name: str
) -> None:
    """And the process ends as any other, with status 0."""
    require_strace()
    scenario, path = WRITING[name], tmp_path / "store"
    items = [
        (point, kind)
        for point in moments(nursery, store_class, path, scenario, [*CHANGES, *OPENING])
        for kind in FAILURES
    ]
    Random(name + store_class.format).shuffle(items)  # or few trials would be of the first
    with trials.of(f"failure: {name}", store_class.format) as tally:
        for i, (point, kind) in trials.chosen(items, PER):
            ended = failing(nursery, store_class, path, scenario, point, kind)
            outcome, detail = judge(store_class, path, scenario, point, kind, ended)
            tally.add(i, outcome, f"{kind} at {point.name} {point.number}: {detail}")


@pytest.mark.parametrize("name", WRITING)
def test_of_a_disk_that_fails_for_good_every_earlier_commit_can_be_read(
    store_class: type[Store], tmp_path: Path, trials: Trials, nursery: Nursery, name: str
) -> None:
    """From one moment on every call of that name fails, also those that should undo things.

    Still nothing is left of what has failed, but where removing it fails: then the next writer
    removes it.
    """
    require_strace()
    scenario, path = WRITING[name], tmp_path / "store"
    all_writing = moments(nursery, store_class, path, scenario, CHANGES, by_file=False)
    Random(name + store_class.format).shuffle(all_writing)
    prepare(store_class, path, scenario)
    clean = trees(History(store_class, path, scenario.mode, scenario.steps))
    with trials.of(f"failing for good: {name}", store_class.format) as tally:
        for i, point in trials.chosen(all_writing, PER_MOMENT):
            kind = [*FAILURES][i % len(FAILURES)]
            prepare(store_class, path, scenario)
            task = partial(run_until_it_fails, store_class, path, scenario)
            inject = point.inject(f"error={kind}", on="+")
            ended = traced(task, "-e", f"trace={point.name}", *inject, nursery=nursery)
            assert ended.failed, f"it has not come to {point}"
            history = History(store_class, path, scenario.mode, scenario.steps, scenario.held)
            seen = after_failing(history, ended, clean, can_remove=point.name not in REMOVING)
            tally.add(i, seen.outcome, f"{kind} from {point.name} {point.number} on: {seen.detail}")


def run_until_it_fails(
    store_class: type[Store], path: Path, scenario: FailingScenario
) -> tuple[str, int]:
    """The error that ended it, which must be one of the package's, and how many calls returned."""
    work_in_small_pieces()
    history = History(store_class, path, scenario.mode, scenario.steps)
    try:
        history.run()
    except StorageError as error:
        return str(error), history.returned
    return "", history.returned


def after_failing(
    history: History, ended: Traced, clean: list[list[str]], can_remove: bool
) -> Seen:
    """What a process has left for which everything failed, and what the next one finds."""
    if ended.status:
        return Seen("died", f"status {ended.status}")
    error, history.returned = ended.answer
    left = names(history.path)
    if can_remove and left not in ([], *clean):
        return Seen("missed", f"left behind: {left}")
    seen = go_on(history, clean)
    return Seen("refused", error) if error and seen.outcome == "right" else seen


def test_a_read_that_fails_gives_an_error_and_can_be_made_again(
    store_class: type[Store], tmp_path: Path, trials: Trials, nursery: Nursery
) -> None:
    require_strace()
    path = tmp_path / "store"
    scenario = FailingScenario([some(1)] * 4, "r", [])
    items = [
        (point, kind)
        for point in moments(nursery, store_class, path, scenario, READING)
        for kind in READ_FAILURES
    ]
    Random(store_class.format).shuffle(items)
    with trials.of("failure: read", store_class.format) as tally:
        for i, (point, kind) in trials.chosen(items, PER):
            ended = failing(nursery, store_class, path, scenario, point, kind)
            outcome, detail = judge(store_class, path, scenario, point, kind, ended)
            tally.add(i, outcome, f"{kind} at {point.name} {point.number}: {detail}")
