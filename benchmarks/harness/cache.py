"""The operating system's page cache: how much of a store is in it, and how to evict a store.

`POSIX_FADV_DONTNEED` drops a file's clean, unmapped pages and needs no root; dirty pages are
written first. Directory entries and inodes stay cached: only root can drop those.
"""

import ctypes
import mmap
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CAN_EVICT = hasattr(os, "posix_fadvise")
READ_BYTES = 2**20
COLD = 0.01
"""The largest fraction of a store's pages in memory that still counts as cold."""


def files_below(path: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield Path(folder, name)


def evict(path: Path) -> None:
    """Write all dirty pages below `path` to disk and evict the files; raises OSError."""
    for file in files_below(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def warm(path: Path) -> None:
    """Read every file below `path`, so that all of it is in memory; raises OSError."""
    for folder, _, names in os.walk(path):
        for name in names:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY)  # a million Paths would be slow
            try:
                while os.read(descriptor, READ_BYTES):
                    pass
            finally:
                os.close(descriptor)


def place_anew(path: Path) -> None:
    """Let the files below `path` lie elsewhere in memory, with all of them there; raises OSError.

    The pages that eviction frees would be given back at once. So others take some of them first.
    """
    evict(path)
    size = sum(file.stat().st_size for file in files_below(path))
    taken = np.ones(secrets.randbelow(2 * size + 1), np.uint8)
    warm(path)
    del taken


def resident_fraction(path: Path) -> float:
    """The fraction of the pages of all files below `path` that are in memory, 0 to 1.

    `mincore(2)` tells without reading them.
    """
    resident = pages = 0
    for file in files_below(path):
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                continue
            with mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ) as mapped:
                states = _states(mapped, size)
        resident += int((states & 1).sum())
        pages += len(states)
    return resident / pages if pages else 0.0


def _states(mapped: mmap.mmap, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """One byte per page; its lowest bit says whether the page is in memory."""
    states = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    view = np.frombuffer(mapped, np.uint8)  # gives the address of a read-only map
    try:
        if ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(view.ctypes.data),
            ctypes.c_size_t(size),
            ctypes.c_void_p(states.ctypes.data),
        ):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        del view  # the map cannot be closed while it is viewed
    return states
