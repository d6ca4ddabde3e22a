"""Ctrl-C, or any exception of a signal or a trace, at any instant of any call.

What is on the disk then is as after a kill. The process goes on, though: the object is right or
refuses, nothing waits for ever, and after `close()` another process may write.
"""

import gc
import os
import pickle
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Literal, NamedTuple

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from .. import BusyError, CorruptStoreError, StorageError, Store, StoreNotFoundError, open_store
from .children import fork, in_child
from .histories import History, Step, run_in_child, some
from .interrupting import Instant, Interruption, at_each_instant
from .model import append_stream, are_right, image_of, is_right, label_of
from .samples import stores_of_each_kind, tree
from .test_crashes import die_in_a_call
from .trials import Trials

pytestmark = [
    stores_of_each_kind,
    pytest.mark.usefixtures("small_pieces", "no_waiting_for_the_disk"),
]

PER = 4
"""One in this many trials interrupts a call; the full trials do so at each line, once for each way in
which the library's own calls lead there."""
WAYS = [(KeyboardInterrupt, True)] * 3 + [(KeyboardInterrupt, False), (TimeoutError, True)]
"""What is raised, and whether the object is used on before it is closed: one of these is drawn."""
SIGNALLED_PER = 5
"""One in this many trials sends signals at random times: 200 of a thousand."""
ROUNDS, MOST_CALLS = 6, 40
"""How often each of those is interrupted, and how many calls it makes until it is."""
PAUSE = 0.004
"""The most seconds between two signals."""
HANG_SECONDS = 10
"""What takes longer has locked up: a trial takes some hundredths of a second."""
THREAD_SECONDS = 4

Mode = Literal["r", "a", "x"]


class Bad(Exception):  # noqa: N818  # an outcome that ends a trial
    """What an interruption may not leave: an outcome of `trials`, and a detail."""


class StoreInUse:
    """A store's place, what it holds, and the object that is used."""

    def __init__(self, store_class: type[Store], path: Path, held: int | None) -> None:
        self.store_class = store_class
        self.path = path
        self.held = held  # None where there is no store yet
        self.opened: Store | None = None
        self.pickled = b""

    @property
    def store(self) -> Store:
        assert self.opened is not None
        return self.opened

    def open(self, mode: Mode) -> None:
        self.opened = self.store_class(self.path, mode)


class Call(NamedTuple):
    """What is interrupted, and what comes before."""

    run: Callable[[StoreInUse], object]
    adds: int = 0
    before: Sequence[Step] = (some(3), some(3))  # by another process
    mode: Mode | None = "r"  # in which the store is open, if it is
    first: Callable[[StoreInUse], object] = lambda _work: None


def record(store: Store, image_id: int) -> bool:
    image, label = store.read_single(image_id)
    return are_right(([image], [label]), [image_id])


def every_record(store: Store) -> bool:
    return are_right(store.read_many(), range(len(store)))


def scattered_records(store: Store) -> bool:
    ids = [5, 0, 2, 2, 4, 1]
    return are_right(store.read_many(ids), ids)


def batch(store: Store) -> bool:
    images, labels = zip(*store.__getitems__([4, 1]), strict=True)
    return are_right((list(images), list(labels)), [4, 1])


def one_after_the_other(store: Store) -> bool:
    images, labels = zip(*store, strict=True)
    return are_right((list(images), list(labels)), range(len(store)))


def batch_after_batch(store: Store) -> bool:
    batches = [*methodcaller("iter_batches", 4)(store)]
    images = [image for images, _ in batches for image in images]
    return are_right((images, np.concatenate([labels for _, labels in batches])), range(6))


def append(store: Store, n: int, first: int | None = None) -> None:
    """Store the next images in one call, which returns their ids, `first` and so on."""
    ids = range(len(store), len(store) + n)
    images, labels = [image_of(i) for i in ids], [label_of(i) for i in ids]
    one_shape = len({image.shape for image in images}) == 1
    found = store.store_many(np.stack(images) if one_shape else images, labels)
    expected = ids if first is None else range(first, first + n)
    if found != expected:
        raise Bad("wrong", f"returned {found}, not {expected}")


