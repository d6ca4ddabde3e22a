"""What a container defines: how the cells of a part are written, and read again.

A part is written once, in a folder of its own: there is nothing to lock, to recover or to guard
against another writer.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection

import numpy as np

from .._checksum import Image, Rows
from .._files import Folder
from .._index import Index, PartCells, Structure
from ..payloads.base import Cell


class Reader(ABC):
    """The cells of an open part. `rows` are positions in the part, counted from 0.

    Several threads use it at once, and processes that were forked since it was opened, perhaps while
    another thread was inside a library. It closes what it holds when nothing refers to it any more.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    @abstractmethod
    def cell(self, row: int, offset: int, size: int) -> Cell:
        """One cell; offset: where it is among all cells laid end to end; size: its bytes.

        Raises `CorruptStoreError` where the files cannot be as they were written, as `broken` or
        `damaged` of the index makes it: in one line that names the part and its ids.
        """

    def run(self, start: int, stop: int, out: Image) -> None:
        """Fill `out`, (stop - start, bytes of a cell), where all cells of the part are as long."""
        size = out.shape[1]
        for row, image in zip(range(start, stop), out, strict=True):
            cell = self.cell(row, row * size, size)
            if len(cell) != size:
                raise self._index.damaged(row, f"it has {len(cell)} bytes, not {size}")
            image[:] = np.frombuffer(cell, np.uint8)

    def addresses(self) -> Rows | None:
        """Where in memory each block begins, (n,); None where not. Raises OSError, MemoryError."""
        return None


class Container(ABC):
    """How the cells of a part lie on disk.

    file: the name of the one file in the part's folder, or "" where there are several
    largest_cell: bytes of the largest cell that it can hold
    """

    file: str = ""
    largest_cell: int = 2**62

    @abstractmethod
    def write(self, folder: Folder, cells: PartCells) -> Structure:
        """Write all cells to new files in `folder`; raises OSError."""

    @abstractmethod
    def open(self, folder: Folder, index: Index) -> Reader:
        """Open a part, whose files may be removed meanwhile: FileNotFoundError, and none is created.

        Raises `CorruptStoreError` as `cell`.
        """

    def files(self, first: int, stop: int) -> Collection[str]:
        """The names of the files of a part that has these ids."""
        return [self.file]

    def check(self, folder: Folder, index: Index) -> None:  # noqa: B027  # as a rule, nothing
        """Raise `CorruptStoreError` for what is wrong with the files beyond what reading shows."""
