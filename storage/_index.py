"""The index of a part, `index.npy`: one layout for all stores.

    table = np.load("index.npy")  # a structured array, a row for each record
    labels = table["label"]
    height, width, channels = np.fromfile("index.npy", "<i8")[-10:-7]  # pixels of one shape; else 0
    start, size = table[["offset", "size"]][i]  # unless cells are pixels of one shape

The file begins as the .npy file of a table with the columns

    label     int64
    checksum  uint64, of the record: see `_checksum.py`

and, unless cells are pixels of one shape,

    height, width, channels  int64; 0 channels for an image without that axis
    offset, size             int64; where a cell begins among all laid end to end, and its bytes

NumPy reads no further. After the table come

    blocks   (row, offset) int64: from this row on, cells lie side by side in the container's file,
             from this offset on
    trusted  (offset, length) int64: the bytes of that file that the container's library trusts
    trailer  `TRAILER`
    digest   the last 8 bytes, big-endian: the xxh3_64 of everything after the table

A digest finds accidental damage. It does not stop someone who makes a new digest.
"""

import io
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import pairwise, repeat
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_digest, xxh3_64_intdigest

from ._batch import check_shape
from ._checksum import Checksums, Labels, Rows, Shape, Shapes, renumbered
from ._errors import CorruptRecordError, CorruptStoreError, ShapeError
from ._files import READ_BYTES, File, Folder, Map
from .payloads.base import Cells

Pairs: TypeAlias = Sequence[tuple[int, int]]

INDEX = "index.npy"
MAGIC, NAMED = b"IMAGES 2", b"IMAGES2N"
"""The second is that of a part with a file of names."""
SIDES, PLACE = ["height", "width", "channels"], ["offset", "size"]
RECORD = np.dtype([("label", "<i8"), ("checksum", "<u8")])
LONG_RECORD = np.dtype([*RECORD.descr, *((name, "<i8") for name in SIDES + PLACE)])
"""A row of the table if cells are pixels of one shape, and if not."""
unpack, unpack_long = struct.Struct("<qQ").unpack_from, struct.Struct("<qQ 5q").unpack_from
TRAILER = struct.Struct("<8s 9q 2Q")
"""MAGIC or NAMED; first id; number of records; height, width, channels of pixels of one shape, else zeros;
bytes of all cells; bytes before the table; number of `blocks`; number of `trusted`; xxh3_64 of the
table with its heading; xxh3_64 of the trusted bytes.
"""
PAIR_BYTES = 16
MOST_PAIRS = 8
"""An index that claims more blocks and trusted ranges for each image is refused before they are read."""
DIGEST_BYTES = 8
STEP_BYTES = 2**22
"""Bytes of cells after which `PartCells.after_step` is called."""


class Structure(NamedTuple):
    """A container's `blocks` and `trusted`, see above; at most `MOST_PAIRS` for each image."""

    blocks: Pairs = ()
    trusted: Pairs = ()


class Piece(NamedTuple):
    """Consecutive cells, the checksums of their records, (n,), and what shapes their images have."""

    cells: Cells
    checksums: Checksums
    shapes: Shapes


