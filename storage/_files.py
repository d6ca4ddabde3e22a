"""The file system as stores use it: open folders, syncing, the writer's lock, sizes."""

import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import starmap
from typing import BinaryIO, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._errors import BusyError, CorruptStoreError, printable

StrPath: TypeAlias = str | os.PathLike[str]

TEMPORARY = ".tmp-"
"""Prefix of what is not committed yet: readers ignore it, the next writer removes it."""
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Flags to read a file without following a symbolic link or waiting for a pipe in its place."""
CREATING = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
NOT_OF_ITS_KIND = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
FEW_FILES = 16
"""Up to this many files are synced one by one, in 0.1-0.2 ms each on a virtual disk. More are
synced by one `syncfs`, which takes a few times that but also waits for other programs' writes.
"""
READ_BYTES = 2**16
"""A file of up to this many bytes is read in less time than it is mapped."""
MOST_MAPS = 32_000
"""All maps of a process: half of what Linux allows it (vm.max_map_count), which malloc needs, too."""

# The standard library lacks syncfs, and its maps keep their files open.
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
integer = ctypes.c_int
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, integer, integer, integer, ctypes.c_long
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t
libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, integer
MAP_FAILED = ctypes.c_void_p(-1).value
SYNC_FILE_RANGE_WRITE = 2  # <linux/fs.h>


def reserve(file: BinaryIO, size: int) -> None:
    """Give a file room for `size` bytes at once, if the system can; it is written in less time then.

    If there is too little room, writing fails in its turn.
    """
    if sys.platform == "linux":
        libc.fallocate(file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(size))


class DiskUsage(NamedTuple):
    """What a store takes on disk."""

    apparent_bytes: int  # the sum of the files' lengths
    allocated_bytes: int  # what the file system has reserved, for files and folders
    files: int


class Descriptor:
    """A file descriptor, closed with the object: no thread closes it while another uses it."""

    number = -1

    def __init__(self, number: int, path: str) -> None:
        self.number = number
        self.path = path

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.number >= 0:
            close(self.number)


class File(Descriptor):
    """A regular file, open for reading; size: its length in bytes when it was opened."""

    def __init__(self, number: int, path: str) -> None:
        """Take over a descriptor; raises `CorruptStoreError` if it is not of a regular file."""
        super().__init__(number, path)
        self.status = os.fstat(number)
        self.size = self.status.st_size
        if not stat.S_ISREG(self.status.st_mode):
            raise CorruptStoreError(f"{path}: not a regular file; restore it from a copy")

    def read(self, length: int, offset: int = 0) -> bytes:
        """Read `length` bytes, fewer only at the end of the file; raises OSError."""
        data = os.pread(self.number, length, offset)
        while missing := length - len(data):
            if not (more := os.pread(self.number, missing, offset + len(data))):
                break
            data += more
        return data

    def read_into(self, array: NDArray[np.uint8], offset: int) -> None:
        """Fill a contiguous array; raises OSError, or `CorruptStoreError` if the file ends too early."""
        done = os.preadv(self.number, [array], offset)
        if done == array.nbytes:
            return
        buffer = array.data.cast("B")
        while done < len(buffer):
            if not (more := os.preadv(self.number, [buffer[done:]], offset + done)):
                raise CorruptStoreError(f"{self.path}: ends too early; restore it from a copy")
            done += more


class Map:
    """The bytes of a file in memory, from `address` on, as long as the object lives.

    Processes share them. Unlike one of `mmap`, it keeps no file open.
    """

    _addresses: ClassVar = set[int]()  # of all maps; threads may add and discard at once

    def __init__(self, file: File) -> None:
        """Map a file that is not empty; raises MemoryError if the system allows no more.

        Raises `CorruptStoreError` if it has become shorter: its missing pages would end the process.
        """
        self.size, self._mapped = file.size, list[int]()
        if os.fstat(file.number).st_size < self.size:
            raise CorruptStoreError(f"{file.path}: has become shorter; restore it from a copy")
        if len(self._addresses) >= MOST_MAPS:
            raise MemoryError
        asked = None, self.size, mmap.PROT_READ, mmap.MAP_SHARED, file.number, 0
        # Within one call of C, so that no signal comes between the map and the note of its address.
        self._mapped.extend(starmap(libc.mmap, [asked]))
        if self.address == MAP_FAILED:
            self._mapped.clear()
            raise MemoryError
        self._addresses.add(self.address)

    @property
    def address(self) -> int:
        return self._mapped[0]

    def __del__(self, unmap: Callable[[int, int], int] = libc.munmap) -> None:
        for address in getattr(self, "_mapped", ()):
            self._addresses.discard(address)  # first: another thread's map may come to be there
            unmap(address, self.size)

    def bytes(self) -> NDArray[np.uint8]:
        """All of them; while something refers to them, they stay mapped."""
        return np.asarray(self)

    @property
    def __array_interface__(self) -> dict[str, object]:
        place = {"data": (self.address, True), "shape": (self.size,)}
        return place | {"version": 3, "typestr": "|u1"}


class Folder(Descriptor):
    """A directory held open: calls act on it, wherever its path leads later."""

    def __init__(self, path: str, inside: "Folder | None" = None) -> None:
        """Open the directory `path`, or the one of that name `inside` another.

        Raises OSError, or `CorruptStoreError` for a symbolic link inside another.
        """
        flags = READING | os.O_DIRECTORY
        if inside is None:
            super().__init__(os.open(path, flags & ~os.O_NOFOLLOW), printable(path))
        else:
            super().__init__(inside._open(path, flags), f"{inside.path}/{path}")

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(name, flags, 0o666, dir_fd=self.number)
        except OSError as error:
            error.filename = f"{self.path}/{name}"
            if error.errno in NOT_OF_ITS_KIND:
                text = "a symbolic link, or of the wrong type; restore it from a copy"
                raise CorruptStoreError(f"{error.filename}: {text}") from error
            raise

    def open(self, name: str) -> File:
        """Open a file for reading; raises OSError, or `CorruptStoreError` if it is not a file."""
        return File(self._open(name, READING), f"{self.path}/{name}")

    def create(self, name: str) -> BinaryIO:
        """Create a file to write and read; raises OSError, also if it exists."""
        return os.fdopen(self._open(name, CREATING), "w+b")

    def write(self, name: str, data: bytes | bytearray | memoryview) -> None:
        """Create a file that holds `data`; raises OSError."""
        number = self._open(name, CREATING)
        try:
            done = os.write(number, data)
            while done < len(data):
                done += os.write(number, memoryview(data)[done:])
        finally:
            os.close(number)

    def names(self) -> list[str]:
        """The names in it; opened anew, since forked processes share the position in a listing."""
        number = self._open(".", READING | os.O_DIRECTORY)
        try:
            return os.listdir(number)
        finally:
            os.close(number)

    def make_folder(self, name: str) -> "Folder":
        os.mkdir(name, dir_fd=self.number)
        return Folder(name, self)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self.number, dst_dir_fd=self.number)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder and its contents, if it exists; raises OSError."""
        with suppress(FileNotFoundError):
            try:
                os.unlink(name, dir_fd=self.number)
            except IsADirectoryError:
                shutil.rmtree(name, dir_fd=self.number)

    def begin_sync(self, name: str) -> None:
        """Let the system begin to bring a file to the disk, if it is there: `sync` takes less time."""
        if sys.platform == "linux":
            with suppress(OSError):  # only a hint
                file, all_of_it = self.open(name), ctypes.c_long(0)
                libc.sync_file_range(file.number, all_of_it, all_of_it, SYNC_FILE_RANGE_WRITE)

    def drop_cached(self, name: str) -> None:
        """Let the system forget the pages of a file that are on the disk, and begin with others."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # only a hint
                file = self.open(name)
                os.posix_fadvise(file.number, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, names: Collection[str] = ()) -> None:
        """Wait until its entries and the files `names` are on the disk; raises OSError."""
        if len(names) > FEW_FILES and sys.platform == "linux":
            self.sync_all()
            return
        for name in names:
            file = self.open(name)
            os.fsync(file.number)
        os.fsync(self.number)

    def sync_all(self) -> None:
        """Wait until everything in its file system is on the disk; raises OSError. Linux only."""
        if libc.syncfs(self.number):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), self.path)

    def usage(self) -> DiskUsage:
        """Measure everything in it, as `du` does; raises OSError."""
        apparent, files, allocated = 0, 0, os.fstat(self.number).st_blocks * 512
        for _, folders, names, number in os.fwalk(".", dir_fd=self.number):
            for name in folders + names:
                # A writer may just have renamed or removed it.
                with suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=number, follow_symlinks=False)
                    allocated += status.st_blocks * 512
                    if not stat.S_ISDIR(status.st_mode):
                        apparent += status.st_size
                        files += 1
        return DiskUsage(apparent, allocated, files)


def disk_usage(path: StrPath) -> DiskUsage:
    """Measure everything below the directory `path`, as `du` does; raises OSError."""
    return Folder(os.fspath(path)).usage()


class WriterLock:
    """An exclusive lock on a file, which the kernel drops when the process ends in any way.

    `flock` belongs to the open file, `lockf` to the process: `flock` also keeps apart two writers
    of one process. A forked child shares the open file and must close its copy, or the lock would
    outlive the parent; the parent keeps the lock.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        """Take the lock; raises OSError, or `BusyError` at once if another writer holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._name = name
        # A file object is closed exactly once, whatever interrupts.
        self._file = os.fdopen(os.open(name, flags, 0o666, dir_fd=folder.number), "r+b", 0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.check(folder)
        except BlockingIOError:
            self.release()
            advice = "close it, or open with mode='r'"
            raise BusyError(f"{folder.path}: another writer has the store open; {advice}") from None

    def check(self, folder: Folder) -> None:
        """Raise `BusyError` if the file was removed or replaced: another writer may have locked it."""
        with suppress(FileNotFoundError):
            now = os.stat(self._name, dir_fd=folder.number, follow_symlinks=False)
            if os.path.samestat(now, os.fstat(self._file.fileno())):
                return
        text = f"{self._name} was removed or replaced: another writer may be at work; open it again"
        raise BusyError(f"{folder.path}: {text}")

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        self._file.close()
