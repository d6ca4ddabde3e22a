"""Interruption: a run that ends early removes everything it made."""

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
"""The code that a shell reports for a command ended by Ctrl-C."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Sent by Ctrl-C, by the cancelling of a job, by the closing of a terminal."""
ALIKE_SECONDS = 5.0
"""A signal within this time of another is ignored, since a shell, a terminal and a job may each
send one."""
AGAIN_SECONDS = 0.01
"""A signal is sent again after this time if its exception was lost in a finaliser."""


def heed_termination() -> Callable[[], None]:
    """Let `SIGNALS` raise KeyboardInterrupt; returns a function that undoes that.

    An ignored signal stays ignored, as `nohup` needs. A forked process gets the old handlers.
    """
    owner = os.getpid()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    others = (signal.SIG_IGN, None)  # None: not set by Python, so it could not be restored
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
    """A directory that is removed at the end; signals during the removal wait until it is done.

    directory: the parent; by default, the system's directory for temporary files
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
    """Delay signals that arrive within the block until its end."""
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
    """Block `SIGNALS` in processes started within the block; here they wait for its end.

    A terminal sends Ctrl-C to all of a program's processes, but only the parent should react: it
    ends the others in order. A signal that was ignored instead of blocked would be lost.
    """
    resource_tracker.ensure_running()  # starting the tracker unblocks the signals
    with held():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def leave_terminal(_worker: int = 0) -> None:
    """Called in a process started so: Ctrl-C and other signals to the parent's group no longer
    reach it, but those that are sent to it do.
    """
    os.setpgrp()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def exit_interrupted() -> NoReturn:
    """Exit at once with `EXIT_CODE`, without what is registered with `atexit`.

    A normal exit could end in another way. Python restores the default handlers, so a signal that
    comes then kills it. Under -m it also kills itself if a KeyboardInterrupt, even a caught one,
    came while a string was evaluated, as for a named tuple (CPython's `Py_RunMain`).
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader is gone
            stream.flush()
    os._exit(EXIT_CODE)