def append_one(store: Store) -> None:
    expected = len(store)
    found = store.store_single(image_of(expected), label_of(expected))
    if found != expected:
        raise Bad("wrong", f"returned {found} for {expected}")


def on_the_store(call: Callable[[Store], object]) -> Callable[[StoreInUse], object]:
    return lambda work: call(work.store)


def right(read: Callable[[Store], bool]) -> Callable[[StoreInUse], object]:
    def run(work: StoreInUse) -> None:
        if not read(work.store):
            raise Bad("wrong", "what the call returned")

    return run


def unpickle(work: StoreInUse) -> None:
    work.opened = pickle.loads(work.pickled)
    right(every_record)(work)


def pickle_it(work: StoreInUse) -> None:
    work.pickled = pickle.dumps(work.store)


def leave(work: StoreInUse) -> None:
    with work.store:
        pass


CREATING = {
    "create": Call(lambda work: work.open("x"), before=(), mode=None),
    "create by appending": Call(lambda work: work.open("a"), before=(), mode=None),
}
OPENING = {
    "open to read": Call(lambda work: work.open("r"), mode=None),
    "open to append": Call(lambda work: work.open("a"), mode=None),
    "open after a crash": Call(
        lambda work: work.open("a"), before=[some(6), Step(die_in_a_call)], mode=None
    ),
}
WRITING = {
    "store_single": Call(on_the_store(append_one), 1, mode="a"),
    "store_many of an array": Call(on_the_store(partial(append, n=7)), 7, mode="a"),
    "store_many of shapes": Call(on_the_store(partial(append, n=3)), 3, [some(14), some(2)], "a"),
    "store_many of a stream": Call(
        on_the_store(partial(append_stream, n=7)), 7, [some(10), some(2)], "a"
    ),
    "a commit that folds": Call(on_the_store(append_one), 1, [some(1)] * 15, "a"),
    "a commit after those": Call(on_the_store(append_one), 1, [some(1)] * 16, "a"),
    "compact": Call(on_the_store(Store.compact), 0, [some(1)] * 3 + [some(15), some(1)], "a"),
}
READING = {
    "read_single": Call(right(partial(record, image_id=4))),
    "read_many": Call(right(every_record)),
    "read_many, scattered": Call(right(scattered_records)),
    "read_many once more": Call(right(scattered_records), first=right(scattered_records)),
    "read_many of shapes": Call(right(every_record), before=[some(18), some(1)]),
    "read_many by a writer": Call(right(every_record), mode="a"),
    "labels": Call(right(lambda store: [*store.labels] == [label_of(i) for i in range(6)])),
    "verify": Call(on_the_store(Store.verify)),
    "iteration": Call(right(one_after_the_other)),
    "__getitems__": Call(right(batch)),
    "iter_batches": Call(right(batch_after_batch)),
    "pickling": Call(pickle_it),
    "unpickling": Call(unpickle, first=pickle_it),
}
CLOSING = {
    "close of a writer": Call(
        on_the_store(Store.close), mode="a", first=on_the_store(partial(append, n=2))
    ),
    "close of a reader": Call(on_the_store(Store.close), first=right(every_record)),
    "with exit": Call(leave, mode="a", first=on_the_store(append_one)),
}
CALLS = {
    name: (kind, call)
    for kind, calls in [
        ("create", CREATING),
        ("open", OPENING),
        ("store", WRITING),
        ("read", READING),
        ("close", CLOSING),
    ]
    for name, call in calls.items()
}


# ---- what may be left ----------------------------------------------------------------------------

PART = re.compile(r"(\d{12})-(\d{12})")


def left_behind(path: Path) -> list[str]:
    """Temporary files, and parts that others cover."""
    found = [name for name in tree(path) if "tmp" in name]
    stop = 0
    for part in sorted(filter(None, map(PART.match, os.listdir(path))), key=lambda part: part[0]):
        if int(part[1]) != stop:
            found.append(part.string)
        stop = int(part[2])
    return found


