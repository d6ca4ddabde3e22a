"""Cells side by side in one file, after a heading."""

from abc import abstractmethod
from bisect import bisect_right

import numpy as np

from .._checksum import Image, Shape
from .._errors import CorruptStoreError
from .._files import File, Folder, Map, reserve
from .._index import INDEX, Index, PartCells, Structure
from ..payloads.base import Cell
from .base import Container, Reader


class FlatContainer(Container):
    """One file of cells; formats differ only in the heading."""

    @staticmethod
    @abstractmethod
    def heading(shape: Shape) -> bytes:
        """The heading of a uint8 array of that shape; it has one length for all shapes."""

    def write(self, folder: Folder, cells: PartCells) -> Structure:
        start, n = len(self.heading((1,))), len(cells.labels)
        done = length = reserved = 0
        with folder.create(self.file) as file:
            file.seek(start)
            for some in cells:
                done += len(some)
                length += file.write(some.data if isinstance(some, np.ndarray) else b"".join(some))
                if length > reserved and done < n:  # for as many cells like these, step by step
                    reserved = min(4 * length, length * n // done)
                    reserve(file, start + reserved)
            # The shape is known now: one row of bytes if shapes differ or cells are not pixels.
            shape = (len(cells.labels), *cells.shape) if cells.shape else (length,)
            heading = self.heading(shape)
            if len(heading) != start:
                raise OSError(f"{self.file}: the heading has {len(heading)} bytes, not {start}")
            file.truncate(start + length)  # what was reserved may be more
            file.seek(0)
            file.write(heading)
        return Structure([(0, start)], [(0, start)])

    def open(self, folder: Folder, index: Index) -> Reader:
        file = folder.open(self.file)
        start = file.size - index.cell_bytes
        if start < 0 or index.blocks.shape != (1, 2) or index.blocks.tolist() != [[0, start]]:
            raise index.broken(f"{file.path} does not hold {index.cell_bytes} bytes of images")
        return BlockReader(file, index)

    def check(self, folder: Folder, index: Index) -> None:
        """Check the heading, which other readers of the file need."""
        index.check_structure(folder.open(self.file))


class BlockReader(Reader):
    """An open file of blocks, in which cells lie side by side."""

    def __init__(self, file: File, index: Index) -> None:
        super().__init__(index)
        self.file = file
        if not len(index.blocks):
            raise self._outside()
        # For one element, a memoryview takes far less time than an array.
        self._rows: memoryview[int] = memoryview(index.blocks[:, 0])
        self._offsets: memoryview[int] = memoryview(index.blocks[:, 1])

    def start(self, block: int) -> int:
        """Where a block begins among all cells laid end to end."""
        if block == len(self._rows):
            return self._index.cell_bytes
        if not block:
            return 0
        row, index = self._rows[block], self._index
        if index.size:
            return row * index.size
        if not 0 <= row < index.length:
            raise self._outside()
        if not 0 <= (place := int(index.table["offset"][row])) <= index.cell_bytes:
            raise self._outside()
        return place

    def block_of(self, row: int) -> int:
        return bisect_right(self._rows, row) - 1

    def cell(self, row: int, offset: int, size: int) -> Cell:
        block = self.block_of(row)
        place = self._offsets[block] + offset - self.start(block)
        if block < 0 or not 0 <= place <= self.file.size - size:
            raise self._outside()
        return self.file.read(size, place)

    def run(self, start: int, stop: int, out: Image) -> None:
        size, rows = out.shape[1], self._rows
        row, block = start, self.block_of(start)
        while row < stop:
            following = block + 1
            end = min(stop, rows[following]) if following < len(rows) else stop
            offset = self._offsets[block] + (row - rows[block]) * size
            if block < 0 or end <= row or not 0 <= offset <= self.file.size - (end - row) * size:
                raise self._outside()
            is_all = start == row and end == stop
            self.file.read_into(out if is_all else out[row - start : end - start], offset)
            row, block = end, following

    def map(self) -> Map:
        self._index.check_blocks(self.file)
        return Map(self.file)

    def _outside(self) -> CorruptStoreError:
        return self._index.broken(f"{INDEX} gives a place outside the cells")
