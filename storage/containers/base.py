"""What a container defines: how the cells of a part are written, once, and read."""

from abc import ABC, abstractmethod
from collections.abc import Collection

import numpy as np

from .._checksum import Image, Labels
from .._files import Folder, Map
from .._index import Index, PartCells, Structure
from ..payloads.base import Cell


class Reader(ABC):
    """The cells of an open part. `rows` are positions in the part, counted from 0.

    Several threads use it at once, and so do processes forked after it was opened, perhaps while
    another thread was inside a library. It closes what it holds when nothing refers to it any more.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    @abstractmethod
    def cell(self, row: int, offset: int, size: int) -> Cell:
        """Return one cell of `size` bytes; offset: where it begins among all cells laid end to end.

        If the files have changed, raises `CorruptStoreError`: the index's `broken` or `damaged`.
        """

    def run(self, start: int, stop: int, out: Image) -> None:
        """Fill `out`, (stop - start, bytes of a cell); all cells of the part have that size."""
        size = out.shape[1]
        for row, image in zip(range(start, stop), out, strict=True):
            cell = self.cell(row, row * size, size)
            if len(cell) != size:
                raise self._index.damaged(row, f"it has {len(cell)} bytes, not {size}")
            image[:] = np.frombuffer(cell, np.uint8)

    def map(self) -> Map | None:
        """The file in which the index's blocks are, in memory, or None. Raises MemoryError."""
        return None


class Container(ABC):
    """How the cells of a part lie on disk.

    file: the name of the one file in the part's folder, or "" if there are several; while it is
        written, it may be opened for reading and closed
    largest_cell: the most bytes of a cell
    """

    file: str = ""
    largest_cell: int = 2**62

    @abstractmethod
    def write(self, folder: Folder, cells: PartCells) -> Structure:
        """Write all cells to new files in `folder`; raises OSError."""

    @abstractmethod
    def open(self, folder: Folder, index: Index) -> Reader:
        """Open a part without creating files; raises FileNotFoundError, or as `cell` does."""

    def files(self, first: int, stop: int) -> Collection[str]:
        """The names of the files of a part with these ids."""
        return [self.file]

    def renumber(self, folder: Folder, labels: Labels, first: int, new_first: int) -> None:  # noqa: B027  # most need none
        """Bring files that tell ids up to date: these begin with `new_first`, below `first`, now."""

    def check(self, folder: Folder, index: Index) -> None:  # noqa: B027  # most need none
        """Raise `CorruptStoreError` for damage to the files that reading does not show."""
