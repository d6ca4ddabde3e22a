"""Reads a random batch in one gather from memory, without a visit to a part for each image.

This needs cells that are pixels of one shape, in files that can be mapped into memory. A part is
mapped when a batch first needs it, after it was checked where its blocks are. It stays mapped, which
keeps no file open.
"""

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from math import prod
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ._checksum import Image, Rows, Shape
from ._index import RECORD
from ._part import Part

LARGE_CELL = 2**15 - 1
"""Copying a cell of more bytes takes far longer than Python's work for it."""
ORIGIN, LAST = 1, 2**48
"""The addresses that a program can have on today's 64-bit systems; no array begins at 0."""
UNKNOWN, UNFIT = 0, 1
"""Of a part that was not opened yet, and of one whose cells cannot be gathered."""


class Gather:
    """Where cells and records are in memory, of some of a store's parts; it never changes."""

    def __init__(self, firsts: Rows) -> None:
        """Know no part yet; firsts: the first id of each part of the store."""
        self._firsts = firsts
        self._tables = np.zeros(len(firsts), np.int64)  # where each part's is, or 0
        self._kinds = np.zeros(len(firsts), np.int64)  # the number of its shape; UNKNOWN, UNFIT
        self._shapes: list[Shape] = [(), ()]
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
        more._shapes, more._kept = [*self._shapes], [*self._kept]
        for owner in np.unique(owners[unknown]).tolist():
            opened = part(owner)
            index, cells = opened.index, opened.reader.map()
            if cells is None or index.shape is None or prod(index.shape) > LARGE_CELL:
                more._kinds[owner] = UNFIT
                continue
            if index.shape not in more._shapes:
                more._shapes.append(index.shape)
            more._kinds[owner] = more._shapes.index(index.shape)
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
        """The shape of all images of these parts, which it knows; () if they cannot be gathered."""
        kinds = self._kinds[owners]
        return self._shapes[kinds[0]] if (kinds == kinds[0]).all() else ()

    def records(self, ids: Rows, owners: Rows) -> NDArray[np.void]:
        """The label and checksum of each id, whose part is at the position in `owners`."""
        places = self._tables[owners] + (ids - self._firsts[owners]) * RECORD.itemsize
        return gathered(places, RECORD.itemsize).view(RECORD)

    def images(self, ids: Rows, shape: Shape) -> Image:
        """The images, all of that shape, of parts that it knows, in a new array."""
        size, runs = prod(shape), np.searchsorted(self._blocks, ids, side="right") - 1
        places = self._addresses[runs] + (ids - self._blocks[runs]) * size
        return gathered(places, size).view(np.uint8).reshape(-1, *shape)


def gathered(addresses: Rows, size: int) -> NDArray[np.void]:
    """A copy of the `size` bytes at each address."""
    found: NDArray[np.void] = memory(size)[addresses - ORIGIN]
    return found


@lru_cache
def memory(item: int) -> NDArray[np.void]:
    """All memory of this process: element i is the `item` bytes from address ORIGIN + i on."""
    place = {"version": 3, "data": (ORIGIN, True), "shape": (LAST - ORIGIN,), "strides": (1,)}
    return np.asarray(SimpleNamespace(__array_interface__=place | {"typestr": f"|V{item}"}))
