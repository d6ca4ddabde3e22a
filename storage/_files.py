"""The file system as the stores use it: syncing, atomic replacement, the writer's lock, sizes."""

import ctypes
import fcntl
import os
import shutil
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

from ._errors import BusyError

TEMPORARY = ".tmp-"
"""Prefix of everything that is not committed yet: readers ignore it, the next writer removes it."""

FEW_FILES = 16
"""Up to this many files are synced one by one; beyond, the whole file system at once.

Syncing a file costs 0.1-0.2 ms on a virtual disk however small it is, `syncfs` a few times that
once, but it also waits for what other programs have written.
"""


class DiskUsage(NamedTuple):
    """What a store takes on disk."""

    apparent_bytes: int  # the sum of the files' lengths
    allocated_bytes: int  # what the file system has reserved, for files and folders
    files: int


def disk_usage(path: Path) -> DiskUsage:
    """Measure everything below `path`, like `du`; raises OSError."""
    apparent = files = 0
    allocated = path.stat().st_blocks * 512
    folders = [os.fspath(path)]
    while folders:
        # What a writer has just renamed or removed is not part of the store.
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        apparent += status.st_size
                        files += 1
                    allocated += status.st_blocks * 512
    return DiskUsage(apparent, allocated, files)


def sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path, names: Sequence[str]) -> None:
    """Sync the files `names` in `folder`, and the folder; raises OSError."""
    if len(names) > FEW_FILES and sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            # The standard library has os.sync (every file system) but not syncfs (this one).
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), os.fspath(folder))
        finally:
            os.close(descriptor)
        return
    for name in names:
        sync(folder / name)
    sync(folder)


def write_atomically(path: Path, data: bytes, durable: bool) -> None:
    """Put a small file in place so that it is seen whole or not at all; raises OSError."""
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        temporary.write_bytes(data)
        if durable:
            sync(temporary)
        temporary.rename(path)
    except BaseException:
        remove(temporary)
        raise
    if durable:
        sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with what is in it, if it is there; raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class WriterLock:
    """An exclusive lock on a file that the kernel drops when the process ends, however it ends.

    `flock` belongs to the open file, not to the process as `lockf` does, so that it also keeps two
    writers of one process apart. A forked child shares the open file: it closes its copy, which
    leaves the lock with the parent, so that the lock does not outlive the parent.
    """

    _held: ClassVar["weakref.WeakSet[WriterLock]"] = weakref.WeakSet()

    def __init__(self, path: Path) -> None:
        """Take the lock; raises `BusyError` at once where another holds it, OSError."""
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise BusyError(
                f"{path.parent}: another writer has the store open; close it, or open with mode='r'"
            ) from None
        WriterLock._held.add(self)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @classmethod
    def _after_fork(cls) -> None:
        for lock in list(cls._held):
            lock.release()


os.register_at_fork(after_in_child=WriterLock._after_fork)
