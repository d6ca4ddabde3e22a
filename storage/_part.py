"""A part of a store: a folder with a container's files and an index. It never changes."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np

from ._batch import SLAB_BYTES
from ._checksum import Image, Images, Rows, Shape, checksum
from ._errors import ImageFileError
from ._files import Folder
from ._index import INDEX, Index, PartCells, Piece, is_run
from ._names import END, NAMES, is_given, sealed, unsealed
from .containers.base import Container
from .payloads.base import Cell, Payload, in_threads, tasks

Record: TypeAlias = tuple[Image, int]

LARGE_IMAGE = 2**26
"""An image of more bytes gets memory only after its cell's size was checked."""


class PartName(NamedTuple):
    """The ids that a part holds, `first` to `stop - 1`; they name its folder."""

    first: int
    stop: int

    @property
    def folder(self) -> str:
        return f"{self.first:012d}-{self.stop:012d}"


class Kind(NamedTuple):
    """How the parts of a store are made."""

    container: Container
    payload: Payload


def write_part(
    folder: Folder,
    kind: Kind,
    cells: PartCells,
    names: bytes | bytearray,
    durable: bool,
    *,
    cached: bool = True,
) -> None:
    """Write all files of a part to an empty folder; raises OSError, `ShapeError`.

    names: as they are kept, complete after the last cell; empty for none
    cached: whether a container's large file may stay in the page cache
    """
    container = kind.container
    if durable and container.file:
        hint = folder.begin_sync if cached else folder.drop_cached
        cells.after_step = partial(hint, container.file)
    structure = container.write(folder, cells)
    named = [NAMES] if is_given(names) else []
    for file in named:
        folder.write(file, sealed(names, cells.first))
    cells.write_index(folder, container.file, structure, bool(named))
    if durable:
        stop = cells.first + len(cells.labels)
        folder.sync([INDEX, *named, *container.files(cells.first, stop)])
        if container.file and not cached:
            folder.drop_cached(container.file)


def read_names(folder: Folder, index: Index) -> bytes:
    """The names of a part's images, as they are kept; raises `CorruptStoreError`."""
    if not index.has_names:
        return END * index.length
    file = folder.open(NAMES)
    if (names := unsealed(file.read(file.size), index.first, index.length)) is None:
        raise index.broken(f"{NAMES} has changed")
    return names


def renumber_part(folder: Folder, kind: Kind, old: PartName, first: int) -> None:
    """Give the records of a part that nobody reads yet the ids from `first` on, below the old ones.

    The checksum is linear in the id, so no pixels are read. After an interruption there is no whole
    index, and the part has to be written again. Raises OSError, `CorruptStoreError`.
    """
    index, container = Index(folder.open(INDEX), old.first, old.stop), kind.container
    data, names, labels = index.renumbered(first), read_names(folder, index), index.table["label"]
    folder.remove(INDEX)
    folder.sync()
    container.renumber(folder, labels, old.first, first)
    named = [NAMES] if index.has_names else []
    for file in named:
        folder.remove(file)
        folder.write(file, sealed(names, first))
    folder.write(INDEX, data)
    folder.sync([INDEX, *named, *container.files(first, first + index.length)])


class Part:
    """An open part, closed when nothing refers to it; `rows` are positions in it, from 0 on."""

    def __init__(self, folder: Folder, index: Index, kind: Kind) -> None:
        self.index = index
        self.first = index.first
        self._payload = kind.payload
        self.reader = kind.container.open(folder, index)

    def copies(self) -> Iterator[Piece]:
        """Yield all records as they are, for another part."""
        index = self.index
        for rows in index.slabs(SLAB_BYTES):
            checksums = index.records(rows)["checksum"]
            if index.shape and index.size:
                pixels = np.empty((len(rows), index.size), np.uint8)
                self.reader.run(int(rows[0]), int(rows[-1]) + 1, pixels)
                yield Piece(pixels, checksums, index.shape)
            else:  # copied: they may be used after this part was closed
                yield Piece([*map(bytes, self._cells(rows))], checksums, index.shapes(rows))

    def read_one(self, row: int, check: bool) -> Record:
        """Read one record; raises `CorruptRecordError`."""
        label, stored, shape, offset, size = self.index.row(row)
        if self._payload.sums_cells:
            return self.decoded(row, check), label
        if self.index.shape:
            image = np.empty(shape, np.uint8)
            self.reader.run(row, row + 1, image.reshape(1, size))
        else:
            cell = self.reader.cell(row, offset, size)
            with self.index.naming(row):
                self._payload.check_size(shape, len(cell))
                image = self._payload.image(cell, shape)
        if check and checksum(self.first + row, label, shape, image) != stored:
            raise self.index.wrong(row)
        return image, label

    def file(self, row: int, check: bool) -> tuple[Cell, Shape, int]:
        """The cell, shape and label of a record whose checksum is of its cell.

        Raises `CorruptRecordError`.
        """
        label, stored, shape, offset, size = self.index.row(row)
        cell = self.reader.cell(row, offset, size)
        if check and checksum(self.first + row, label, shape, cell) != stored:
            raise self.index.wrong(row)
        return cell, shape, label

    def decoded(self, row: int, check: bool) -> Image:
        """The image of such a cell.

        Raises `CorruptRecordError`, or `ImageFileError` if it is whole and cannot be decoded.
        """
        cell, shape, _ = self.file(row, check)
        try:
            return self._payload.image(cell, shape)
        except ValueError as error:
            self.file(row, check=True)
            text = f"{self.index.path}: image {self.first + row}: {error}"
            raise ImageFileError(f"{text}; read_bytes returns the file") from error

    def fill(self, rows: Rows, images: Images) -> None:
        """Fill `images`, an array or a list, from `rows`; raises `CorruptRecordError`."""
        if isinstance(images, list) or not self.index.shape:
            size = images[0].nbytes
            every = tasks(len(rows), size)
            in_threads(lambda some: self._decode(rows[some], images[some]), every, size)
            return
        flat = images.reshape(len(rows), -1)
        if is_run(rows):
            self.reader.run(int(rows[0]), int(rows[0]) + len(rows), flat)
        else:
            for i, row in enumerate(rows.tolist()):
                self.reader.run(row, row + 1, flat[i : i + 1])

    def _decode(self, rows: Rows, images: Images) -> None:
        cells = self._cells(rows)
        with suppress(ValueError):  # decoded again, one by one, to name the image
            self._payload.decode_all(cells, images)
            return
        for row, cell, image in zip(rows.tolist(), cells, images, strict=True):
            with self.index.naming(row):
                self._payload.decode([cell], image[np.newaxis])

    def shapes(self, rows: Rows) -> list[Shape]:
        """The shape of each row; raises `CorruptRecordError` if a large one cannot fit its cell."""
        shapes = self.index.shapes(rows)
        for i in [i for i, shape in enumerate(shapes) if prod(shape) > LARGE_IMAGE]:
            (cell,) = self._cells(rows[i : i + 1])
            with self.index.naming(int(rows[i])):
                self._payload.check_size(shapes[i], len(cell))
        return shapes

    def _cells(self, rows: Rows) -> list[Cell]:
        every = zip(rows.tolist(), self.index.places(rows), strict=True)
        return [self.reader.cell(row, offset, size) for row, (offset, size) in every]
