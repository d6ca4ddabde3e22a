"""HDF5: one file for one commit, or for several small ones, `FIRST-STOP.h5`.

A file of N images of one shape holds the contiguous, little-endian data sets

    images          (N, H, W) or (N, H, W, C) uint8
    labels          (N,) int64
    checksums       (N,) uint64, of each record: see `_records.py`
    table_checksum  (1,) uint64, xxh3_64, seeded with the first id, over all of the above that is
                    not pixels, in this order

and where shapes differ, instead of `images`,

    pixels          (total,) uint8, image after image
    offsets         (N + 1,) int64, where in `pixels` each begins and the last ends
    shapes          (N, 3) int64: height, width, channels; 0 channels for an image without that axis

Where small commits follow each other, the data sets have room for more rows than the N that the
file's name tells, and `table_checksum` has as many: that of the first N rows is its row N - 1. The
next commit writes its rows behind those and renames the file. The first N rows never change.

Any HDF5 library reads it:

    with h5py.File(path) as file:
        image, label = file["images"][i], int(file["labels"][i])

libhdf5 makes and parses the structure of the file; the data are written and read here, at the
offsets it gives. A contiguous data set is one run of bytes, so that a whole read is one `read` and
a random batch one gather from a memory map, where selecting by a list of indices in libhdf5 costs
many microseconds an image.
"""

import mmap
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

from ._errors import CorruptStoreError, ShapeError
from ._files import remove, sync
from ._parts import Part, PartName, PartStore, Rows
from ._records import (
    Batch,
    Checksums,
    Image,
    Labels,
    Shape,
    check_shape,
    common_shape,
    is_run,
    slab_length,
)

PIXEL, INT64, UINT64 = np.dtype("u1"), np.dtype("<i8"), np.dtype("<u8")
DTYPES: dict[str, np.dtype[np.integer]] = {
    "images": PIXEL,
    "pixels": PIXEL,
    "labels": INT64,
    "checksums": UINT64,
    "offsets": INT64,
    "shapes": INT64,
    "table_checksum": UINT64,
}
FILE_TYPES = {
    PIXEL: h5py.h5t.STD_U8LE,
    INT64: h5py.h5t.STD_I64LE,
    UINT64: h5py.h5t.STD_U64LE,
}
UNLOCKED = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
"""How files are opened for reading: one is complete when it has its name, so none is locked."""
UNLOCKED.set_file_locking(False, True)
FEW_ROWS = 8
"""Up to this many scattered rows are read one by one rather than through a memory map."""
GROWTH, FEWEST_ROWS = 4, 16
"""A file for small commits has so many times the images of the one before, and at least so many.

It is no larger than a slab. So ten thousand commits of one image make eight files and not ten
thousand, of which libhdf5 would take a fifth of a millisecond to open each.
"""

Tables: TypeAlias = dict[str, NDArray[np.integer]]


class Extent(NamedTuple):
    """A data set, and where in the file it lies."""

    shape: Shape
    dtype: np.dtype[np.integer]
    offset: int


class Hdf5Store(PartStore):
    __doc__ = (PartStore.__doc__ or "") + "\nKept as HDF5 files, one for one commit or several."

    format = "hdf5"
    suffix = ".h5"

    _room: "Room | None" = None

    def _append(self, batch: Batch) -> None:
        room = self._room_beside(batch)
        if room is None:
            super()._append(batch)
        elif room.left >= len(batch.labels):
            room.write(batch, self.durable)
            self._extend(room, batch)
        else:
            name = self._part_name(batch.first, batch.first + len(batch.labels))
            rows = max(len(batch.labels), room.next_rows)
            self._publish(name, partial(self._write_file, batch=batch, rows=rows))

    def _room_beside(self, batch: Batch) -> "Room | None":
        """That of the last part, where it and `batch` have one shape and are less than a slab."""
        shape, last = batch.shapes, self._names[-1] if self._names else None
        if last is None or not isinstance(shape, tuple):
            return None
        if max(len(batch.labels), last.stop - last.first) >= slab_length(shape):
            return None
        if self._room is None or self._room.name != last:
            self._room = Room(Hdf5Part(self.path, last))
        return self._room if self._room.shape == shape else None

    def _extend(self, room: "Room", batch: Batch) -> None:
        """Let the last part hold what was written into its room."""
        old = room.name
        room.name = self._part_name(old.first, batch.first + len(batch.labels))
        try:
            self._rename(old.file, room.name.file)
        except BaseException:
            room.name = old
            raise
        self._open_parts.pop(old, None)
        self._names = [*self._names[:-1], room.name]

    def _write_part(self, path: Path, batch: Batch) -> None:
        if batch.shapes is None:
            # An iterable's shapes, and with them the file's structure, are known only at its end.
            spool = path.with_name(path.name + ".pixels")
            try:
                self._write_file(path, _spooled(batch, spool), len(batch.labels))
            finally:
                remove(spool)
        else:
            self._write_file(path, batch, len(batch.labels))

    def _write_file(self, path: Path, batch: Batch, rows: int) -> None:
        write_file(path, batch, rows)
        if self.durable:
            sync(path)

    def _open_part(self, name: PartName) -> Part:
        return Hdf5Part(self.path, name)


