"""What the command lines print, on a terminal of any encoding, or on one that is gone."""

import os
import sys
from collections.abc import Iterable

PLAIN = {"×": "x", "µ": "u", "≤": "<=", "≥": ">=", "→": "->", "…": "..."}
r"""What is printed where a character cannot be; any other becomes an escape, such as \xe4."""


def encodable(text: str, encoding: str | None) -> str:
    """A text in characters that an encoding has."""
    return "".join(_encodable(char, encoding or "utf-8") for char in text)


def _encodable(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return PLAIN.get(char) or char.encode(encoding, "backslashreplace").decode(encoding)
    return char


def say(lines: Iterable[str]) -> bool:
    """Print lines; whether standard output took them. If it could not, standard error says why."""
    if sys.stdout is None:  # it was closed before Python began
        return False
    text = "".join(f"{line}\n" for line in lines)
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding))
        sys.stdout.flush()  # the next may take a while
    except OSError as error:
        # As Python ends, it tries once more, and would exit with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"standard output: {error.strerror}\n")
        return False
    return True
