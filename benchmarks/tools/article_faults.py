"""What the tutorial's way of storing images loses to a kill, a flipped bit and a file cut short.

    python -m benchmarks.tools.article_faults [--trials N]

A kill hits the process that stores other images over a store, as running the tutorial again does.
All is then read: old and new are the images of before and of the call; lost is an error; mixed is
anything else, with no error. A store with one bit changed, or one file cut, at a place of chance is
read: right, with an error, or silently wrong. In either, died is an interpreter that reading has
brought down, where no `except` helps, or that had not ended in time. What is drawn for a trial
follows from its number; where in its work a kill finds the process is up to the machine.

The tutorial's LMDB records are pickles, and a changed pickle can in principle run anything. Here
they are read because a stranger has had no hand in them: this program has just written every byte,
and chance has changed one bit or cut the end. They are read in a process of its own, which may take
little memory and time, and of which only the number that it ends with is believed.
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
"""Damages one of the files, which it returns."""

IMAGES = 300

SPARE_MEMORY = 2**30
"""Bytes that reading a store of a megabyte may take beyond what the process has."""
READ_SECONDS = 10
"""Of the processor, and on the clock: some hundred times what reading takes."""
NEVER = 0.0
"""As the system's timers have it."""

FORK = multiprocessing.get_context("fork")  # nothing need be pickled, nor imported again
FIRST_ANSWER = 100
"""Statuses from here on are answers: neither Python nor a library ends a process with them."""


class Subject(NamedTuple):
    """A way of storing, where its store is, and the images before and after storing again."""

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
                process.kill()  # else it would go on writing to what is being removed
                process.join()
    assert process.exitcode is not None
    return process.exitcode


def restrict() -> None:
    """Bound what this process can take, and let it die without a word or a core dump."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (READ_SECONDS,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(READ_SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    faulthandler.disable()  # it may write elsewhere


def reading(subject: Subject, known: Mapping[str, Data], error: str, other: str) -> str:
    """Read all; return the name in `known` of what comes, or `error`, or `other`, or "died"."""
    answers = [*known, error, other]

    def answer() -> str:
        images, _ = subject.old
        try:
            found, found_labels = subject.way.read_many(subject.path, images.shape)
        except Exception:  # of any kind: what a caller can catch
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
    """Store over the store; whether that was broken off after `seconds`, or had ended by then.

    Raises ChildProcessError where it failed.
    """

    def store() -> None:
        # As by SIGKILL, the process gets no say; but it sets the time itself, since for a parent
        # a call of a millisecond is over before it knows that it has begun.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        subject.way.many(subject.path, *subject.new)
        os._exit(0)

    status = status_of(store)
    if status not in (0, -signal.SIGALRM):
        raise ChildProcessError(f"{subject.way.name}: storing ended with {status}")
    return status != 0


def kills(subject: Subject, trials: int) -> Iterator[str]:
    """What is read after each of the kills; one that comes too late is none, and drawn again."""
    subject.make()
    start = time.perf_counter()
    is_killed_storing_again(subject, NEVER)
    seconds = time.perf_counter() - start  # with the making of a process: no less than the call's
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
    """Any bit of all files is as likely as any other."""
    ends = np.cumsum([file.stat().st_size for file in files])
    at = int(random.integers(ends[-1]))
    number = int(np.searchsorted(ends, at, side="right"))
    data = bytearray(files[number].read_bytes())
    data[at - int(ends[number])] ^= 1 << int(random.integers(8))  # counted from the file's end
    files[number].write_bytes(data)
    return files[number]


def cut(files: list[Path], random: np.random.Generator) -> Path:
    """Any file, by at least one byte and at most all of it."""
    file = files[random.integers(len(files))]
    os.truncate(file, int(random.integers(file.stat().st_size)))
    return file


def data_files(store: Path) -> list[Path]:
    """All files but LMDB's table of locks, which holds nothing of what was stored."""
    return sorted(file for file in store.iterdir() if file.name != "lock.mdb")


def damages(change: Corruption, subject: Subject, trials: int) -> Iterator[str]:
    """What is read after each of the changes to a store that was whole before."""
    subject.make()
    whole = {file: file.read_bytes() for file in data_files(subject.path)}
    for trial in range(trials):
        changed = change([*whole], np.random.default_rng(trial))
        yield after_damage(subject)
        changed.write_bytes(whole[changed])
    shutil.rmtree(subject.path)


class Fault(NamedTuple):
    """A kind of fault: how many trials there are by default, what can come of one, and the trials."""

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
    """A line of the table; what cannot come of a fault is left blank."""
    possible = FAULTS[fault].outcomes
    cells = (f"{counts.get(name, 0):,}" if name in possible else "" for name in COLUMNS)
    return (
        f"{fault:12}{way:14}{sum(counts.values()):8,}" + "".join(f"{c:>8}" for c in cells)
    ).rstrip()


def table(old: Data, new: Data, folder: Path, trials: int | None) -> Iterator[str]:
    """The lines of a table of all faults and ways, each as soon as its trials are made.

    trials: of each fault in each way; None for as many as `FAULTS` says
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
        "--trials", type=int, metavar="N", help=f"of each fault in each way (by default: {usual})"
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
    except (OSError, lmdb.Error) as error:  # no room on the disk
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        exit_interrupted()


if __name__ == "__main__":
    main()