# ---- writing -------------------------------------------------------------------------------


def write_file(path: Path, batch: Batch, rows: int) -> None:
    """Write the file `path`, which has `rows` rows; those of `batch` are the first."""
    n = len(batch.labels)
    tables: Tables = {
        "labels": batch.labels.astype(INT64, copy=False),
        "checksums": np.empty(n, UINT64),
    }
    shapes: dict[str, Shape] = {"labels": (rows,), "checksums": (rows,)}
    if isinstance(batch.shapes, list):
        sizes = [prod(shape) for shape in batch.shapes]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(INT64)
        tables |= {"offsets": offsets, "shapes": np.array([*map(_as_row, batch.shapes)], INT64)}
        shapes |= {"pixels": (sum(sizes),), "offsets": (n + 1,), "shapes": (n, 3)}
    else:
        assert batch.shapes is not None
        shapes["images"] = (rows, *batch.shapes)
    shapes["table_checksum"] = (rows if rows > n else 1,)

    structure = Structure(shapes)
    at = structure.offsets
    with path.open("xb") as file:
        file.truncate(structure.size)
        for offset, piece in structure.pieces.items():
            file.seek(offset)
            file.write(piece)
        pixels_at = at["images" if "images" in at else "pixels"]
        checksum_at = at["table_checksum"] + (UINT64.itemsize * (n - 1) if rows > n else 0)
        write_rows(file, batch, 0, tables, at, pixels_at, checksum_at)


def write_rows(
    file: BinaryIO,
    batch: Batch,
    start: int,
    tables: Tables,
    tables_at: Mapping[str, int],
    pixels_at: int,
    checksum_at: int,
) -> None:
    """Write `batch` as the rows from `start` on.

    tables: all rows of them up to the last of `batch`, whose checksums are filled in here
    tables_at, pixels_at, checksum_at: offsets in the file of their first rows, of the first new
        pixel, and of the checksum over `tables`
    """
    file.seek(pixels_at)
    stop = start
    for slab in batch.slabs():
        file.write(slab.images.data)
        tables["checksums"][stop : stop + len(slab.ids)] = slab.checksums
        stop += len(slab.ids)
    digest = xxh3_64(seed=batch.first - start)
    for name, table in tables.items():
        digest.update(table.data)
        file.seek(tables_at[name] + start * table.strides[0])
        file.write(table[start:].data)
    file.seek(checksum_at)
    file.write(digest.intdigest().to_bytes(UINT64.itemsize, "little"))


class Room:
    """What the writer knows of the last file, to fill the rows that it has to spare.

    name: the part's name, with the rows that count
    """

    def __init__(self, part: "Hdf5Part") -> None:
        self.name = part.name
        self.shape = part.shape
        self._path = part.path.parent
        self._at = {name: extent.offset for name, extent in part.extents.items()}
        self._rows = part.extents["labels"].shape[0]
        self._tables = {"labels": np.empty(self._rows, INT64)}
        self._tables["checksums"] = np.empty(self._rows, UINT64)
        used = np.arange(self._used)
        self._tables["labels"][used], self._tables["checksums"][used] = part.table(used)

    @property
    def _used(self) -> int:
        return self.name.stop - self.name.first

    @property
    def left(self) -> int:
        """How many images more the file can hold."""
        return self._rows - self._used

    @property
    def next_rows(self) -> int:
        """How many rows the next file should have."""
        assert self.shape is not None
        return min(slab_length(self.shape), max(FEWEST_ROWS, GROWTH * self._used))

    def write(self, batch: Batch, durable: bool) -> None:
        """Write the rows of `batch`; they count when the file has been renamed."""
        assert self.shape is not None
        start, stop = self._used, self._used + len(batch.labels)
        self._tables["labels"][start:stop] = batch.labels
        tables: Tables = {name: table[:stop] for name, table in self._tables.items()}
        pixels_at = self._at["images"] + start * prod(self.shape)
        checksum_at = self._at["table_checksum"] + UINT64.itemsize * (stop - 1)
        with (self._path / self.name.file).open("r+b") as file:
            write_rows(file, batch, start, tables, self._at, pixels_at, checksum_at)
            if durable:
                file.flush()
                os.fsync(file.fileno())


