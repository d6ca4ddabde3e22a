"""What the tutorial's ways of storing lose to a kill, a flipped bit or a truncated file.

    python -m benchmarks.tools.article_faults [--trials N]

The kill hits a process while it stores other images over a store, as running the tutorial again
does. Then everything is read. "old" and "new" are the images from before and from the call, "lost"
is an error, "mixed" is any other result without an error. For damage, one bit is flipped or a file
is cut at a random place, and the store is read: "right", "error", or silently "wrong". "died" means
that reading crashed the interpreter, which no `except` catches, or did not end in time. The random
numbers of a trial follow from its number; the point at which a kill hits depends on the machine.

The tutorial's LMDB records are pickles, and a changed pickle can in principle run anything. They
are read here because no stranger could change them: this program has just written every byte, and
chance has changed one bit or cut the end. They are read in a separate process with little memory
and time, and only its exit status is used.
"""

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import lmdb
import numpy as np
from tqdm import tqdm

from benchmarks.contenders.article import ARTICLE, Article
from benchmarks.contenders.base import Image, Labels
from benchmarks.datasets.standin import make_standin
from benchmarks.harness.interruption import (
    exit_interrupted,
    heed_termination,
    held,
    kept_from_children,
    temporary_directory,
)
from benchmarks.harness.output import say

Data: TypeAlias = tuple[Image, Labels]
Corruption: TypeAlias = Callable[[list[Path], np.random.Generator], Path]
"""Damages one of the files, and returns it."""

IMAGES = 300

SPARE_MEMORY = 2**30
"""Bytes that reading a store of a megabyte may take beyond the memory of the process."""
READ_SECONDS = 10
"""The limit of processor time and of clock time: a few hundred times what reading takes."""
NEVER = 0.0
"""The value that turns the system's timer off."""

FORK = multiprocessing.get_context("fork")  # needs no pickling and no new imports
FIRST_ANSWER = 100
"""Statuses from this one on are answers; neither Python nor a library exits with them."""


class Subject(NamedTuple):
    """A way of storing, the path of its store, and the images before and after storing again."""

    way: Article
    path: Path
    old: Data
    new: Data

    def make(self) -> None:
        """Create the store of the old images."""
        self.way.store_many(self.path, *self.old, durable=True)


# ---- processes -----------------------------------------------------------------------------


def status_of(task: Callable[[], object]) -> int:
    """Run `task` in a forked process; return its status, or the negative number of a signal."""

    def run() -> None:
        try:
            task()
        except Exception as error:
            sys.exit(f"error: {error}")

    process = FORK.Process(target=run)
    try:
        with kept_from_children():
            process.start()
        process.join()
    finally:
        with held():
            if process.pid is not None:
                process.kill()  # it must not write to files that are being removed
                process.join()
    assert process.exitcode is not None
    return process.exitcode


def restrict() -> None:
    """Limit this process's memory and time, and let it die without output or a core dump."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (READ_SECONDS,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(READ_SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    faulthandler.disable()  # it may write elsewhere


def reading(subject: Subject, known: Mapping[str, Data], error: str, other: str) -> str:
    """Read all images; return their name in `known`, or `error`, or `other`, or "died"."""
    answers = [*known, error, other]

    def answer() -> str:
        images, _ = subject.old
        try:
            found, found_labels = subject.way.read_many(subject.path, images.shape)
        except Exception:  # any error that a caller can catch
            return error
        for name, (expected, labels) in known.items():
            if np.array_equal(found, expected) and np.array_equal(found_labels, labels):
                return name
        return other

    def read() -> None:
        restrict()
        os._exit(FIRST_ANSWER + answers.index(answer()))

    place = status_of(read) - FIRST_ANSWER
    return answers[place] if 0 <= place < len(answers) else "died"


# ---- faults --------------------------------------------------------------------------------


def after_kill(subject: Subject) -> str:
    return reading(subject, {"old": subject.old, "new": subject.new}, "lost", "mixed")


def after_damage(subject: Subject) -> str:
    return reading(subject, {"right": subject.old}, "error", "wrong")


def is_killed_storing_again(subject: Subject, seconds: float) -> bool:
    """Store over the store; return whether it was killed after `seconds`, before it had ended.

    Raises ChildProcessError if storing failed.
    """

    def store() -> None:
        # As with SIGKILL, the process cannot react. It sets the timer itself, since a call of a
        # millisecond ends before a parent knows that it has begun.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        subject.way.many(subject.path, *subject.new)
        os._exit(0)

    status = status_of(store)
    if status not in (0, -signal.SIGALRM):
        raise ChildProcessError(f"{subject.way.name}: storing ended with {status}")
    return status != 0


def kills(subject: Subject, trials: int) -> Iterator[str]:
    """The outcome of each kill; a kill that comes too late is drawn again."""
    subject.make()
    start = time.perf_counter()
    is_killed_storing_again(subject, NEVER)
    seconds = time.perf_counter() - start  # includes the fork, so at least the call's time
    shutil.rmtree(subject.path)
    for trial in range(trials):
        random = np.random.default_rng(trial)
        subject.make()
        while not is_killed_storing_again(subject, seconds * random.random()):
            shutil.rmtree(subject.path)
            subject.make()
        yield after_kill(subject)
        shutil.rmtree(subject.path)


def flip_a_bit(files: list[Path], random: np.random.Generator) -> Path:
    """Flip a bit; all bits of all files are equally likely."""
    ends = np.cumsum([file.stat().st_size for file in files])
    at = int(random.integers(ends[-1]))
    number = int(np.searchsorted(ends, at, side="right"))
    data = bytearray(files[number].read_bytes())
    data[at - int(ends[number])] ^= 1 << int(random.integers(8))  # counted from the file's end
    files[number].write_bytes(data)
    return files[number]


def cut(files: list[Path], random: np.random.Generator) -> Path:
    """Truncate a file by at least one byte and at most all of it."""
    file = files[random.integers(len(files))]
    os.truncate(file, int(random.integers(file.stat().st_size)))
    return file


def data_files(store: Path) -> list[Path]:
    """All files except LMDB's lock table, which holds no stored data."""
    return sorted(file for file in store.iterdir() if file.name != "lock.mdb")


