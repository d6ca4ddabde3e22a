"""LMDB: one file of blocks of cells, `data.mdb`, without its lock file.

    with lmdb.open("data.mdb", subdir=False, readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            cells = b"".join(value for _, value in transaction.cursor())
    cell = cells[start : start + size]

`index.npy` tells where a cell is. A key is the row of its block's first cell, 8 bytes, big-endian.
A value is as many cells as fit in `BLOCK_BYTES`, side by side, or one longer cell.

LMDB trusts its pages. A damaged one can lead it out of the file, which ends the process. So the
pages of its trees are hashed when they are written, and again before LMDB opens them. Cells are
read from where the index says, without LMDB, which takes 0.2 ms and 0.2 MB to open a file. LMDB
opens it to verify that it finds the same.
"""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import lmdb
import numpy as np

from .._errors import CorruptStoreError
from .._files import Descriptor, Folder, libc
from .._index import Index, PartCells, Structure
from .base import Container, Reader
from .flat import BlockReader

TRANSACTION_BYTES = 2**20
"""Bytes of cells that a transaction holds in memory; malloc returns more to the system."""
BLOCK_BYTES = 2**17
"""Smaller blocks slow down reading everything; larger ones slow down a random batch."""
SPARE_BYTES = 2**20
"""A map has room for the pages of cells, a sixty-fourth of them more, and this."""
DROP = mmap.MADV_DONTNEED  # of a file's map: it is mapped anew if used
key_of = struct.Struct(">Q").pack


@contextmanager
def lmdb_errors(place: Descriptor) -> Iterator[None]:
    """Turn an `lmdb.Error` into the OSError or `CorruptStoreError` that it means here."""
    try:
        yield
    except lmdb.Error as error:
        code = getattr(error, "code", 0)
        if code <= 0:  # a code of LMDB's own, not an errno
            raise CorruptStoreError(f"{place.path}: LMDB says: {error}; restore it") from error
        if code == errno.EIO and not os.fstatvfs(place.number).f_bavail:
            code = errno.ENOSPC  # LMDB says EIO if only part of a write reached the disk
        raise OSError(code, os.strerror(code), place.path) from error


def opened(path: str, map_size: int, **options: bool) -> lmdb.Environment:
    """Open the environment of a file; path: starts at a descriptor, so renaming does not matter."""
    path, mode = f"/proc/self/fd/{path}", 0o666
    return lmdb.open(path, subdir=False, lock=False, mode=mode, map_size=map_size, **options)


class LmdbContainer(Container):
    """Cells in an LMDB file."""

    file = "data.mdb"
    largest_cell = 2**32 - 1  # LMDB counts the bytes of a value in 32 bits

    def write(self, folder: Folder, cells: PartCells) -> Structure:
        with lmdb_errors(folder):
            # LMDB creates the file. It may call an existing one already open: the inode may be that
            # of a file that another thread is closing, which LMDB has not forgotten yet.
            path = f"{folder.number}/{self.file}"
            environment = opened(path, SPARE_BYTES, sync=False)
        with environment:  # outside `lmdb_errors`: the caller's images may raise their own
            page, pages = environment.stat()["psize"], 0
            for blocks in slabs_of(cells):
                pages += sum(map(len, chain(*blocks.values()))) // page + 2 * len(blocks)
                with lmdb_errors(folder):
                    environment.set_mapsize(page * (pages + pages // 64) + SPARE_BYTES)
                    with environment.begin(write=True) as transaction:
                        for row, block in blocks.items():
                            value = block[0] if len(block) == 1 else b"".join(block)
                            transaction.put(key_of(row), value, append=True)
            with lmdb_errors(folder):
                return structure_of(environment, folder.open(self.file).size)

    def open(self, folder: Folder, index: Index) -> Reader:
        file = folder.open(self.file)
        index.check_length(file)
        return BlockReader(file, index)

    def check(self, folder: Folder, index: Index) -> None:
        """Check that LMDB returns what the index says, unless other code here has the file open."""
        file = folder.open(self.file)
        reader = BlockReader(file, index)
        index.check_blocks(file)
        index.check_structure(file)
        with lmdb_errors(file):
            try:
                environment = opened(str(file.number), file.size, readonly=True, readahead=False)
            except lmdb.Error as error:
                if "already open" not in str(error):
                    raise
                return  # LMDB allows a process only one on a file
            with environment, environment.begin(buffers=True) as lookup:
                for block, (row, offset) in enumerate(index.blocks.tolist()):
                    length = reader.start(block + 1) - reader.start(block)
                    value = lookup.get(key_of(row), b"")
                    if len(value) != length or file.read(length, offset) != value:
                        raise index.broken(f"{file.path} lacks the block of row {row}")


def slabs_of(cells: PartCells) -> Iterator[dict[int, list[memoryview]]]:
    """Yield all cells as blocks, some at a time: the pieces of each by its first cell's row."""
    blocks: dict[int, list[memoryview]] = {}
    row = size = total = 0
    for some in cells:
        step = max(1, BLOCK_BYTES // some.shape[1]) if isinstance(some, np.ndarray) else 1
        for i in range(0, len(some), step):
            one = some[i : i + step]
            piece = memoryview(one.reshape(-1) if isinstance(one, np.ndarray) else one[0])
            if not blocks or size + len(piece) > BLOCK_BYTES:
                if total >= TRANSACTION_BYTES:
                    yield blocks
                    blocks.clear()  # freed before the next is made
                    total = 0
                block, size = blocks.setdefault(row, []), 0
            block.append(piece)
            row, size, total = row + len(one), size + len(piece), total + len(piece)
    yield blocks


def structure_of(environment: lmdb.Environment, size: int) -> Structure:
    """Where the blocks are in the file of `size` bytes, and which pages are not theirs."""
    page, base, blocks = environment.stat()["psize"], 0, list[tuple[int, int]]()
    own = [0, size]  # where values' own pages begin and end; a short value is on a page of the tree
    with environment.begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            start, inside = divmod(np.frombuffer(value, np.uint8).ctypes.data, page)
            # The page of a value, or the first of its own, begins with the page number (mdb.c).
            base = base or start - ctypes.c_uint64.from_address(start * page).value
            begin = (start - base) * page
            blocks.append((int.from_bytes(key, "big"), begin + inside))
            if len(value) >= page // 2:
                length = -(-(inside + len(value)) // page) * page
                own += begin, begin + length
                # py-lmdb has touched all of it: without this, memory would seem to grow by the file.
                libc.madvise(start * page, length, DROP)
    own.sort()
    gaps = [(i, j - i) for i, j in zip(own[::2], own[1::2], strict=True) if j > i]
    return Structure(blocks, [*gaps, (size, 0)])  # the file may not be shorter
