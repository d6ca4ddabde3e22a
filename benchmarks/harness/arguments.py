"""Values of options that may not be empty, as a variable of the shell is that was not set.

To find "" in a name is to find it in every name; as a path, "" is the current directory.
"""

import argparse
from pathlib import Path


def some_text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("'' names nothing")
    return text


def some_path(text: str) -> Path:
    return Path(some_text(text))