def on_disk(path: Path) -> int | None:
    """How many images a new reader finds, all of them right; None where there is no store."""
    try:
        with open_store(path) as store:
            if not is_right(store):
                raise Bad("wrong", f"a new reader of {len(store)} images")
            return len(store)
    except StoreNotFoundError:
        return None
    except StorageError as error:
        raise Bad("lost", f"to a new reader: {error!r}") from error


def is_refusal(error: StorageError) -> bool:
    """Whether an error says that this object may not be used, not that the store is damaged."""
    return not isinstance(error, CorruptStoreError)


def reads_on(store: Store, n: int, may_refuse: bool = False) -> bool:
    """Whether the object reads on, which it then does right."""
    try:
        found = len(store)
        if not is_right(store) or (store.mode == "r" and found != n):
            raise Bad("wrong", f"the same object, of {found} images where there are {n}")
    except StorageError as error:
        if may_refuse and is_refusal(error):
            return False
        raise Bad("lost", f"the same object, reading on: {error!r}") from error
    return True


def stores_on(work: StoreInUse) -> bool:
    """Whether the object stores on, which it then does right; if it refuses it stores nothing."""
    n = work.held or 0
    try:
        append(work.store, 2, n)
    except StorageError as error:
        if not is_refusal(error):
            raise Bad("lost", f"the same object, storing on: {error!r}") from error
        if on_disk(work.path) != work.held:
            raise Bad("wrong", f"refused, but stored: {error!r}") from error
        return False
    work.held = n + 2
    if (found := on_disk(work.path)) != work.held:
        raise Bad("wrong", f"{found} images on disk where the same object stored {work.held}")
    return True


def goes_on(work: StoreInUse, may_refuse: bool) -> bool:
    """Whether the object can be used as if nothing had happened."""
    reads = reads_on(work.store, work.held or 0, may_refuse)
    if work.store.mode == "r":
        return reads
    writes = stores_on(work)
    if writes and not reads:
        raise Bad("lost", "the object stores but does not read")
    return writes


def in_thread(task: Callable[[], bool]) -> bool:
    """The answer of another thread, which may not wait for ever for this one."""
    outcomes: list[bool | BaseException] = []

    def run() -> None:
        try:
            outcomes.append(task())
        except BaseException as error:  # raised again where it is waited for
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(THREAD_SECONDS)
    if not outcomes:
        raise Bad("died", "another thread waits for ever")
    if isinstance(outcomes[0], BaseException):
        raise outcomes[0]
    return outcomes[0]


def succeed(work: StoreInUse) -> None:
    """What another process does then: open for writing, store two images and check all."""
    try:
        with work.store_class(work.path, "x" if work.held is None else "a") as store:
            if len(store) != (work.held or 0) or not is_right(store):
                raise Bad("wrong", f"the next writer finds {len(store)} images, not {work.held}")
        if left := left_behind(work.path):
            raise Bad("missed", f"left behind: {left}")
        with work.store_class(work.path, "a") as store:
            store.verify()
            append(store, 2)
            if not is_right(store):
                raise Bad("wrong", "after the next writer stored two more")
    except BusyError as error:
        raise Bad("died", f"the lock is not released: {error!r}") from error
    except StorageError as error:
        raise Bad("lost", f"the next writer: {error!r}") from error


def share(work: StoreInUse, n: int) -> None:
    """What a forked process does: read on with the same object, then open and store."""
    reads_on(work.store, n)
    succeed(work)


def settings_of_others() -> tuple[object, ...]:
    """What is changed while a picture is decoded."""
    return Pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, [*warnings.filters]


