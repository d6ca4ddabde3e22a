"""Ending early, with everything removed that was made."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
"""What a shell tells of a command that Ctrl-C has ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By a Ctrl-C, by a job that is cancelled, by a terminal that is closed."""


def heed_termination() -> None:
    """Let the first of these signals raise KeyboardInterrupt, and ignore what comes after it.

    What was made is being removed then. A shell, a terminal and a job may each send one of its own.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, _ignore)
    raise KeyboardInterrupt


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, also of use for a signal that had come already: Python complains of those."""


@contextmanager
def temporary_directory(prefix: str, directory: Path | None = None) -> Iterator[Path]:
    """One that is removed at the end, and whole: a signal that comes meanwhile counts after that.

    directory: where to make it, instead of where temporary files are
    """
    folder = tempfile.TemporaryDirectory(prefix=prefix, dir=directory)
    try:
        yield Path(folder.name)
    finally:
        with _held():
            folder.cleanup()


@contextmanager
def _held() -> Iterator[None]:
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


def exit_interrupted() -> NoReturn:
    """Exit as what a signal has ended, whichever come now.

    As Python ends, it gives the signals that it handles their defaults back, which would kill it.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(EXIT_CODE)
