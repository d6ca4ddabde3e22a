"""Exceptions raised at chosen instants of the library's own code, as a signal may raise them.

An instant is the start of a line, or the return of a function, which a caller's line may lie around.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from inspect import CO_GENERATOR
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import TraceFunction

TESTS = str(Path(__file__).parent)
LIBRARY = str(Path(__file__).parents[1])


@cache
def is_library(code: CodeType) -> bool:
    return code.co_filename.startswith(LIBRARY + os.sep) and not code.co_filename.startswith(
        TESTS + os.sep
    )


class Instants:
    """The instants that have come so far; at one of them it raises, once.

    at: its number, or None to let all of them pass
    """

    def __init__(self, at: int | None = None, error: type[BaseException] = KeyboardInterrupt):
        self.places: list[str] = []
        self._at = at
        self._error = error

    @contextmanager
    def traced(self) -> Iterator[None]:
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> "TraceFunction | None":
        return self._pass if is_library(frame.f_code) else None

    def _pass(self, frame: FrameType, event: str, _arg: object) -> "TraceFunction | None":
        # A generator that yields is told from one that returns by nothing; so none counts.
        if event == "line" or (event == "return" and not frame.f_code.co_flags & CO_GENERATOR):
            code = frame.f_code
            place = f"{os.path.relpath(code.co_filename, LIBRARY)}:{frame.f_lineno}"
            self.places.append(f"the {event} {place} of {code.co_qualname}")
            if len(self.places) - 1 == self._at:
                raise self._error("at a chosen instant")  # Python ends the tracing with that
        return self._pass