def judge(
    work: StoreInUse, lengths: Sequence[int | None], used_on: bool = True, may_refuse: bool = True
) -> tuple[str, str]:
    """An outcome of `trials` and a detail: what an interrupted call has left; raises `Bad`.

    lengths: how many images there may be
    used_on: whether the object is used on before it is closed
    may_refuse: whether it may refuse to read on
    """
    n = work.held = on_disk(work.path)
    if n not in lengths:
        raise Bad("lost", f"{n} images, not {' or '.join(map(str, lengths))}")
    usable = True
    if work.opened is not None:
        if used_on:
            usable = goes_on(work, may_refuse)
            usable &= in_thread(lambda: goes_on(work, may_refuse or not usable))
            if usable and work.store.mode == "r":
                elsewhere(partial(share, work, n or 0))
                reads_on(work.store, n or 0)
                work.held = on_disk(work.path)
        work.store.close()
    elsewhere(lambda: succeed(work))
    return ("right" if usable else "refused"), ""


# ---- trials, each in a process of its own --------------------------------------------------------


def watch() -> None:
    """End this process when it has locked up."""
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)


def outcome_in_child(task: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """An outcome of `trials` and a detail of what came of it in a forked process."""

    def run() -> tuple[str, str]:
        watch()
        try:
            return task()
        except Bad as bad:
            outcome, detail = bad.args
            return outcome, detail
        except BaseException as error:
            way = [
                f"{Path(at.filename).name}:{at.lineno}" for at in extract_tb(error.__traceback__)
            ]
            return "untyped", f"{error!r} by way of {', '.join(way)}"

    try:
        return in_child(run)
    except ChildProcessError as error:
        return "died", str(error)


def elsewhere(task: Callable[[], object]) -> None:
    """Run `task` in a forked process; raises `Bad` as it does."""

    def run() -> tuple[str, str]:
        task()
        return "right", ""

    outcome, detail = outcome_in_child(run)
    if outcome != "right":
        raise Bad(outcome, detail)


class PlannedCall(NamedTuple):
    """A call that is interrupted, and where its store is made anew for each trial."""

    call: Call
    store_class: type[Store]
    base: Path
    path: Path

    def afresh(self) -> "PlannedCall":
        shutil.rmtree(self.path.parent, ignore_errors=True)
        if self.call.before:
            shutil.copytree(self.base, self.path)
        return self

    def begin(self) -> StoreInUse:
        """Bring about what there is before the call."""
        watch()
        gc.disable()  # it might end objects of earlier tests, in code that would be counted
        held = sum(step.adds for step in self.call.before) if self.call.before else None
        work = StoreInUse(self.store_class, self.path, held)
        if self.call.mode is not None:
            work.open(self.call.mode)
        self.call.first(work)
        if work.opened is not None:
            work.held = len(work.opened)
        return work

    def instants(self) -> list[Instant]:
        """Each instant of the call, in their order."""
        work, instants = self.begin(), list[Instant]()
        with at_each_instant(lambda frame, event: instants.append(Instant.of(frame, event))):
            self.call.run(work)
        return instants

    def interrupted(
        self, instant: Instant, at: int, error: type[BaseException], used_on: bool, may_refuse: bool
    ) -> tuple[str, str]:
        """What came of an error at one instant, whose number is `at`."""
        work, before = self.begin(), settings_of_others()
        interruption = Interruption(at, error)
        lengths = [work.held, (work.held or 0) + self.call.adds]
        try:
            with at_each_instant(interruption):
                self.call.run(work)
            del lengths[0]
        except error:
            pass
        except StorageError as wrapped:
            if not is_refusal(wrapped):
                raise Bad("lost", f"the call: {wrapped!r}") from wrapped
        assert interruption.came == instant, f"it came at {interruption.came}"
        if settings_of_others() != before:
            raise Bad("wrong", f"settings of other modules: {settings_of_others()}")
        return judge(work, lengths, used_on, may_refuse)


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library syncs as ever, but no power fails here: half of the time would be spent on it."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type[Store], Call], Path]:
    """Stores as they are before a call, each made once."""
    made: dict[tuple[type[Store], str], Path] = {}

    def base(store_class: type[Store], call: Call) -> Path:
        key = store_class, repr(call.before)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("bases") / "store"
            if call.before:
                assert run_in_child(History(store_class, made[key], "x", call.before).run) == 0
        return made[key]

    return base


@pytest.mark.parametrize("name", CALLS)
def test_an_exception_at_any_instant_of_a_call(
    store_class: type[Store],
    tmp_path: Path,
    trials: Trials,
    bases: Callable[[type[Store], Call], Path],
    name: str,
) -> None:
    """Ctrl-C, after which the object is used on or closed; or a TimeoutError, which is an OSError."""
    kind, call = CALLS[name]
    plan = PlannedCall(call, store_class, bases(store_class, call), tmp_path / "folder" / "store")
    numbers: dict[Instant, list[int]] = {}
    for number, instant in enumerate(in_child(plan.afresh().instants)):
        numbers.setdefault(instant, []).append(number)
    assert numbers
    random = Random(name + store_class.format)
    items = [(instant, random.choice(met), random.choice(WAYS)) for instant, met in numbers.items()]
    random.shuffle(items)  # or few trials would be of few lines
    with trials.of(f"interrupted: {kind}", store_class.format) as tally:
        for i, (instant, at, (error, used_on)) in trials.chosen(items, PER):
            plan.afresh()
            outcome, detail = outcome_in_child(
                partial(plan.interrupted, instant, at, error, used_on, kind != "read")
            )
            told = f"{error.__name__} at {instant}, then {'used on' if used_on else 'closed'}"
            tally.add(i, outcome, f"{told}: {detail}")


# ---- signals at random times ---------------------------------------------------------------------

SIGNALLED = [WRITING[name] for name in WRITING] + [
    READING["read_single"],
    READING["read_many"],
    READING["iteration"],
    Call(on_the_store(Store.verify)),
]


def send_signals(random: np.random.Generator) -> int:
    """Fork a process that sends this one SIGINT again and again, until this one ends."""
    receiver = os.getpid()

    def send() -> None:
        while os.getppid() == receiver:
            time.sleep(PAUSE * random.random())
            os.kill(receiver, signal.SIGINT)

    return fork(send)


class Signalled:
    """A process that is sent signals while it works, and is interrupted by one at a time."""

    def __init__(self) -> None:
        self.is_armed = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _number: int, _frame: object) -> None:
        if self.is_armed:
            self.is_armed = False
            raise KeyboardInterrupt

    def work(self, work: StoreInUse, random: np.random.Generator) -> Sequence[int | None]:
        """Open the store and make calls until a signal comes; how many images there may be then."""
        lengths = [work.held, work.held or 0]
        try:
            self.is_armed = True
            work.open("a")
            work.held = work.held or 0
            for number in random.integers(len(SIGNALLED), size=MOST_CALLS):
                call = SIGNALLED[number]
                lengths = [work.held, work.held + call.adds]
                call.run(work)
                work.held += call.adds
        except KeyboardInterrupt:
            pass
        finally:
            self.is_armed = False
        return lengths