class PartCells:
    """The cells of a part, from id `first` on, and what its index will tell about them.

    after_step: is called when the container has taken `STEP_BYTES` or more, and asks for others
    """

    after_step: Callable[[], None] | None = None

    def __init__(
        self, first: int, labels: Labels, pieces: Iterator[Piece], is_raw: bool, largest_cell: int
    ) -> None:
        self.first, self.labels, self.largest_cell = first, labels, largest_cell
        self._pieces, self._is_raw = pieces, is_raw
        self._noted = bytearray()  # `LONG_RECORD`s: far smaller than objects
        self._seen = set[Shape]()  # no more are noted once shapes differ

    def __iter__(self) -> Iterator[Cells]:
        """Yield all cells in order, once; raises `ShapeError` if one is too large."""
        taken = 0
        for cells, checksums, shapes in self._pieces:
            every = shapes if isinstance(shapes, list) else [shapes]
            same = isinstance(cells, np.ndarray)
            sizes = np.array([len(cells[0])] * len(cells) if same else [*map(len, cells)])
            if (size := sizes.max()) > (most := self.largest_cell):
                shape = every[min(int(sizes.argmax()), len(every) - 1)]
                raise ShapeError(f"an image of shape {shape} takes {size} bytes; {most} fit")
            noted = np.zeros(len(sizes), LONG_RECORD)
            noted["checksum"], noted["size"] = checksums, sizes
            for side, lengths in zip(SIDES, zip(*map(dimensions, every), strict=True), strict=True):
                noted[side] = lengths  # of each, or one of all
            self._noted += noted.tobytes()
            if len(self._seen) < 2:
                self._seen.update(every)
            yield cells
            taken += int(sizes.sum())
            if self.after_step and taken >= STEP_BYTES:
                self.after_step()
                taken = 0

    @property
    def shape(self) -> Shape | None:
        """The shape of all images if cells are pixels of one shape; known after the last cell."""
        return min(self._seen) if self._is_raw and len(self._seen) == 1 else None

    def write_index(
        self, folder: Folder, file: str, structure: Structure, has_names: bool = False
    ) -> None:
        """Write the index; `structure` is that of the container's `file`. Raises OSError."""
        table = np.frombuffer(self._noted, LONG_RECORD)
        ends = np.cumsum(table["size"])
        table["label"], table["offset"] = self.labels, ends - table["size"]
        if self.shape:
            table = table[["label", "checksum"]].astype(RECORD)
        heading = npy_heading(table.dtype, table.shape)
        data = bytearray(heading)
        data += table.view(np.uint8).data
        blocks, trusted = structure
        pairs = np.array([*blocks, *trusted], "<i8").tobytes()
        held = self.first, len(table), *dimensions(self.shape or (0, 0)), int(ends[-1])
        counts = len(heading), len(blocks), len(trusted)
        believed = digest_of(folder.open(file) if file else None, trusted)
        magic = NAMED if has_names else MAGIC
        end = pairs + TRAILER.pack(magic, *held, *counts, xxh3_64_intdigest(data), believed)
        data += end + xxh3_64_digest(end)
        folder.write(INDEX, data)


@lru_cache
def npy_heading(kind: np.dtype[np.generic], shape: Shape) -> bytes:
    """The heading of the .npy file of an array."""
    file, descr = io.BytesIO(), np.lib.format.dtype_to_descr(kind)
    what = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, what)
    return file.getvalue()


def dimensions(shape: Shape) -> tuple[int, ...]:
    """Height, width and channels; 0 channels for an image without that axis."""
    return shape if len(shape) == 3 else (*shape, 0)


@lru_cache(maxsize=4096)
def shape_of(height: int, width: int, channels: int) -> Shape:
    """The shape of these `dimensions`; raises `ShapeError` if no image can have it."""
    shape = (height, width, channels) if channels else (height, width)
    check_shape(shape, "it is")
    return shape


def shapes_of(records: NDArray[np.void]) -> list[Shape]:
    """The shapes in `LONG_RECORD`s; raises `ShapeError`."""
    return [*map(shape_of, *(records[side].tolist() for side in SIDES))]


def digest_of(file: File | None, trusted: Iterable[Sequence[int]]) -> int:
    """The digest of some ranges of a file, or of nothing without a file."""
    digest = xxh3_64()
    if file:
        for offset, length in trusted:
            digest.update(file.read(length, offset))
    return digest.intdigest()


def is_run(rows: Rows) -> bool:
    """Whether rows or ids are consecutive and ascending, so that one read fetches them."""
    if (n := len(rows)) == 1:
        return True
    return bool(rows[-1] - rows[0] == n - 1 and (np.diff(rows) == 1).all())


