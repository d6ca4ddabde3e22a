"""The operating system's page cache: how much of a store is in it, and how to evict a store.

`POSIX_FADV_DONTNEED` drops a file's clean, unmapped pages and needs no root. Pages that this process
has mapped are unmapped first by `MADV_DONTNEED`: the map stays, and brings them back when they are
read. Directory entries and inodes stay cached: only root can drop those.
"""

import ctypes
import mmap
import os
import secrets
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

CAN_EVICT = hasattr(os, "posix_fadvise")
READ_BYTES = 2**20
PATIENCE, BETWEEN = 0.5, 0.01
"""For how long pages that stay are evicted again, and how often, in seconds."""
MADV_DONTNEED = 4
MAPS = Path("/proc/self/maps")
"""Linux's list of this process's maps: addresses, permissions, offset, device, inode, path."""
MOST_RESIDENT = 0.01
"""The largest fraction of a store's pages in memory that still counts as cold."""


def files_below(path: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield Path(folder, name)


def evict(path: Path) -> None:
    """Drop all files below `path` from memory; raises OSError.

    Pages that are not on the disk yet stay, so sync first: syncing each file here would wait for the
    disk once for each.
    """
    _unmap_pages(path)
    for folder, _, names in os.walk(path):
        for name in names:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def evict_or_wait(path: Path) -> float:
    """Evict all files below `path`; return the fraction that stays in memory, 0 to 1.

    Pages that the system is reading ahead cannot be dropped until they have come, so this tries
    again for up to `PATIENCE` seconds. Raises OSError.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        evict(path)
        fraction = resident_fraction(path)
        if fraction <= MOST_RESIDENT or time.monotonic() > deadline:
            return fraction
        time.sleep(BETWEEN)


def _unmap_pages(path: Path) -> None:
    """Give up the pages of the files below `path` that this process has mapped for reading.

    Those of a map that it may write to stay.
    """
    folder = f"{path.resolve()}/"
    for line in MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        addresses, permissions, *_, name = line.split(maxsplit=5)
        # A private page that was written to exists nowhere else.
        if name.startswith(folder) and "w" not in permissions:
            start, stop = (int(address, 16) for address in addresses.split("-"))
            # A locked page stays, as `resident_fraction` then shows.
            _library().madvise(
                ctypes.c_void_p(start), ctypes.c_size_t(stop - start), ctypes.c_int(MADV_DONTNEED)
            )


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


def write_out(folder: Path) -> None:
    """Wait until all that its file system has to write is on the disk; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fspath(folder))
    finally:
        os.close(descriptor)


LEAST_TAKEN = 2**23
"""Bytes; arrays that are much smaller would take no pages of the system's."""


def place_anew(path: Path) -> None:
    """Let the files below `path` lie elsewhere in memory, with all of them there; raises OSError.

    The pages that eviction frees would be given back at once. So others take some of them first.
    """
    evict(path)
    size = sum(file.stat().st_size for file in files_below(path))
    taken = np.ones(secrets.randbelow(max(2 * size, LEAST_TAKEN)), np.uint8)
    warm(path)
    del taken


def resident_fraction(path: Path) -> float:
    """The fraction of the pages of all files below `path` that are in memory, 0 to 1.

    `mincore(2)` tells without reading them.
    """
    resident = pages = 0
    for folder, _, names in os.walk(path):
        for name in names:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY)
            try:
                if size := os.fstat(descriptor).st_size:
                    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as mapped:
                        states = _states(mapped, size)
                    resident += int(np.count_nonzero(states & 1))
                    pages += len(states)
            finally:
                os.close(descriptor)
    return resident / pages if pages else 0.0


@cache
def _library() -> ctypes.CDLL:
    """The C library; looking it up takes longer than asking about a small file."""
    return ctypes.CDLL(None, use_errno=True)


def _states(mapped: mmap.mmap, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """One byte per page; its lowest bit says whether the page is in memory."""
    states = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    view = np.frombuffer(mapped, np.uint8)  # gives the address of a read-only map
    try:
        if _library().mincore(
            ctypes.c_void_p(view.ctypes.data),
            ctypes.c_size_t(size),
            ctypes.c_void_p(states.ctypes.data),
        ):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        del view  # the map cannot be closed while it is viewed
    return states
