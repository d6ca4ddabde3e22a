"""One part of a store: a folder with a container's files and an index.

    000000000000-000000001000/index.npy
    000000000000-000000001000/images.h5

Its name tells the ids that it holds: the first, and the one after the last. A part is written under
a temporary name, synced and renamed, and never changes.
"""

from collections.abc import Iterator
from itertools import groupby
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np

from ._batch import SLAB_BYTES
from ._checksum import Image, Images, Rows, Shape, checksum
from ._files import Folder
from ._index import Index, Piece, is_run
from .containers.base import Container
from .payloads.base import Cell, Payload, in_threads

Record: TypeAlias = tuple[Image, int]

LARGE_IMAGE = 2**26
"""Bytes of an image for which memory is taken only when its cell was seen to be large enough."""


class PartName(NamedTuple):
    """Which ids a part holds, `first` to `stop - 1`, and so what its folder is called."""

    first: int
    stop: int

    @property
    def folder(self) -> str:
        return f"{self.first:012d}-{self.stop:012d}"


class Kind(NamedTuple):
    """How the parts of a store are made."""

    container: Container
    payload: Payload


class Part:
    """An open part; `rows` are positions in it, counted from 0.

    It closes what it has open when nothing refers to it any more.
    """

    def __init__(self, folder: Folder, index: Index, kind: Kind) -> None:
        self.index = index
        self.first = index.first
        self._payload = kind.payload
        self.reader = kind.container.open(folder, index)

    def copies(self) -> Iterator[Piece]:
        """All records as they are, for another part."""
        index = self.index
        step = max(1, SLAB_BYTES * index.length // index.cell_bytes)
        for start in range(0, index.length, step):
            rows = np.arange(start, min(start + step, index.length))
            checksums = index.records(rows)["checksum"]
            if index.shape and index.size:
                pixels = np.empty((len(rows), index.size), np.uint8)
                self.reader.run(start, start + len(rows), pixels)
                yield Piece(pixels, checksums, index.shape)
                continue
            for shape, group in groupby(zip(index.shapes(rows), rows, strict=True), lambda x: x[0]):
                some = np.array([row for _, row in group])
                # Copied, since they may be waited for when this part is closed.
                yield Piece([*map(bytes, self._cells(some))], checksums[some - start], shape)

    def read_one(self, row: int, check: bool) -> Record:
        """One record; raises `CorruptRecordError`."""
        label, stored, shape, offset, size = self.index.row(row)
        image = self._decode(row, self.reader.cell(row, offset, size), shape)
        if check and checksum(self.first + row, label, shape, image) != stored:
            raise self.index.wrong(row)
        return image, label

    def fill(self, rows: Rows, images: Images) -> None:
        """Fill `images` of `rows`, an array or a list; raises `CorruptRecordError`."""
        if isinstance(images, list) or not self.index.shape:
            shapes = [image.shape for image in images]
            every = [*zip(rows.tolist(), self._cells(rows), shapes, images, strict=True)]
            in_threads(lambda one: self._decode(*one), every, images[0].nbytes)
            return
        flat = images.reshape(len(rows), -1)
        if is_run(rows):
            self.reader.run(int(rows[0]), int(rows[0]) + len(rows), flat)
        else:
            for i, row in enumerate(rows.tolist()):
                self.reader.run(row, row + 1, flat[i : i + 1])

    def shapes(self, rows: Rows) -> list[Shape]:
        """The shape of each row; raises `CorruptRecordError` where a large one is not its cell's.

        So a shape that a file merely claims takes no memory.
        """
        shapes = self.index.shapes(rows)
        for i in [i for i, shape in enumerate(shapes) if prod(shape) > LARGE_IMAGE]:
            (cell,) = self._cells(rows[i : i + 1])
            self._check_size(int(rows[i]), shapes[i], len(cell))
        return shapes

    def _cells(self, rows: Rows) -> list[Cell]:
        every = zip(rows.tolist(), self.index.places(rows), strict=True)
        return [self.reader.cell(row, offset, size) for row, (offset, size) in every]

    def _check_size(self, row: int, shape: Shape, size: int) -> None:
        try:
            self._payload.check_size(shape, size)
        except ValueError as error:
            raise self.index.damaged(row, str(error)) from error

    def _decode(self, row: int, cell: Cell, shape: Shape, image: Image | None = None) -> Image:
        """The image of a cell, in memory that is given or, once the cell is seen to be it, new."""
        self._check_size(row, shape, len(cell))
        image = np.empty(shape, np.uint8) if image is None else image
        try:
            self._payload.decode(cell, image)
        except ValueError as error:
            raise self.index.damaged(row, str(error)) from error
        return image
