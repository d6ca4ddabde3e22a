"""Syncing what rows have written without this project's stores."""

import os
from pathlib import Path


def sync_tree(path: Path) -> None:
    """Sync all files below a new folder, and every folder that has a new name."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            sync(os.path.join(folder, name))  # noqa: PTH118  # zarr may make a file per chunk
        sync(folder)
    sync(path.parent)


def sync(path: str | Path) -> None:
    """Sync one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
