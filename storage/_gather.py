"""Reads a random batch in one gather from memory, without a visit to a part for each image.

This needs cells that are pixels of one shape, in files that can be mapped into memory. A part is
mapped when a batch first needs it, and stays mapped, which keeps no file open.
"""

from collections.abc import Callable, Iterator
from copy import copy
from functools import lru_cache
from math import prod
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ._checksum import Image, Rows, Shape
from ._files import Map
from ._index import INDEX, RECORD, Index
from ._part import Part

LARGE_CELL = 2**15 - 1
"""Copying a cell of more bytes takes far longer than Python's work for it."""
ORIGIN, LAST = 1, 2**48
"""The addresses that a program can have on today's 64-bit systems; no array begins at 0."""


class Gather:
    """Where cells and records are in memory, of some of a store's parts; it never changes."""

    shape: Shape = ()

    def __init__(self, firsts: Rows) -> None:
        """Know no part yet; firsts: the first id of each part of the store."""
        self._firsts = firsts
        self._tables = np.zeros(len(firsts), np.int64)  # where each part's are, or 0
        self._blocks = self._addresses = np.empty(0, np.int64)  # first ids of blocks, and where
        self._kept: list[object] = []  # so that the memory stays in place

    def including(self, owners: Rows, part: Callable[[int], Part]) -> "Gather | None":
        """A gather that knows the parts at these positions, too; None if there cannot be one.

        part: opens the part at a position. Raises MemoryError if no more can be mapped.
        """
        unknown = self._tables[owners] == 0
        if not unknown.any():
            return self
        more, places = copy(self), list[tuple[int, int]]()
        more._tables, more._kept = self._tables.copy(), [*self._kept]
        for owner in np.unique(owners[unknown]).tolist():
            opened = part(owner)
            index, cells = opened.index, opened.reader.map()
            more.shape = more.shape or index.shape or ()
            if cells is None or index.shape != more.shape or prod(more.shape) > LARGE_CELL:
                return None
            table = index.shared_table()
            more._tables[owner] = table.ctypes.data
            places += blocks_in(index, cells)
            more._kept += table, cells
        added, addresses = np.array(places, np.int64).T
        order = np.argsort(blocks := np.concatenate([self._blocks, added]), kind="stable")
        more._blocks = blocks[order]
        more._addresses = np.concatenate([self._addresses, addresses])[order]
        return more

    def records(self, ids: Rows, owners: Rows) -> NDArray[np.void]:
        """The label and checksum of each id, whose part is at the position in `owners`."""
        places = self._tables[owners] + (ids - self._firsts[owners]) * RECORD.itemsize
        return gathered(places, RECORD.itemsize).view(RECORD)

    def images(self, ids: Rows) -> Image:
        """The images of parts that it knows, in a new array."""
        size, runs = prod(self.shape), np.searchsorted(self._blocks, ids, side="right") - 1
        places = self._addresses[runs] + (ids - self._blocks[runs]) * size
        return gathered(places, size).view(np.uint8).reshape(-1, *self.shape)


def blocks_in(index: Index, cells: Map) -> Iterator[tuple[int, int]]:
    """The first id and the address of each block; raises `CorruptStoreError` if it is elsewhere."""
    blocks, size = index.blocks.tolist(), index.size or 0
    for (row, offset), (end, _) in zip(blocks, [*blocks[1:], (index.length, 0)], strict=True):
        if not (0 <= row < end <= index.length and 0 <= offset <= cells.size - (end - row) * size):
            raise index.broken(f"{INDEX} gives a place outside the cells")
        yield index.first + row, cells.address + offset


def gathered(addresses: Rows, size: int) -> NDArray[np.void]:
    """A copy of the `size` bytes at each address."""
    found: NDArray[np.void] = memory(size)[addresses - ORIGIN]
    return found


@lru_cache
def memory(item: int) -> NDArray[np.void]:
    """All memory of this process: element i is the `item` bytes from address ORIGIN + i on."""
    place = {"version": 3, "data": (ORIGIN, True), "shape": (LAST - ORIGIN,), "strides": (1,)}
    return np.asarray(SimpleNamespace(__array_interface__=place | {"typestr": f"|V{item}"}))
