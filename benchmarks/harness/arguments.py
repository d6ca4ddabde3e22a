"""Types of options whose value must not be empty.

An unset shell variable gives "". Every name contains "", and as a path it is the current directory.
"""

import argparse
from pathlib import Path


def some_text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("'' names nothing")
    return text


def some_path(text: str) -> Path:
    try:
        return Path(some_text(text)).expanduser()
    except RuntimeError as error:  # of an unknown user
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
