"""LMDB: one file of blocks of cells, `data.mdb`, without its lock file.

    with lmdb.open("data.mdb", subdir=False, readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            cells = b"".join(value for _, value in transaction.cursor())
    cell = cells[start : start + size]

`index.npy` tells where a cell is. A key is the row of its block's first cell, 8 bytes, big-endian; a
value is as many cells as fit in `BLOCK_BYTES`, side by side, or one that is longer.

A file is written once, so it is opened read-only and without locks. LMDB believes what its pages say
and would follow a damaged one out of the file, which ends the process: the pages of its trees are
hashed when they have been written, and again before LMDB opens them.
"""

import ctypes
import errno
import os
import struct
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import lmdb
import numpy as np

from .._batch import SLAB_BYTES
from .._errors import CorruptStoreError
from .._files import File, Folder
from .._index import Index, PartCells, Structure
from ..payloads.base import Cell
from .base import Container, Reader
from .flat import BlockReader

BLOCK_BYTES = 2**17
"""Fewer make reading all slower, more a random batch."""
SPARE_BYTES = 2**20
"""What a map has room for beyond the pages of cells and a sixty-fourth of them."""
HEADING = 16
"""Bytes of a page before what it holds; the first 8 are its number (mdb.c, `MDB_page`)."""
ATTEMPTS = 20
"""Another thread closes an environment and then forgets its inode, which may be used again by now."""
key_of = struct.Struct(">Q").pack


@contextmanager
def lmdb_errors(path: str) -> Iterator[None]:
    """Raise what an `lmdb.Error` means here: OSError, or `CorruptStoreError`."""
    try:
        yield
    except lmdb.Error as error:
        code = getattr(error, "code", 0)
        if code <= 0:  # LMDB's own, and no errno
            raise CorruptStoreError(f"{path}: LMDB says: {error}; restore it") from error
        if code == errno.EIO and not os.statvfs(path).f_bavail:
            code = errno.ENOSPC  # LMDB says EIO where a write got only a part on the disk
        raise OSError(code, os.strerror(code), path) from error


def opened(number: int, map_size: int, **options: bool) -> lmdb.Environment:
    """The environment of a file, by a path that LMDB can decode and no renaming leads elsewhere."""
    path = f"/proc/self/fd/{number}"
    return lmdb.open(path, subdir=False, lock=False, map_size=map_size, **options)


def opened_new(number: int) -> lmdb.Environment:
    """The environment of a file that is new, although LMDB may take it for one just closed."""
    for _ in range(ATTEMPTS):
        with suppress(lmdb.Error):
            return opened(number, SPARE_BYTES, sync=False)
        time.sleep(0.001)
    return opened(number, SPARE_BYTES, sync=False)