def interrupted_by_signals(store_class: type[Store], path: Path, trial: int) -> tuple[str, str]:
    """What came of several interruptions, each of which finds what the one before has left."""
    random = np.random.default_rng(trial)
    signalled = Signalled()
    sender = send_signals(random)
    outcomes = set()
    held = on_disk(path)
    for _ in range(ROUNDS):
        watch()
        work = StoreInUse(store_class, path, held)
        lengths = signalled.work(work, random)
        outcomes.add(judge(work, lengths, used_on=bool(random.integers(2)))[0])
        held = on_disk(path)
    os.kill(sender, signal.SIGKILL)
    os.waitpid(sender, 0)
    return ("refused" if "refused" in outcomes else "right"), ""


def test_signals_at_random_times(
    store_class: type[Store],
    tmp_path: Path,
    trials: Trials,
    bases: Callable[[type[Store], Call], Path],
) -> None:
    base = bases(store_class, READING["read_many"])
    with trials.of("interrupted by signals", store_class.format) as tally:
        for trial in trials.numbers(SIGNALLED_PER):
            path = tmp_path / str(trial)
            shutil.copytree(base, path)
            outcome, detail = outcome_in_child(
                partial(interrupted_by_signals, store_class, path, trial)
            )
            tally.add(trial, outcome, detail)
            shutil.rmtree(path)