class Index:
    """The index of a part, open for reading. `rows` are positions in the part, counted from 0.

    first, length: the id of the first record, and the number of records
    shape: of every image if cells are pixels of one shape, else None
    size: bytes of each such cell, else None
    cell_bytes: bytes of all cells together
    has_names: whether the part has a file of names
    """

    cell_bytes: int

    def __init__(self, file: File, first: int, stop: int) -> None:
        """Read the index of a part; raises OSError, or `CorruptStoreError` if it is damaged."""
        self.path = file.path.removesuffix(f"/{INDEX}")
        self.first, self.length, self._file = first, stop - first, file
        end = TRAILER.size + DIGEST_BYTES
        if file.size < end:
            raise self.broken(f"{INDEX} is too short")
        self._whole = whole = file.read(file.size) if file.size <= READ_BYTES else b""
        trailer = whole[-end:] or file.read(end, file.size - end)
        *head, self._table_at, blocks, trusted, self._table_digest, self._trusted_digest = (
            TRAILER.unpack(trailer[:-DIGEST_BYTES])
        )
        magic, *held, height, width, channels, self.cell_bytes = head
        self._kind, self._unpack = (RECORD, unpack) if height else (LONG_RECORD, unpack_long)
        self._pairs_at = pairs_at = self._table_at + self.length * self._kind.itemsize
        length = PAIR_BYTES * (blocks + trusted) + end
        if (
            min(self._table_at, blocks, trusted) < 0
            or pairs_at + length != file.size
            or blocks + trusted > MOST_PAIRS * self.length
        ):
            raise self.broken(f"the end of {INDEX} has changed, or its length")
        tail = whole[pairs_at:] or file.read(length, pairs_at)
        if tail[-DIGEST_BYTES:] != xxh3_64_digest(tail[:-DIGEST_BYTES]):
            raise self.broken(f"the end of {INDEX} has changed")
        self.has_names = magic == NAMED
        if magic not in (MAGIC, NAMED) or held != [self.first, self.length]:
            raise self.broken(f"{INDEX} describes {held[1]} images from {held[0]} on")
        self.shape = self._shape(0, height, width, channels) if height else None
        self.size = prod(self.shape) if self.shape else None
        wrong = self.cell_bytes != (self.size or 0) * self.length != 0
        if wrong or self.cell_bytes < self.length:
            raise self.broken(f"{INDEX} contradicts itself")
        pairs: Rows = np.frombuffer(tail, np.int64, 2 * (blocks + trusted)).reshape(-1, 2)
        self.blocks, self._trusted = pairs[:blocks], pairs[blocks:]
        self._table: NDArray[np.void] | None = None
        self._was_asked = bool(whole)

    @property
    def table(self) -> NDArray[np.void]:
        """All records, (length,); raises `CorruptStoreError` if their file has become shorter."""
        if (table := self._table) is None:
            table = self._table = self._records_in(self._all())
        return table

    def shared_table(self) -> NDArray[np.void]:
        """The same in memory that processes share, if it is worth it; raises MemoryError, too."""
        is_small = self._file.size <= mmap.PAGESIZE
        return self.table if is_small else self._records_in(self._mapped())

    def _records_in(self, data: bytes | memoryview) -> NDArray[np.void]:
        return np.frombuffer(data, self._kind, self.length, self._table_at)

    def _all(self) -> bytes | memoryview:
        with suppress(MemoryError):
            return self._whole or self._mapped()
        return self._file.read(self._file.size)

    def _mapped(self) -> memoryview:
        return Map(self._file).bytes().data

    def renumbered(self, first: int) -> bytes:
        """The bytes of the index if the first record had the id `first`; no pixels are needed.

        Raises `CorruptStoreError` if the table is damaged.
        """
        self.check_table()
        at, rows = self._pairs_at, np.arange(self.length)
        data = bytearray(self._file.read(self._file.size))
        table = np.frombuffer(data, self._kind, self.length, self._table_at)
        ids, new_ids = rows + self.first, rows + first
        labels = np.ascontiguousarray(table["label"])
        checksums = renumbered(table["checksum"], ids, new_ids, labels, self.shapes(rows))
        table["checksum"] = checksums
        fields = [*TRAILER.unpack(data[-TRAILER.size - DIGEST_BYTES : -DIGEST_BYTES])]
        fields[1], fields[-2] = first, xxh3_64_intdigest(data[:at])
        end = data[at : -TRAILER.size - DIGEST_BYTES] + TRAILER.pack(*fields)
        return bytes(data[:at] + end + xxh3_64_digest(end))

    # ---- records -----------------------------------------------------------------------------

    def records(self, rows: Rows) -> NDArray[np.void]:
        """The records of `rows`, as a structured array."""
        table = self.table
        return table[rows[0] : rows[-1] + 1] if is_run(rows) else table[rows]

    def slabs(self, size: int) -> Iterator[Rows]:
        """Yield all rows in order, those of `size` bytes of cells at a time, or of one cell more."""
        offsets = np.arange(self.length) * self.size if self.size else self.table["offset"]
        rising = np.maximum.accumulate(offsets // size)  # forged offsets may fall
        starts = np.unique(rising, return_index=True)[1].tolist()
        return (np.arange(*ends) for ends in pairwise([*starts, self.length]))

    def row(self, row: int) -> tuple[int, int, Shape, int, int]:
        """Label, checksum, shape, offset and size of one record; raises `CorruptRecordError`."""
        size = self._kind.itemsize
        if self._was_asked:
            label, checksum, *others = self._unpack(self.table, row * size)
        else:  # for a single image, one read takes far less time than a map
            self._was_asked = True
            if len(read := self._file.read(size, self._table_at + row * size)) < size:
                raise self.broken(f"{INDEX} has become shorter")
            label, checksum, *others = self._unpack(read)
        if self.size and self.shape:
            return label, checksum, self.shape, row * self.size, self.size
        *sides, offset, size = others
        if not 0 <= offset <= offset + size <= self.cell_bytes:
            raise self._nowhere(row)
        return label, checksum, self._shape(row, *sides), offset, size

    def shapes(self, rows: Rows) -> list[Shape]:
        """The shape of each row; raises `CorruptRecordError`."""
        if self.shape:
            return [self.shape] * len(rows)
        records = self.records(rows)
        columns = [records[name].tolist() for name in SIDES]
        return [*map(self._shape, rows.tolist(), *columns)]

    def _shape(self, row: int, height: int, width: int, channels: int) -> Shape:
        try:
            return shape_of(height, width, channels)
        except ShapeError as error:
            raise self.damaged(row, str(error)) from error

    def places(self, rows: Rows) -> list[tuple[int, int]]:
        """Offset and size of each row's cell; raises `CorruptRecordError`."""
        if self.size:
            return [*zip((rows * self.size).tolist(), repeat(self.size))]
        records = self.records(rows)
        offsets, sizes = records["offset"], records["size"]
        wrong = (offsets < 0) | (sizes < 0) | (sizes > self.cell_bytes - offsets)
        if wrong.any():
            raise self._nowhere(int(rows[wrong.argmax()]))
        return [*zip(offsets.tolist(), sizes.tolist(), strict=True)]

    # ---- checks ------------------------------------------------------------------------------

    def check_table(self) -> None:
        """Raise `CorruptStoreError` if the table is not as it was written."""
        if xxh3_64_intdigest(memoryview(self._all())[: self._pairs_at]) != self._table_digest:
            raise self.broken(f"the table in {INDEX} has changed")

    def check_length(self, file: File) -> None:
        """Raise `CorruptStoreError` if a file is too short for its cells and its trusted bytes."""
        trusted = self._trusted
        # A forged number must not make anything read more than the file.
        if (
            self.cell_bytes > file.size
            or trusted.max(initial=0) > file.size
            or trusted.min(initial=0) < 0
        ):
            raise self.broken(f"{file.path} is too short")

    def check_blocks(self, file: File) -> None:
        """Raise `CorruptStoreError` unless the blocks hold every row, inside a file long enough."""
        start = file.size - self.cell_bytes
        if start >= 0 and self.blocks.tolist() == [[0, start]]:
            return  # one block up to the end: NumPy would take far longer
        rows, offsets = self.blocks.T
        ends = np.concatenate((rows[1:], (self.length,)))
        last_offsets = file.size - (ends - rows) * (self.size or 0)
        wrong = (rows >= ends) | (offsets < 0) | (offsets > last_offsets)
        if not len(rows) or rows[0] != 0 or wrong.any():
            raise self.broken(f"{INDEX} gives a place outside the cells")

    def check_structure(self, file: File) -> None:
        """Raise `CorruptStoreError` if the trusted bytes are not as they were written."""
        self.check_length(file)
        if digest_of(file, self._trusted.tolist()) != self._trusted_digest:
            raise self.broken(f"the structure of {file.path} has changed")

    def broken(self, reason: str) -> CorruptStoreError:
        """The error for a part that cannot be read."""
        which = f"images {self.first} to {self.first + self.length - 1}"
        return CorruptStoreError(f"{self.path}: {which}: {reason}; restore the folder from a copy")

    def damaged(self, row: int, reason: str) -> CorruptRecordError:
        """The error for a record that is not as it was stored."""
        text = f"{self.path}: image {self.first + row} is damaged: {reason}"
        return CorruptRecordError(f"{text}; restore it from a copy")

    @contextmanager
    def naming(self, row: int) -> Iterator[None]:
        """Turn a ValueError into the error for a damaged record."""
        try:
            yield
        except ValueError as error:
            raise self.damaged(row, str(error)) from error

    def wrong(self, row: int) -> CorruptRecordError:
        return self.damaged(row, "its checksum does not match")

    def _nowhere(self, row: int) -> CorruptRecordError:
        return self.damaged(row, f"{INDEX} gives a place outside the cells")
