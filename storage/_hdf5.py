"""HDF5: one immutable file per commit, `FIRST-STOP.h5`.

A file of N images of one shape holds the contiguous, little-endian data sets

    images          (N, H, W) or (N, H, W, C) uint8
    labels          (N,) int64
    checksums       (N,) uint64, of each record: see `_records.py`
    table_checksum  (1,) uint64, xxh3_64 over all of the above that is not pixels, in this order

and where shapes differ, instead of `images`,

    pixels          (total,) uint8, image after image
    offsets         (N + 1,) int64, where in `pixels` each begins and the last ends
    shapes          (N, 3) int64: height, width, channels; 0 channels for an image without that axis

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
import stat
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod
from pathlib import Path
from typing import TypeAlias

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
FILE_TYPES = {
    PIXEL: h5py.h5t.STD_U8LE,
    INT64: h5py.h5t.STD_I64LE,
    UINT64: h5py.h5t.STD_U64LE,
}
UNLOCKED = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
"""How files are opened for reading: one is complete when it has its name, so none is locked."""
UNLOCKED.set_file_locking(False, True)
Extent: TypeAlias = tuple[Shape, np.dtype[np.integer]]
FEW_ROWS = 8
"""Up to this many scattered rows are read one by one rather than through a memory map."""


class Hdf5Store(PartStore):
    __doc__ = (PartStore.__doc__ or "") + "\nKept as HDF5 files, one per commit."

    format = "hdf5"
    suffix = ".h5"

    def _write_part(self, path: Path, batch: Batch) -> None:
        if batch.shapes is None:
            # An iterable's shapes, and with them the file's structure, are known only at its end.
            spool = path.with_name(path.name + ".pixels")
            try:
                _write_file(path, _spooled(batch, spool))
            finally:
                remove(spool)
        else:
            _write_file(path, batch)
        if self.durable:
            sync(path)

    def _open_part(self, name: PartName) -> Part:
        return Hdf5Part(self.path, name)


# ---- writing -------------------------------------------------------------------------------


def _write_file(path: Path, batch: Batch) -> None:
    n = len(batch.labels)
    pixels: tuple[str, Shape]
    tables: dict[str, NDArray[np.int64] | NDArray[np.uint64]] = {
        "labels": batch.labels,
        "checksums": np.empty(n, np.uint64),
    }
    if isinstance(batch.shapes, list):
        sizes = [prod(shape) for shape in batch.shapes]
        offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        tables |= {"offsets": offsets, "shapes": np.array([*map(_as_row, batch.shapes)], np.int64)}
        pixels = ("pixels", (int(offsets[-1]),))
    else:
        assert batch.shapes is not None
        pixels = ("images", (n, *batch.shapes))
    table_checksum = np.empty(1, np.uint64)
    data_sets: dict[str, Extent] = {pixels[0]: (pixels[1], np.dtype("u1"))}
    for name, table in {**tables, "table_checksum": table_checksum}.items():
        data_sets[name] = (table.shape, table.dtype.newbyteorder("<"))

    structure = Structure(data_sets)
    with path.open("xb") as file:
        for offset, piece in structure.pieces.items():
            file.seek(offset)
            file.write(piece)
        file.seek(structure.offsets[pixels[0]])
        done = 0
        for slab in batch.slabs():
            file.write(slab.images.data)
            tables["checksums"][done : done + len(slab.labels)] = slab.checksums
            done += len(slab.labels)
        digest = xxh3_64()
        for name, table in tables.items():
            stored = table.astype(data_sets[name][1], copy=False)
            digest.update(stored.data)
            file.seek(structure.offsets[name])
            file.write(stored.data)
        table_checksum[0] = digest.intdigest()
        file.seek(structure.offsets["table_checksum"])
        file.write(table_checksum.astype("<u8", copy=False).data)


def _spooled(batch: Batch, spool: Path) -> Batch:
    """Write the pixels of `batch` to the file `spool`; return one that reads them from there."""
    shapes: list[Shape] = []
    with spool.open("xb") as file:
        for slab in batch.slabs():
            file.write(slab.images.data)
            shapes += [slab.images.shape[1:]] * len(slab.labels)

    def groups(nbytes: int) -> Iterator[Image]:
        with spool.open("rb") as file:
            for shape, run in groupby(shapes):
                left = len(list(run))
                while left:
                    n = min(left, slab_length(shape, nbytes))
                    yield np.fromfile(file, np.uint8, n * prod(shape)).reshape(n, *shape)
                    left -= n

    return Batch(batch.first, batch.labels, common_shape(shapes) or shapes, groups)


def _as_row(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (*shape, 0)


class Structure:
    """What libhdf5 writes for a file of contiguous data sets: all but the data.

    pieces: the bytes to be written, by their offset in the file
    offsets: where the data of each data set go

    libhdf5 writes to this object instead of to a file: it has been seen to crash at exit after a
    full disk, and so it never meets one. The metadata of the chosen version carry checksums.
    """

    def __init__(self, data_sets: dict[str, Extent]) -> None:
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
                    FILE_TYPES[dtype],
                    h5py.h5s.create_simple(shape),
                    plan,
                ).get_offset()
                for name, (shape, dtype) in data_sets.items()
            }

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
        self._extents = self._parse()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _parse(self) -> dict[str, tuple[Shape, np.dtype[np.integer], int]]:
        """Shape, dtype and offset of each data set, all within the file."""
        try:
            file = h5py.h5f.open(os.fsencode(self.path), h5py.h5f.ACC_RDONLY, UNLOCKED)
            try:
                return self._extents_of(file)
            finally:
                file.close()
        except CorruptStoreError:
            raise
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                # From the operating system: too many open files, for one. h5py's text has lines.
                raise OSError(
                    error.errno, os.strerror(error.errno), os.fspath(self.path)
                ) from error
            self.path.lstat()  # raises FileNotFoundError where `compact` has just removed it
            raise self._broken(f"libhdf5 says: {' '.join(str(error).split())}") from error

    def _extents_of(
        self, file: h5py.h5f.FileID
    ) -> dict[str, tuple[Shape, np.dtype[np.integer], int]]:
        n = self.name.stop - self.name.first
        extents = {}
        if b"images" in file:
            extents["images"] = self._extent(file, "images", PIXEL)
            self.shape = extents["images"][0][1:]
            check_shape(self.shape, "each image")
            expected = {"images": (n, *self.shape)}
        else:
            self.shape = None
            extents["pixels"] = self._extent(file, "pixels", PIXEL)
            extents["offsets"] = self._extent(file, "offsets", INT64)
            extents["shapes"] = self._extent(file, "shapes", INT64)
            expected = {"offsets": (n + 1,), "shapes": (n, 3)}
        extents["labels"] = self._extent(file, "labels", INT64)
        extents["checksums"] = self._extent(file, "checksums", UINT64)
        extents["table_checksum"] = self._extent(file, "table_checksum", UINT64)
        expected |= {"labels": (n,), "checksums": (n,), "table_checksum": (1,)}
        for name, shape in expected.items():
            if extents[name][0] != shape:
                raise self._broken(f"{name} has shape {extents[name][0]}, not {shape}")
        return extents

    def _extent(
        self, file: h5py.h5f.FileID, name: str, dtype: np.dtype[np.integer]
    ) -> tuple[Shape, np.dtype[np.integer], int]:
        data_set = h5py.h5d.open(file, name.encode())
        offset, shape = data_set.get_offset(), data_set.shape
        if not data_set.get_type().equal(FILE_TYPES[dtype]):
            raise self._broken(f"{name} is not of type {dtype}")
        if offset is None:  # in chunks, in another file, or nowhere
            raise self._broken(f"{name} is not one run of bytes in this file")
        if offset + prod(shape) * dtype.itemsize > self._size:
            raise self._broken(f"{name} ends beyond the end of the file")
        return shape, dtype, offset

    def _view(self, name: str) -> NDArray[np.integer]:
        """A data set as an array over the memory-mapped file, whose size has been checked."""
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, self._size, prot=mmap.PROT_READ)
        shape, dtype, offset = self._extents[name]
        return np.ndarray(shape, dtype, self._map, offset)

    def _fetch(self, name: str, start: int, stop: int) -> NDArray[np.integer]:
        """Rows `start` to `stop` of a table."""
        shape, dtype, offset = self._extents[name]
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
            digest = xxh3_64(labels.data)
            digest.update(self._fetch("checksums", 0, n).data)
            if self.shape is None:
                digest.update(self._fetch("offsets", 0, n + 1).data)
                digest.update(self._fetch("shapes", 0, n).data)
            if digest.intdigest() != self._fetch("table_checksum", 0, 1)[0]:
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
            if prod(shape) > self._extents["pixels"][0][0]:
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
        return self._extents["images"][2] + row * prod(self.shape)

    def _read_mixed(self, rows: Rows, images: Image) -> None:
        (total,), _, pixels = self._extents["pixels"]
        for row, image in zip(rows.tolist(), images, strict=True):
            start, stop = self._fetch("offsets", row, row + 2).tolist()
            if not 0 <= start <= stop <= total or stop - start != image.size:
                raise self.damaged(row, "its place in the file does not fit its shape")
            self._fill(pixels + start, image)