def _spooled(batch: Batch, spool: Path) -> Batch:
    """Write the pixels of `batch` to the file `spool`; return one that reads them from there."""
    shapes: list[Shape] = []
    with spool.open("wb") as file:  # it may be left from a call that could not remove it
        for slab in batch.slabs():
            file.write(slab.images.data)
            shapes += [slab.images.shape[1:]] * len(slab.labels)

    def groups() -> Iterator[Image]:
        with spool.open("rb") as file:
            for shape, run in groupby(shapes):
                left = len(list(run))
                while left:
                    n = min(left, slab_length(shape))
                    yield np.fromfile(file, np.uint8, n * prod(shape)).reshape(n, *shape)
                    left -= n

    return Batch(batch.first, batch.labels, common_shape(shapes) or shapes, groups)


def _as_row(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (*shape, 0)


class Structure:
    """What libhdf5 writes for a file of contiguous data sets: all but the data.

    pieces: the bytes to be written, by their offset in the file
    offsets: where the data of each data set go
    size: the length of the file

    libhdf5 writes to this object instead of to a file: it has been seen to crash at exit after a
    full disk, and so it never meets one. The metadata of the chosen version carry checksums.
    """

    def __init__(self, data_sets: dict[str, Shape]) -> None:
        self.pieces: dict[int, bytes] = {}
        self._position = 0
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        plan.set_obj_track_times(False)
        with h5py.File(self, "w", libver="v110") as file:
            self.offsets = {
                name: h5py.h5d.create(
                    file.id,
                    name.encode(),
                    FILE_TYPES[DTYPES[name]],
                    h5py.h5s.create_simple(shape),
                    plan,
                ).get_offset()
                for name, shape in data_sets.items()
            }
        self.size = max(
            self.offsets[name] + prod(shape) * DTYPES[name].itemsize
            for name, shape in data_sets.items()
        )

    # The part of a file object's interface that h5py's driver calls.

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += max((at + len(piece) for at, piece in self.pieces.items()), default=0)
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def write(self, data: memoryview) -> int:
        self.pieces[self._position] = bytes(data)
        self._position += len(data)
        return len(data)

    def read(self, _size: int = -1) -> bytes:
        raise OSError("a new file is not read")

    def readinto(self, _buffer: memoryview) -> int:
        raise OSError("a new file is not read")

    def truncate(self, size: int) -> int:
        return size  # the length of the file follows from its last data set

    def flush(self) -> None:
        pass


# ---- reading -------------------------------------------------------------------------------


class Hdf5Part(Part):
    """One file, open. libhdf5 only tells where the data sets are."""

    def __init__(self, folder: Path, name: PartName) -> None:
        super().__init__(folder, name)
        self._descriptor = -1
        self._map: mmap.mmap | None = None
        self._descriptor = self._open_descriptor()
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise self._broken("not a regular file")
        self._size = status.st_size
        self.extents = self._parse()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _parse(self) -> dict[str, Extent]:
        """Every data set, all within the file."""
        try:
            file = h5py.h5f.open(os.fsencode(self.path), h5py.h5f.ACC_RDONLY, UNLOCKED)
            try:
                return self._extents_of(file)
            finally:
                file.close()
        except CorruptStoreError:
            raise
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            # From the operating system: too many open files, for one. h5py's text has lines.
            told = re.search(r"errno = (\d+)", str(error))
            code = int(told[1]) if told else getattr(error, "errno", None)
            if code:
                raise OSError(code, os.strerror(code), os.fspath(self.path)) from error
            self.path.lstat()  # raises FileNotFoundError where `compact` has just removed it
            raise self._broken(f"libhdf5 says: {' '.join(str(error).split())}") from error

    def _extents_of(self, file: h5py.h5f.FileID) -> dict[str, Extent]:
        n = self.name.stop - self.name.first
        pixels = ("images",) if b"images" in file else ("pixels", "offsets", "shapes")
        names = (*pixels, "labels", "checksums", "table_checksum")
        extents = {name: self._extent(file, name) for name in names}
        rows = prod(extents["labels"].shape)
        expected: dict[str, Shape] = {"labels": (rows,), "checksums": (rows,)}
        if pixels == ("images",):
            self.shape = extents["images"].shape[1:]
            check_shape(self.shape, "each image")
            expected["images"] = (rows, *self.shape)
        else:
            self.shape = None
            expected |= {"offsets": (rows + 1,), "shapes": (rows, 3)}
        if rows != n or extents["table_checksum"].shape != (1,):
            expected["table_checksum"] = (rows,)
        for name, shape in expected.items():
            if extents[name].shape != shape or rows < n:
                raise self._broken(f"{name} has shape {extents[name].shape}, not {shape}")
        return extents

    def _extent(self, file: h5py.h5f.FileID, name: str) -> Extent:
        dtype = DTYPES[name]
        data_set = h5py.h5d.open(file, name.encode())
        offset, shape = data_set.get_offset(), data_set.shape
        if not data_set.get_type().equal(FILE_TYPES[dtype]):
            raise self._broken(f"{name} is not of type {dtype}")
        if offset is None:  # in chunks, in another file, or nowhere
            raise self._broken(f"{name} is not one run of bytes in this file")
        if offset + prod(shape) * dtype.itemsize > self._size:
            raise self._broken(f"{name} ends beyond the end of the file")
        return Extent(shape, dtype, offset)

    def _view(self, name: str) -> NDArray[np.integer]:
        """A data set as an array over the memory-mapped file, whose size has been checked."""
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, self._size, prot=mmap.PROT_READ)
        shape, dtype, offset = self.extents[name]
        return np.ndarray(shape, dtype, self._map, offset)

    def _fetch(self, name: str, start: int, stop: int) -> NDArray[np.integer]:
        """Rows `start` to `stop` of a table."""
        shape, dtype, offset = self.extents[name]
        rows = np.empty((stop - start, *shape[1:]), dtype)
        self._fill(offset + start * prod(shape[1:]) * dtype.itemsize, rows)
        return rows

    def _fill(self, offset: int, array: NDArray[np.integer]) -> None:
        """Fill a contiguous array with the bytes at `offset`."""
        buffer = memoryview(array).cast("B")
        while buffer:
            count = os.preadv(self._descriptor, [buffer], offset)
            if not count:
                raise self._broken("the file has become shorter")
            buffer = buffer[count:]
            offset += count

    def _rows_of(self, name: str, rows: Rows) -> NDArray[np.integer]:
        if is_run(rows):
            return self._fetch(name, int(rows[0]), int(rows[-1]) + 1)
        return self._view(name)[rows]

    def table(self, rows: Rows) -> tuple[Labels, Checksums]:
        labels = self._rows_of("labels", rows).astype(np.int64, copy=False)
        return labels, self._rows_of("checksums", rows).astype(np.uint64, copy=False)

    def labels(self, check: bool) -> Labels:
        n = self.name.stop - self.name.first
        labels = self._fetch("labels", 0, n)
        if check:
            digest = xxh3_64(labels.data, seed=self.name.first)
            digest.update(self._fetch("checksums", 0, n).data)
            if self.shape is None:
                digest.update(self._fetch("offsets", 0, n + 1).data)
                digest.update(self._fetch("shapes", 0, n).data)
            # One for as many rows as count, or with room for more, for each number of rows.
            row = n - 1 if self.extents["table_checksum"].shape[0] > 1 else 0
            if digest.intdigest() != self._fetch("table_checksum", row, row + 1)[0]:
                raise self._broken("the labels or other tables do not match their checksum")
        return labels.astype(np.int64, copy=False)

    def shapes(self, rows: Rows) -> list[Shape]:
        if self.shape is not None:
            return [self.shape] * len(rows)
        found: Sequence[list[int]] = self._rows_of("shapes", rows).tolist()
        shapes: list[Shape] = [(h, w, c) if c else (h, w) for h, w, c in found]
        for row, shape in zip(rows.tolist(), shapes, strict=True):
            try:
                check_shape(shape, "it")
            except ShapeError as error:
                raise self.damaged(row, str(error)) from error
            if prod(shape) > prod(self.extents["pixels"].shape):
                raise self.damaged(row, f"its shape {shape} is larger than all pixels together")
        return shapes

    def read_into(self, rows: Rows, images: Image) -> None:
        if self.shape is None:
            self._read_mixed(rows, images)
            return
        if is_run(rows):
            self._fill(self._offset_of(int(rows[0])), images)
        elif len(rows) <= FEW_ROWS:
            for row, image in zip(rows.tolist(), images, strict=True):
                self._fill(self._offset_of(row), image)
        else:
            # mode="clip" lets NumPy write to `out` directly; the rows are known to be in range.
            np.take(self._view("images"), rows, axis=0, out=images, mode="clip")

    def _offset_of(self, row: int) -> int:
        assert self.shape is not None
        return self.extents["images"].offset + row * prod(self.shape)

    def _read_mixed(self, rows: Rows, images: Image) -> None:
        pixels = self.extents["pixels"]
        total = prod(pixels.shape)
        for row, image in zip(rows.tolist(), images, strict=True):
            start, stop = self._fetch("offsets", row, row + 2).tolist()
            if not 0 <= start <= stop <= total or stop - start != image.size:
                raise self.damaged(row, "its place in the file does not fit its shape")
            self._fill(pixels.offset + start, image)
