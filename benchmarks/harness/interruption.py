"""Ending early, with everything removed that was made."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
"""What a shell tells of a command that Ctrl-C has ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By a Ctrl-C, by a job that is cancelled, by a terminal that is closed."""
ALIKE_SECONDS = 5.0
"""Within this time after a signal, another says the same: a shell, a terminal and a job may each
send one of its own."""
AGAIN_SECONDS = 0.01
"""After this time a signal is sent again whose exception was lost in a finaliser."""


def heed_termination() -> Callable[[], None]:
    """Let these signals raise KeyboardInterrupt; returns what undoes that.

    What is ignored stays so, as `nohup` wants it. A forked process has its signals as they were.
    """
    owner = os.getpid()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    others = (signal.SIG_IGN, None)  # none of Python's, which it could not be given back
    before = {n: handler for n, handler in handlers.items() if handler not in others}
    heeded_at = -inf

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal heeded_at
        if os.getpid() != owner:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)
            return
        now = time.monotonic()
        if now - heeded_at > ALIKE_SECONDS:
            heeded_at = now
            raise KeyboardInterrupt

    def send_again(lost: "sys.UnraisableHookArgs") -> None:
        """Python only prints an exception that is raised in a finaliser or a weak callback."""
        nonlocal heeded_at
        if not isinstance(lost.exc_value, KeyboardInterrupt) or os.getpid() != owner:
            hook(lost)
            return
        heeded_at = -inf
        Timer(AGAIN_SECONDS, os.kill, (owner, next(iter(before), signal.SIGINT))).start()

    hook, sys.unraisablehook = sys.unraisablehook, send_again
    for heeded in before:
        signal.signal(heeded, interrupt)

    def undo() -> None:
        if sys.unraisablehook is send_again:
            sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)

    return undo


@contextmanager
def temporary_directory(prefix: str, directory: Path | None = None) -> Iterator[Path]:
    """One that is removed at the end, and whole: a signal that comes meanwhile counts after that.

    directory: where to make it, instead of where temporary files are
    """
    with held():
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=directory)
    try:
        yield Path(folder.name)
    finally:
        with held():
            folder.cleanup()


@contextmanager
def held() -> Iterator[None]:
    """Let signals that come within wait for the end."""
    came: list[int] = []
    handlers = {n: signal.signal(n, lambda number, _: came.append(number)) for n in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for signal_number in came:
            signal.raise_signal(signal_number)


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Block these signals in processes that are started within; here they wait for the end.

    A terminal sends Ctrl-C to all of a program's processes, but it is for the one that ends the
    others in order. Ignored rather than blocked meanwhile, a signal would be lost.
    """
    resource_tracker.ensure_running()  # starting it unblocks them
    with held():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def exit_interrupted() -> NoReturn:
    """Exit at once as what a signal has ended; what `atexit` would still do is not done.

    Python would end otherwise: it gives the signals that it handles their defaults back, which would
    kill it if one came now, and under -m it kills itself where a KeyboardInterrupt has left a text
    being evaluated, as named tuples are made of, although it was caught (CPython's `Py_RunMain`).
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(EXIT_CODE)
