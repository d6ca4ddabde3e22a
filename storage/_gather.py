"""Finds a random batch in memory, without a visit to a part for each image.

This needs small cells, in files that can be mapped into memory. A part is mapped when a batch first
needs it, after it was checked where its blocks are. It stays mapped, which keeps no file open. Cells
that are pixels of one shape are copied in one gather; of others, it is told where they are.
"""

import mmap
from collections.abc import Callable
from copy import copy
from ctypes import string_at
from functools import lru_cache
from itertools import starmap
from math import prod
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ._checksum import Image, Rows, Shape
from ._files import libc
from ._index import LONG_RECORD, RECORD
from ._part import Part

LARGE_CELL = 2**15 - 1
"""Copying a cell of more bytes takes far longer than Python's work for it."""
ORIGIN, LAST = 1, 2**48
"""The addresses that a program can have on today's 64-bit systems; no array begins at 0."""
PREFETCH_BYTES = 2**26
"""Of a larger batch, what was read first might be forgotten before it is used."""
MOST_BYTES = 2**31 - 1
"""`string_at` counts in a C int."""
UNKNOWN, UNFIT, SIZED = range(3)
"""Of a part that was not opened yet, of one that stays unmapped, and of cells with sizes of their own."""


class MappedCells:
    """The `LONG_RECORD`s of a batch, (n,), and its cells."""

    def __init__(self, gather: "Gather", records: NDArray[np.void], places: Rows) -> None:
        self.records = records
        self._gather = gather  # so that the memory stays in place
        self._where = [*zip(places.tolist(), records["size"].tolist(), strict=True)]

    def cell(self, i: int) -> bytes:
        return string_at(*self._where[i])

    def read(self, some: slice) -> list[bytes]:
        return [*starmap(string_at, self._where[some])]


class Gather:
    """Where cells and records are in memory, of some of a store's parts; it never changes."""

    def __init__(self, firsts: Rows) -> None:
        """Know no part yet; firsts: the first id of each part of the store."""
        self._firsts = firsts
        self._tables = np.zeros(len(firsts), np.int64)  # where each part's is, or 0
        self._kinds = np.zeros(len(firsts), np.int64)  # one of these, or the number of its shape
        self._shapes: list[Shape] = [(), (), ()]
        self._limits = np.zeros((len(firsts), 2), np.int64)  # bytes of cells; where the map ends
        self._blocks = self._addresses = np.empty(0, np.int64)  # first ids of blocks, and where
        self._kept: list[object] = []  # so that the memory stays in place

    def including(self, owners: Rows, part: Callable[[int], Part]) -> "Gather":
        """A gather that knows the parts at these positions, too.

        part: opens the part at a position. Raises MemoryError if no more can be mapped.
        """
        unknown = self._kinds[owners] == UNKNOWN
        if not unknown.any():
            return self
        more, places = copy(self), [np.empty((2, 0), np.int64)]
        more._tables, more._kinds = self._tables.copy(), self._kinds.copy()
        more._limits = self._limits.copy()
        more._shapes, more._kept = [*self._shapes], [*self._kept]
        for owner in np.unique(owners[unknown]).tolist():
            opened = part(owner)
            index, cells = opened.index, None
            if index.cell_bytes <= LARGE_CELL * index.length:
                cells = opened.reader.map()
            if cells is None:
                more._kinds[owner] = UNFIT
                continue
            if index.shape and index.shape not in more._shapes:
                more._shapes.append(index.shape)
            more._kinds[owner] = more._shapes.index(index.shape) if index.shape else SIZED
            more._limits[owner] = index.cell_bytes, cells.address + cells.size
            table = index.shared_table()
            more._tables[owner] = table.ctypes.data
            places.append(np.add(index.blocks, (index.first, cells.address)).T)
            more._kept += table, cells
        added, addresses = np.concatenate(places, axis=1)
        order = np.argsort(blocks := np.concatenate([self._blocks, added]), kind="stable")
        more._blocks = blocks[order]
        more._addresses = np.concatenate([self._addresses, addresses])[order]
        return more

    def shape_of(self, owners: Rows) -> Shape:
        """The shape of all images of these parts, which it knows; () unless cells are its pixels."""
        kinds = self._kinds[owners]
        return self._shapes[kinds[0]] if (kinds == kinds[0]).all() else ()

    def records(
        self, ids: Rows, owners: Rows, kind: np.dtype[np.void] = RECORD
    ) -> NDArray[np.void]:
        """The record of each id, whose part is at the position in `owners`; kind: what it is there."""
        places = self._tables[owners] + (ids - self._firsts[owners]) * kind.itemsize
        return gathered(places, kind.itemsize).view(kind)

    def cells(self, ids: Rows, owners: Rows) -> MappedCells | None:
        """The cells of parts that it knows; None unless they have sizes of their own.

        None, too, if a table gives a place outside the cells or the file.
        """
        if (self._kinds[owners] != SIZED).any():
            return None
        runs = np.searchsorted(self._blocks, ids, side="right") - 1
        records = self.records(ids, owners, LONG_RECORD)
        starts = self.records(firsts := self._blocks[runs], owners, LONG_RECORD)["offset"]
        starts = np.where(firsts == self._firsts[owners], 0, starts)  # whatever the table says
        offsets, sizes, (total, end) = records["offset"], records["size"], self._limits[owners].T
        fits = (starts >= 0) & (offsets >= starts) & (offsets <= total)
        fits &= (sizes >= 0) & (sizes <= total - offsets) & (sizes <= MOST_BYTES)
        places = self._addresses[runs] + (offsets - starts)
        fits &= places + sizes <= end
        if not fits.all():
            return None
        prefetch(places, sizes)
        return MappedCells(self, records, places)

    def images(self, ids: Rows, shape: Shape) -> Image:
        """The images, all of that shape, of parts that it knows, in a new array."""
        size, runs = prod(shape), np.searchsorted(self._blocks, ids, side="right") - 1
        places = self._addresses[runs] + (ids - self._blocks[runs]) * size
        return gathered(places, size).view(np.uint8).reshape(-1, *shape)


def prefetch(places: Rows, sizes: Rows) -> None:
    """Let the disk begin to read cells of several pages, all at the same time; only a hint.

    A fault reads the neighbours of its page, which is enough for a small cell.
    """
    if sizes.sum() > PREFETCH_BYTES:
        return
    large = sizes > mmap.PAGESIZE
    for place, size in zip(places[large].tolist(), sizes[large].tolist(), strict=True):
        start = place & -mmap.PAGESIZE
        libc.madvise(start, place + size - start, mmap.MADV_WILLNEED)


def gathered(addresses: Rows, size: int) -> NDArray[np.void]:
    """A copy of the `size` bytes at each address."""
    found: NDArray[np.void] = memory(size)[addresses - ORIGIN]
    return found


@lru_cache
def memory(item: int) -> NDArray[np.void]:
    """All memory of this process: element i is the `item` bytes from address ORIGIN + i on."""
    place = {"version": 3, "data": (ORIGIN, True), "shape": (LAST - ORIGIN,), "strides": (1,)}
    return np.asarray(SimpleNamespace(__array_interface__=place | {"typestr": f"|V{item}"}))
