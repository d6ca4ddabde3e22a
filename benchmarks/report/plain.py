"""matplotlib without the user's settings, so that figures look the same everywhere."""

import importlib
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager

SETTINGS = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
"""They replace the user's: a notebook's backend may be missing here, and a file unreadable."""


def import_matplotlib() -> None:
    """Import matplotlib, unless it is imported, without reading the user's settings."""
    with _set(), chdir("/"):  # it would first read settings in the current directory
        importlib.import_module("matplotlib")


@contextmanager
def _set() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
