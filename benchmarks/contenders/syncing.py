"""Syncing what rows have written without this project's stores, and without their code."""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

STEP_BYTES = 2**23
"""The disk is told to begin whenever so many bytes more are written: a slab of a store."""
SYNC_FILE_RANGE_WRITE = 2  # <linux/fs.h>
libc = ctypes.CDLL(None)


def write_synced(number: int, pieces: Iterable[memoryview]) -> None:
    """Write all to an open file, and wait until it is on the disk.

    The disk begins with the first bytes while the others are still written, as a store lets it.
    """
    written, begun, zero = 0, 0, ctypes.c_long(0)
    for piece in pieces:
        left = piece.cast("B")
        while left:
            if written - begun >= STEP_BYTES and sys.platform == "linux":
                libc.sync_file_range(number, zero, zero, SYNC_FILE_RANGE_WRITE)
                begun = written
            done = os.write(number, left[:STEP_BYTES])
            left, written = left[done:], written + done
    os.fsync(number)


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
