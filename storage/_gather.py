"""Reads a random batch in one gather from memory, without a visit to a part for each image.

This needs cells that are pixels of one shape, in parts that are mapped into memory.
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
"""Copying a cell of more bytes takes far longer than Python's work for it."""
RECORD = np.dtype(ALWAYS)
ORIGIN, LAST = 1, 2**48
"""The addresses that a program can have on today's 64-bit systems; no array begins at 0."""


def gather_of(parts: list[Part]) -> "Gather | None":
    """The gather over all parts, or None if one is impossible."""
    shape, *others = {part.index.shape for part in parts}
    if others or shape is None or prod(shape) > LARGE_CELL:
        return None
    with suppress(OSError, MemoryError):  # a map may find no address space
        addresses = [each for part in parts if (each := part.reader.addresses()) is not None]
        return Gather(parts, shape, addresses) if len(addresses) == len(parts) else None
    return None


class Gather:
    """The places in memory of the cells and the index records of a store's parts."""

    def __init__(self, parts: list[Part], shape: Shape, addresses: list[Rows]) -> None:
        self._parts = parts  # kept, so that their maps stay in place
        self._shape = shape
        self._size = prod(shape)
        self._firsts = np.array([part.first for part in parts], np.int64)
        self._tables = np.array([part.index.table.ctypes.data for part in parts], np.int64)
        self._blocks = np.concatenate([part.first + part.index.blocks[:, 0] for part in parts])
        self._addresses = np.concatenate(addresses)
        self._cells, self._records = memory(self._size), memory(RECORD.itemsize)

    def read(self, ids: Rows, check: bool) -> tuple[Image, Labels]:
        """Read the records `ids`; with `check`, raises `CorruptRecordError` if one is wrong."""
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
    """Positions in `memory` of `ids`; those from `firsts[i]` on lie from `addresses[i]` on."""
    runs = np.searchsorted(firsts, ids, side="right") - 1
    return addresses[runs] + (ids - firsts[runs]) * size - ORIGIN


def memory(item: int) -> NDArray[np.void]:
    """All memory of this process: element i is the `item` bytes from address ORIGIN + i on."""
    place = {"version": 3, "data": (ORIGIN, True), "shape": (LAST - ORIGIN,), "strides": (1,)}
    return np.asarray(SimpleNamespace(__array_interface__=place | {"typestr": f"|V{item}"}))
