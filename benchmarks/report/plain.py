"""matplotlib without what the user has set for it, so that figures look the same everywhere."""

import importlib
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager

SETTINGS = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
"""In place of the user's: a notebook's backend need not be installed here, nor a file be readable."""


def import_matplotlib() -> None:
    """Import matplotlib, if nobody has, so that it reads no settings of the user."""
    with _set(), chdir("/"):  # from where it is started, it reads settings first
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