class LmdbContainer(Container):
    """Cells in an LMDB file."""

    file = "data.mdb"
    largest_cell = 2**32 - 1  # LMDB counts the bytes of a value in 32 bits

    def write(self, folder: Folder, cells: PartCells) -> Structure:
        path, rows, pages = f"{folder.path}/{self.file}", list[int](), 0
        with folder.create(self.file) as file:
            with lmdb_errors(path):
                environment = opened_new(file.fileno())
            with environment:  # an error of LMDB in what the caller gives is not of this file
                page = environment.stat()["psize"]
                for blocks in slabs_of(cells):  # LMDB holds in memory what is not committed
                    pages += sum(-(-(len(value) + HEADING) // page) for value in blocks.values())
                    with lmdb_errors(path):
                        environment.set_mapsize(page * (pages + pages // 64) + SPARE_BYTES)
                        with environment.begin(write=True) as transaction:
                            for row, value in blocks.items():
                                transaction.put(key_of(row), value, append=True)
                    rows += blocks
                with lmdb_errors(path):
                    return structure_of(environment, rows, os.fstat(file.fileno()).st_size)

    def open(self, folder: Folder, index: Index) -> Reader:
        file = folder.open(self.file)
        index.check_structure(file)
        return LmdbReader(file, index)

    def check(self, folder: Folder, index: Index) -> None:
        """What LMDB returns is where the index says; `open` has checked the rest."""
        reader = LmdbReader(folder.open(self.file), index)
        for block, (row, offset) in enumerate(index.blocks.tolist()):
            value = reader.value(block)
            if value is not None and value != reader.file.read(len(value), offset):
                raise index.broken(f"{reader.file.path} has the block of row {row} elsewhere")


def slabs_of(cells: PartCells) -> Iterator[dict[int, bytes | memoryview]]:
    """All cells as blocks, by the row of the first: slices of arrays where long enough, else joined."""
    first = row = size = total = 0
    block: list[memoryview] = []
    blocks: dict[int, bytes | memoryview] = {}
    for some in cells:
        step = max(1, BLOCK_BYTES // some.shape[1]) if isinstance(some, np.ndarray) else 1
        for i in range(0, len(some), step):
            one = some[i : i + step].reshape(-1) if isinstance(some, np.ndarray) else some[i]
            piece = memoryview(one)
            if block and size + len(piece) > BLOCK_BYTES:
                blocks[first] = block[0] if len(block) == 1 else b"".join(block)
                first, total, size, block = row, total + size, 0, []
                if total >= SLAB_BYTES:
                    yield blocks
                    blocks.clear()  # before the next is made
                    total = 0
            block.append(piece)
            row, size = row + min(step, len(some) - i), size + len(piece)
    blocks[first] = b"".join(block)
    yield blocks


def structure_of(environment: lmdb.Environment, rows: list[int], size: int) -> Structure:
    """Where the blocks are in the file of `size` bytes, and which pages are not theirs."""
    page = environment.stat()["psize"]
    with environment.begin(buffers=True) as transaction:
        values = [np.frombuffer(transaction.get(key_of(row), b""), np.uint8) for row in rows]
        addresses = [value.ctypes.data for value in values]
        # The page that a value is on, or its own first one, begins with its number.
        start = addresses[0] // page * page
        base = start - ctypes.c_uint64.from_address(start).value * page
    offsets = [address - base for address in addresses]
    own = [0, size]  # where a value's own pages begin and end: a short one is on a page of the tree
    for offset, length in zip(offsets, map(len, values), strict=True):
        if length >= page // 2:
            own += offset - HEADING, -(-(offset + length) // page) * page
    own.sort()
    gaps = [(i, j - i) for i, j in zip(own[::2], own[1::2], strict=True) if j > i]
    return Structure([*zip(rows, offsets, strict=True)], [*gaps, (size, 0)])  # it is not shorter


_environments = weakref.WeakValueDictionary[tuple[int, int], lmdb.Environment]()
"""The open ones by device and inode: LMDB allows a process one on a file. Nor does it allow one to
be carried across a fork, for the sake of its locks: here there are none, and a child goes on.
"""


def environment_of(file: File) -> lmdb.Environment | None:
    """The one on a file, closed when nothing refers to it any more; None if it is a stranger's."""
    status = os.fstat(file.number)
    key = status.st_dev, status.st_ino
    if found := _environments.get(key):
        return found
    try:
        made = opened(file.number, file.size, readonly=True, readahead=False)
        return _environments.setdefault(key, made)
    except lmdb.Error as error:
        if "already open" not in str(error):
            raise
        return _environments.get(key)  # another thread may just have opened it


class LmdbReader(BlockReader):
    """An open file; where this process has opened it by other means, it is read as any file."""

    _opened: tuple[lmdb.Environment, lmdb.Transaction] | None = None

    def value(self, block: int) -> memoryview | None:
        """The cells of a block, as LMDB returns them; None where it cannot be asked."""
        row = int(self._rows[block])
        with lmdb_errors(self.file.path):
            if (opened := self._opened) is None:
                if (environment := environment_of(self.file)) is None:
                    return None
                # The transaction stays open, so that what LMDB returned stays in place. Set but
                # once: another thread may already use what is there.
                pair = environment, environment.begin(buffers=True)
                opened = self.__dict__.setdefault("_opened", pair)
            # In a transaction of its own, since a thread may not use another's.
            with opened[0].begin(buffers=True) as lookup:
                value = memoryview(lookup.get(key_of(row), b""))
        if len(value) != self.start(block + 1) - self.start(block):
            raise self._index.broken(f"{self.file.path} lacks the block of row {row}")
        return value

    def cell(self, row: int, offset: int, size: int) -> Cell:
        block = self.block_of(row)
        if (value := self.value(block)) is None:
            return super().cell(row, offset, size)
        at = offset - self.start(block)
        return value[at : at + size]

    def address(self) -> int:
        if (value := self.value(0)) is None:
            return super().address()
        return np.frombuffer(value, np.uint8).ctypes.data - int(self._offsets[0])
