"""The index of a part, `index.npy`: one layout for all stores.

    table = np.load("index.npy")  # a structured array, a row for each record
    labels = table["label"]
    height, width, channels = np.fromfile("index.npy", "<i8")[-11:-8]  # 0 where shapes differ
    start, size = table[["offset", "size"]][i]  # where cells are not pixels of one shape

It begins as the .npy file of a table with the columns

    label     int64
    checksum  uint64, of the record: see `_checksum.py`
    height, width, channels  int64, where shapes differ; 0 channels for an image without that axis
    offset, size  int64, but where cells are pixels of one shape: where each is among all of them

and goes on, behind what NumPy reads, with

    blocks   (row, offset) int64: from which row on cells lie side by side in the container's file,
             and where the first of these begins
    trusted  (offset, length) int64: the bytes of that file which the container's library believes
    trailer  `TRAILER`: what the part is, and digests (xxh3_64) of the table with its heading, of
             blocks, trusted and the bytes that these name, and of the trailer before it

A digest finds what happens by chance. It does not stop someone who makes a new one.
"""

import io
import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_intdigest

from ._batch import check_shape
from ._checksum import Checksums, Labels, Rows, Shape
from ._errors import CorruptRecordError, CorruptStoreError, ShapeError
from ._files import File, Folder
from .payloads.base import Cells

Pairs: TypeAlias = Sequence[tuple[int, int]]

INDEX = "index.npy"
MAGIC = b"IMAGES 2"
ALWAYS = [("label", "<i8"), ("checksum", "<u8")]
SHAPES = [("height", "<i8"), ("width", "<i8"), ("channels", "<i8")]
PLACES = [("offset", "<i8"), ("size", "<i8")]
PAIR_BYTES = 16
TRAILER = struct.Struct("<8s 10q 3Q")
"""MAGIC; first id; records; height, width and channels, or zeros where shapes differ; bytes of a
cell of pixels of one shape, or 0; of all cells; of what is before the table; how many blocks, and
trusted ranges; the three digests.
"""
DIGEST_BYTES = 8
FARTHEST = 2**62
"""Where a block may begin: the system counts to twice that."""
NO_SUCH_PLACE = f"{INDEX} has a place for it that there is not"
SMALL_BYTES = 2**16
"""An index up to this is read; a larger one is mapped, so that processes share it."""


class Structure(NamedTuple):
    """What a container says of its file: `blocks` and `trusted`, as above."""

    blocks: Pairs = ()
    trusted: Pairs = ()


class Piece(NamedTuple):
    """Some consecutive cells of images of one shape, with the checksums of their records, (n,)."""

    cells: Cells
    checksums: Checksums
    shape: Shape


@dataclass
class PartCells:
    """The cells of a part on their way to its container, and what its index will say of them.

    first: the id of the first
    labels: (n,) int64
    is_raw: whether they are pixels
    largest_cell: bytes of the largest that there may be
    """

    first: int
    labels: Labels
    pieces: Iterator[Piece]
    is_raw: bool
    largest_cell: int
    _noted: list[tuple[Checksums, Shape, Rows]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Cells]:
        """All cells in order, some at a time; once. Raises `ShapeError` where one is too large."""
        for cells, checksums, shape in self.pieces:
            if isinstance(cells, np.ndarray):
                sizes = np.full(len(cells), cells.shape[1])
            else:
                sizes = np.array([*map(len, cells)])
            if (size := sizes.max()) > (most := self.largest_cell):
                raise ShapeError(f"an image of shape {shape} takes {size} bytes, of at most {most}")
            self._noted.append((checksums, shape, sizes))
            yield cells

    @property
    def shape(self) -> Shape | None:
        """Of every image, where the cells are pixels of one shape; known after the last."""
        shapes = {shape for _, shape, _ in self._noted}
        return shapes.pop() if self.is_raw and len(shapes) == 1 else None

    def write_index(self, folder: Folder, file: str, structure: Structure) -> None:
        """Write the index of what `file`, if it has a name, and others hold; raises OSError."""
        checksums, shapes, every = zip(*self._noted, strict=True)
        sizes = np.concatenate(every)
        dimensions = np.array([shape if len(shape) == 3 else (*shape, 0) for shape in shapes])
        one_shape = bool((dimensions == dimensions[0]).all())
        kind = record_type(not one_shape, not self.shape)
        table = np.empty(len(sizes), kind)
        table["label"] = self.labels
        table["checksum"] = np.concatenate(checksums)
        if not one_shape:
            repeated = np.repeat(dimensions, [*map(len, checksums)], axis=0)
            table["height"], table["width"], table["channels"] = repeated.T
        if not self.shape:
            table["offset"], table["size"] = np.cumsum(sizes) - sizes, sizes
        heading = npy_heading(kind, (len(table),))
        body = heading + table.tobytes()
        pairs = np.array([*structure.blocks, *structure.trusted], "<i8").tobytes()
        shape = dimensions[0].tolist() if one_shape else (0, 0, 0)
        lengths = int(sizes[0]) if self.shape else 0, int(sizes.sum()), len(heading)
        counts = len(structure.blocks), len(structure.trusted)
        container_file = folder.open(file) if file else None
        believed = structure_digest(pairs, container_file, structure.trusted)
        digests = xxh3_64_intdigest(body), believed, 0
        trailer = TRAILER.pack(MAGIC, self.first, len(table), *shape, *lengths, *counts, *digests)
        trailer = trailer[:-DIGEST_BYTES]
        folder.write(INDEX, body + pairs + trailer + digest_bytes(trailer))


