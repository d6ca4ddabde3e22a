"""What a process does to a store before it is killed, how far it came, and what it has left."""

import mmap
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from .. import StorageError, Store, StoreNotFoundError
from .._session import Mode
from . import raw
from .children import fork, in_child
from .model import append, append_stream, is_right
from .samples import tree


class Step(NamedTuple):
    """One call of a store, and how many images it adds."""

    call: Callable[[Store], object]
    adds: int = 0


def some(n: int) -> Step:
    return Step(partial(append, n=n), n)


def stream(n: int) -> Step:
    return Step(partial(append_stream, n=n), n)


COMPACT = Step(Store.compact)


def _stop_folding(_store: Store) -> None:
    """From here on no parts become one; for a process of its own."""
    set_constant("storage._catalog.FOLD", NEVER)


STOP_FOLDING = Step(_stop_folding)

SMALL_PIECES = {
    "storage._batch.SLAB_BYTES": 1_000,
    "storage._part.SLAB_BYTES": 1_000,
    "storage.containers.lmdb.TRANSACTION_BYTES": 1_000,
    "storage.containers.lmdb.BLOCK_BYTES": 500,
    "storage.payloads.base.THREAD_BYTES": 300,
}
"""Of the images of `model` that have one shape, five are a slab then, two are a block, and each is encoded
in a thread. None is read in a thread: a call that shall fail once would fail in every new thread.
"""
NEVER = 10**9
"""More parts than any store has: none are joined before there are as many."""


def work_in_small_pieces() -> None:
    """What the fixture `small_pieces` does to the tests, in a process that was not forked there."""
    for name, value in SMALL_PIECES.items():
        set_constant(name, value)


def set_constant(name: str, value: int) -> None:
    module, attribute = name.rsplit(".", 1)
    assert hasattr(import_module(module), attribute), name
    setattr(import_module(module), attribute, value)


class History:
    """Opening a store in `path` and then some calls, each noted when it has returned.

    The notes lie in memory that a forked process shares with the one that looks.
    """

    def __init__(
        self, store_class: type[Store], path: Path, mode: Mode, steps: Sequence[Step], held: int = 0
    ) -> None:
        self.store_class = store_class
        self.path = path
        self.mode = mode
        self.steps = steps
        self.lengths = list(accumulate((step.adds for step in steps), initial=held))
        self._returned = mmap.mmap(-1, 4)

    @property
    def returned(self) -> int:
        """How many calls have returned; the first is the one that opens."""
        return int.from_bytes(self._returned[:], "little")

    @returned.setter
    def returned(self, n: int) -> None:
        self._returned[:] = n.to_bytes(4, "little")

    def run(self) -> None:
        store = self.store_class(self.path, self.mode)
        self.returned += 1
        for step in self.steps:
            step.call(store)
            self.returned += 1
        store.close()


def run_in_child(run: Callable[[], object]) -> int:
    """Run it in a forked process to its end, wherever that is; return the status."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(run), 0)[1])


def names(store: Path) -> list[str]:
    """The names of a store's files, without the count in one of them, which may lag behind."""
    return ["count" if name.startswith("count-") else name for name in tree(store)]


def trees(history: History) -> list[list[str]]:
    """The names of the store's files after each of the calls, with nothing killed.

    Small parts are joined by the call that made the last of them, or if that was cut short, not
    yet. So there are as many trees of a number of calls as of these may have joined all they could.
    """
    aside = history.path.with_name("aside")
    found = []
    for n in range(len(history.steps) + 1):
        for folding in range(n + 1):
            if history.path.exists():
                shutil.copytree(history.path, aside)
            steps = [*history.steps[:folding], STOP_FOLDING, *history.steps[folding:n]]
            short = History(history.store_class, aside, history.mode, steps)
            assert run_in_child(short.run) == 0
            if (tree := names(aside)) not in found:
                found.append(tree)
            shutil.rmtree(aside)
    return found


class Seen(NamedTuple):
    """What became of a store whose writer was killed: an outcome of `trials`, and what is left."""

    outcome: str
    detail: str
    length: int | None = None  # None where there is no store, or none that can be opened


def look(history: History) -> Seen:
    """Read all there is, and leave it as it is."""
    return _in_child(lambda: _look(history))


def go_on(history: History, clean: list[list[str]] | None = None) -> Seen:
    """Read all there is; then open for writing, which cleans up, and store and check once more.

    clean: names of files of which one list is to be there once a writer has opened the store
    """
    return _in_child(lambda: _go_on(history, clean))


def _in_child(task: Callable[[], Seen]) -> Seen:
    try:
        return in_child(task)
    except ChildProcessError as error:
        return Seen("died", str(error))


def _look(history: History) -> Seen:
    done = max(0, history.returned - 1)
    possible = history.lengths[done : done + 2] if history.returned else history.lengths[:1]
    told = f"{history.returned} of {len(history.steps) + 1} calls had returned: "
    try:
        with history.store_class(history.path) as store:
            if len(store) not in possible:
                return Seen("lost", f"{told}{len(store)} images, not {possible}")
            if not is_right(store):
                return Seen("wrong", told)
            store.verify()
            return Seen("right", told, len(store))
    except StoreNotFoundError as error:
        if history.mode == "x" and not history.returned:
            return Seen("right", f"{told}{error}")
        return Seen("lost", f"{told}{error}")
    except StorageError as error:
        return Seen("lost", f"{told}{error}")


def _go_on(history: History, clean: list[list[str]] | None) -> Seen:
    seen = _look(history)
    if seen.outcome != "right":
        return seen
    with history.store_class(history.path, "x" if seen.length is None else "a") as store:
        if len(store) != (seen.length or 0):
            return Seen("lost", f"{seen.detail}a writer finds {len(store)} images")
    if clean is not None:
        if names(history.path) not in clean:
            return Seen("missed", f"{seen.detail}left behind: {names(history.path)}")
        held = len(raw.read(history.store_class.format, history.path))
        if held != (seen.length or 0):
            return Seen("missed", f"{seen.detail}left behind: {held} records in all")
    with history.store_class(history.path, "a") as store:
        append(store, 2)
        store.verify()
        if len(store) != (seen.length or 0) + 2 or not is_right(store):
            return Seen("wrong", f"{seen.detail}after storing two more images")
    return seen
