"""Ending early, with everything removed that was made."""

import signal
import sys
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


def exit_interrupted() -> NoReturn:
    """Exit as what a signal has ended, whichever come now.

    As Python ends, it gives the signals that it handles their defaults back, which would kill it.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(EXIT_CODE)
