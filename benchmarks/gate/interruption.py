"""Ending early, with everything removed that was made."""

import signal
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
"""What a shell tells of a command that Ctrl-C has ended."""


def heed_termination() -> None:
    """Take SIGTERM, by which a cancelled job is ended, for a Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
