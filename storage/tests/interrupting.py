"""Exceptions raised at chosen instants of the library's own code, as a signal may raise them.

An instant is the start of a line, or the return of a function, which a caller's line may lie around.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import CO_GENERATOR
from itertools import count
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _typeshed import TraceFunction

TESTS = str(Path(__file__).parent)
LIBRARY = str(Path(__file__).parents[1])


@cache
def is_library(code: CodeType) -> bool:
    return code.co_filename.startswith(LIBRARY + os.sep) and not code.co_filename.startswith(
        TESTS + os.sep
    )


class Instant(NamedTuple):
    """What happens then, in which function, and by which of the library's lines, innermost first."""

    event: str
    function: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, frame: FrameType, event: str) -> "Instant":
        lines = []
        caller: FrameType | None = frame
        while caller is not None:
            if is_library(caller.f_code):
                lines.append(f"{caller.f_code.co_filename.removeprefix(LIBRARY)}:{caller.f_lineno}")
            caller = caller.f_back
        return cls(event, frame.f_code.co_qualname, tuple(lines))

    def __str__(self) -> str:
        return f"the {self.event} {self.lines[0]} of {self.function}"


@contextmanager
def at_each_instant(act: Callable[[FrameType, str], None]) -> Iterator[None]:
    """Call `act` at each instant of what is run meanwhile, until it raises, with the frame and event."""

    def enter(frame: FrameType, _event: str, _arg: object) -> "TraceFunction | None":
        return meet if is_library(frame.f_code) else None

    def meet(frame: FrameType, event: str, _arg: object) -> "TraceFunction":
        # A generator that yields is told from one that returns by nothing; so none counts.
        if event == "line" or (event == "return" and not frame.f_code.co_flags & CO_GENERATOR):
            act(frame, event)  # Python ends the tracing with what this raises
        return meet

    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(None)


class Interruption:
    """Raises `error` at the instant of number `at`, counted from 0, and keeps which that was."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.came: Instant | None = None
        self._error = error
        self._at = at
        self._numbers = count()

    def __call__(self, frame: FrameType, event: str) -> None:
        if next(self._numbers) == self._at:
            self.came = Instant.of(frame, event)
            raise self._error("at a chosen instant")