def damages(change: Corruption, subject: Subject, trials: int) -> Iterator[str]:
    """The outcome of each change to a store that was whole before."""
    subject.make()
    whole = {file: file.read_bytes() for file in data_files(subject.path)}
    for trial in range(trials):
        changed = change([*whole], np.random.default_rng(trial))
        yield after_damage(subject)
        changed.write_bytes(whole[changed])
    shutil.rmtree(subject.path)


class Fault(NamedTuple):
    """A kind of fault: its default number of trials, its possible outcomes, and its trials."""

    trials: int
    outcomes: tuple[str, ...]
    run: Callable[[Subject, int], Iterator[str]]


AFTER_KILL = ("old", "new", "lost", "mixed", "died")
AFTER_DAMAGE = ("right", "error", "wrong", "died")
COLUMNS = (*AFTER_KILL[:-1], *AFTER_DAMAGE)
FAULTS = {
    "kill": Fault(60, AFTER_KILL, kills),
    "bit flip": Fault(200, AFTER_DAMAGE, partial(damages, flip_a_bit)),
    "truncation": Fault(200, AFTER_DAMAGE, partial(damages, cut)),
}


# ---- the table -----------------------------------------------------------------------------


def row(fault: str, way: str, counts: Mapping[str, int]) -> str:
    """A line of the table; outcomes that a fault cannot have are left blank."""
    possible = FAULTS[fault].outcomes
    cells = (f"{counts.get(name, 0):,}" if name in possible else "" for name in COLUMNS)
    return (
        f"{fault:12}{way:14}{sum(counts.values()):8,}" + "".join(f"{c:>8}" for c in cells)
    ).rstrip()


def table(old: Data, new: Data, folder: Path, trials: int | None) -> Iterator[str]:
    """The lines of a table of all faults and ways, each as soon as its trials are done.

    trials: the number for each fault and way; None for the defaults in `FAULTS`
    """
    yield f"{'fault':12}{'way':14}{'trials':>8}" + "".join(f"{name:>8}" for name in COLUMNS)
    for name, fault in FAULTS.items():
        number = trials or fault.trials
        for way in ARTICLE:
            outcomes = fault.run(Subject(way, folder / "store", old, new), number)
            bar = tqdm(outcomes, f"{name}, {way.name}", number, leave=False, disable=None)
            yield row(name, way.name, Counter(bar))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tools.article_faults", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    usual = ", ".join(f"{name} {fault.trials}" for name, fault in FAULTS.items())
    parser.add_argument(
        "--trials", type=int, metavar="N", help=f"for each fault and way (by default: {usual})"
    )
    trials = parser.parse_args().trials
    if trials is not None and trials < 1:
        parser.error(f"--trials: {trials}; give at least one")
    heed_termination()
    try:
        data = make_standin(2 * IMAGES)
        old, new = (
            (data.images[part], data.labels[part]) for part in (np.s_[:IMAGES], np.s_[IMAGES:])
        )
        with temporary_directory("image-stores-") as folder:
            for line in table(old, new, folder, trials):
                say([line])
    except (OSError, lmdb.Error) as error:  # a full disk
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        exit_interrupted()


if __name__ == "__main__":
    main()
