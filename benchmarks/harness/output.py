"""Printing from the command lines, to a terminal of any encoding or one that was closed."""

import os
import sys
from collections.abc import Iterable

PLAIN = {"×": "x", "µ": "u", "≤": "<=", "≥": ">=", "→": "->", "…": "..."}
r"""Substitutes for characters that cannot be printed; others become escapes, such as \xe4."""


def encodable(text: str, encoding: str | None) -> str:
    """The text with every character that `encoding` lacks replaced."""
    return "".join(_encodable(char, encoding or "utf-8") for char in text)


def _encodable(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return PLAIN.get(char) or char.encode(encoding, "backslashreplace").decode(encoding)
    return char


def say(lines: Iterable[str]) -> bool:
    """Print lines and return whether that succeeded; if not, print the reason to standard error."""
    if sys.stdout is None:  # it was closed before Python started
        return False
    text = "".join(f"{line}\n" for line in lines)
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding))
        sys.stdout.flush()  # the next line may take a while
    except OSError as error:
        # Python flushes once more at exit, and a failure there would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"standard output: {error.strerror}\n")
        return False
    return True
