"""One gather for a random batch, from wherever in memory the cells of all parts are.

Where a store's cells are pixels of one shape and its parts lie in memory, mapped, neither the parts
nor the containers need be visited for each image: an address is computed for each cell, and one for
each record of the indexes, and NumPy copies what is there.
"""

from contextlib import suppress
from math import prod
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ._batch import slab_length
from ._checksum import Image, Labels, Rows, Shape, first_wrong
from ._index import ALWAYS
from ._part import Part

LARGE_CELL = 2**15 - 1
"""Bytes of a cell from which Python's work for each is little beside copying it."""
RECORD = np.dtype(ALWAYS)
ORIGIN, LAST = 1, 2**48
"""Addresses that a program may have on the 64-bit systems there are; at 0 there is no array."""


def gather_of(parts: list[Part]) -> "Gather | None":
    """The gather of all parts, or None where there can be none."""
    shape, *others = {part.index.shape for part in parts}
    if others or shape is None or prod(shape) > LARGE_CELL:
        return None
    with suppress(OSError, MemoryError):  # there may be no address space for a map
        addresses = [each for part in parts if (each := part.reader.addresses()) is not None]
        return Gather(parts, shape, addresses) if len(addresses) == len(parts) else None
    return None


class Gather:
    """Where the cells and the records of all parts of a store lie in memory."""

    def __init__(self, parts: list[Part], shape: Shape, addresses: list[Rows]) -> None:
        self._parts = parts  # which keep what is mapped in place
        self._shape = shape
        self._size = prod(shape)
        self._firsts = np.array([part.first for part in parts], np.int64)
        self._tables = np.array([part.index.table.ctypes.data for part in parts], np.int64)
        self._blocks = np.concatenate([part.first + part.index.blocks[:, 0] for part in parts])
        self._addresses = np.concatenate(addresses)
        self._cells, self._records = memory(self._size), memory(RECORD.itemsize)

    def read(self, ids: Rows, check: bool) -> tuple[Image, Labels]:
        """The records `ids`; raises `CorruptRecordError` where one is wrong and `check`."""
        found = places(ids, self._firsts, self._tables, RECORD.itemsize)
        records = self._records[found].view(RECORD)
        labels, stored = records["label"].copy(), records["checksum"].copy()
        cells = places(ids, self._blocks, self._addresses, self._size)
        slabs = []
        step = slab_length(self._shape)
        for start in range(0, len(ids), step):
            some = slice(start, start + step)
            slab = self._cells[cells[some]].view(np.uint8).reshape(-1, *self._shape)
            if check:  # while the pixels are in the processor's cache
                wrong = first_wrong(ids[some], labels[some], stored[some], slab)
                if wrong is not None:
                    part = self._parts[int(np.searchsorted(self._firsts, wrong, "right")) - 1]
                    raise part.index.wrong(wrong - part.first)
            slabs.append(slab)
        return (slabs[0] if len(slabs) == 1 else np.concatenate(slabs)), labels


def places(ids: Rows, firsts: Rows, addresses: Rows, size: int) -> Rows:
    """The element of `memory` of each id; ids from each of `firsts` on lie from its address on."""
    runs = np.searchsorted(firsts, ids, side="right") - 1
    return addresses[runs] + (ids - firsts[runs]) * size - ORIGIN


def memory(item: int) -> NDArray[np.void]:
    """All of this process's memory: element i is the `item` bytes from address ORIGIN + i on."""
    place = {"version": 3, "data": (ORIGIN, True), "shape": (LAST - ORIGIN,), "strides": (1,)}
    return np.asarray(SimpleNamespace(__array_interface__=place | {"typestr": f"|V{item}"}))