@lru_cache
def record_type(has_shapes: bool, has_places: bool) -> np.dtype[np.void]:
    return np.dtype(ALWAYS + SHAPES * has_shapes + PLACES * has_places)


@lru_cache
def npy_heading(kind: np.dtype[np.generic], shape: Shape) -> bytes:
    """What the .npy file of an array begins with."""
    file, descr = io.BytesIO(), np.lib.format.dtype_to_descr(kind)
    what = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, what)
    return file.getvalue()


def structure_digest(pairs: bytes, file: File | None, trusted: Iterable[Sequence[int]]) -> int:
    """The digest of `pairs`, the blocks and trusted ranges, and of what the latter name."""
    digest = xxh3_64(pairs)
    if file:
        for offset, length in trusted:
            digest.update(file.read(length, offset))
    return digest.intdigest()


def digest_bytes(data: bytes) -> bytes:
    return xxh3_64_intdigest(data).to_bytes(DIGEST_BYTES, "little")


def is_run(rows: Rows) -> bool:
    """Whether rows or ids are consecutive and ascending, so that one read fetches them."""
    if (n := len(rows)) == 1:
        return True
    return bool(rows[-1] - rows[0] == n - 1 and (np.diff(rows) == 1).all())


class Index:
    """The index of a part, open for reading. `rows` are positions in the part, counted from 0.

    first, length: the id of the first record, and how many there are
    shape: of all images, or None where they differ
    size: bytes of each cell where these are pixels of one shape, or None
    cell_bytes: of all cells together
    table: all records, (length,)
    """

    cell_bytes: int

    def __init__(self, folder: Folder, first: int, stop: int) -> None:
        """Open the one in the folder of the part that has the ids `first` to `stop - 1`.

        Raises `CorruptStoreError` where it is damaged or of another part, OSError.
        """
        self._path = folder.path
        self.first, self.length = first, stop - first
        file = folder.open(INDEX)
        self.is_small = file.size <= SMALL_BYTES
        if self.is_small:
            data: bytes | mmap.mmap = file.read(file.size)
        else:
            data = mmap.mmap(file.number, 0, prot=mmap.PROT_READ)
        trailer = data[-TRAILER.size :]
        digest = digest_bytes(trailer[:-DIGEST_BYTES])
        if len(trailer) < TRAILER.size or not trailer.endswith(digest):
            raise self.broken(f"the end of {INDEX} has changed")
        fields = TRAILER.unpack(trailer)
        magic, *held, height, width, channels = fields[:6]
        size, self.cell_bytes, table_at, blocks, trusted = fields[6:11]
        self._table_digest, self._structure_digest, _ = fields[11:]
        if (magic, held) != (MAGIC, [self.first, self.length]):
            raise self.broken(f"{INDEX} is of {held[1]} images from {held[0]} on")
        self.shape = self._checked(0, height, width, channels) if height else None
        self.size = size or None
        if size and (size != prod(self.shape or ()) or size * self.length != self.cell_bytes):
            raise self.broken(f"{INDEX} contradicts itself about the bytes of an image")
        kind = record_type(self.shape is None, self.size is None)
        pairs_at = table_at + self.length * kind.itemsize
        length = pairs_at + PAIR_BYTES * (blocks + trusted) + TRAILER.size
        least = min(table_at, blocks, trusted, size, self.cell_bytes - self.length)
        if file.size != length or least < 0:
            raise self.broken(f"{INDEX} has not the length that it says")
        self.table: NDArray[np.void] = np.frombuffer(data, kind, self.length, table_at)
        self._body = memoryview(data)[:pairs_at]
        self._pairs = data[pairs_at : -TRAILER.size]
        self._block_count = blocks
        self._blocks: Rows | None = None

    @property
    def blocks(self) -> Rows:
        """Where cells lie in the container's file: (n, 2) rows and offsets, checked once."""
        if self._blocks is None:
            found: Rows = np.frombuffer(self._pairs, np.int64, 2 * self._block_count).reshape(-1, 2)
            rows, offsets = found[:, 0], found[:, 1]
            if len(found) and (
                rows[0] != 0
                or rows[-1] >= self.length
                or not (len(found) == 1 or (rows[1:] > rows[:-1]).all())
                or not (offsets.view(np.uint64) <= FARTHEST).all()
            ):
                raise self.broken(f"{INDEX} has blocks that there cannot be")
            self._blocks = found
        return self._blocks

    # ---- records -----------------------------------------------------------------------------

    def records(self, rows: Rows) -> NDArray[np.void]:
        """The records of `rows`, a structured array."""
        return self.table[rows[0] : rows[-1] + 1] if is_run(rows) else self.table[rows]

    def row(self, row: int) -> tuple[int, int, Shape, int, int]:
        """Label, checksum, shape, offset and size of one record; raises `CorruptRecordError`."""
        label, checksum, *others = self.table[row].item()
        if self.size and self.shape:
            return label, checksum, self.shape, row * self.size, self.size
        offset, size = others[-2:]
        if not 0 <= offset <= offset + size <= self.cell_bytes:
            raise self.damaged(row, NO_SUCH_PLACE)
        shape = self.shape or self._checked(row, *others[:3])
        return label, checksum, shape, offset, size

    def shapes(self, rows: Rows) -> list[Shape]:
        """The shape of each row; raises `CorruptRecordError`."""
        if self.shape:
            return [self.shape] * len(rows)
        columns = [self.table[name][rows].tolist() for name, _ in SHAPES]
        return [*map(self._checked, rows.tolist(), *columns)]

    def _checked(self, row: int, height: int, width: int, channels: int) -> Shape:
        shape = (height, width, channels) if channels else (height, width)
        try:
            check_shape(shape, "it is")
        except ShapeError as error:
            raise self.damaged(row, str(error)) from error
        return shape

    def places(self, rows: Rows) -> list[tuple[int, int]]:
        """Offset and size of each row's cell; raises `CorruptRecordError`."""
        if self.size:
            return [*zip((rows * self.size).tolist(), repeat(self.size))]
        offsets, sizes = self.table["offset"][rows], self.table["size"][rows]
        wrong = (offsets < 0) | (sizes < 0) | (sizes > self.cell_bytes - offsets)
        if wrong.any():
            raise self.damaged(int(rows[wrong.argmax()]), NO_SUCH_PLACE)
        return [*zip(offsets.tolist(), sizes.tolist(), strict=True)]

    # ---- checks ------------------------------------------------------------------------------

    def check_table(self) -> None:
        """Raise `CorruptStoreError` where the table is not as it was written."""
        if xxh3_64_intdigest(self._body) != self._table_digest:
            raise self.broken(f"the table in {INDEX} has changed")

    def check_structure(self, file: File) -> None:
        """Raise `CorruptStoreError` where blocks, or what is trusted, are not as they were written."""
        trusted = np.frombuffer(self._pairs, np.int64).reshape(-1, 2)[self._block_count :]
        # Nothing longer than the file is read, whatever a damaged range says.
        if len(trusted) and (trusted.min() < 0 or (trusted > file.size).any()):
            raise self.broken(f"{file.path} is too short")
        if structure_digest(self._pairs, file, trusted.tolist()) != self._structure_digest:
            raise self.broken(f"the structure of {file.path} has changed")

    def broken(self, reason: str) -> CorruptStoreError:
        """The error of a part that cannot be read."""
        which = f"images {self.first} to {self.first + self.length - 1}"
        return CorruptStoreError(f"{self._path}: {which}: {reason}; restore the folder from a copy")

    def damaged(self, row: int, reason: str) -> CorruptRecordError:
        """The error of a record that is not as it was stored."""
        text = f"{self._path}: image {self.first + row} is damaged: {reason}"
        return CorruptRecordError(f"{text}; restore it from a copy")

    def wrong(self, row: int) -> CorruptRecordError:
        return self.damaged(row, "its checksum does not match")
