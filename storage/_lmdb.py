"""LMDB: one environment, `data.mdb` and `lock.mdb`, whose values are blocks of images.

A block holds consecutive images of one shape, as many as fit in 128 KiB, or one that is larger.
Its key is the id of its first image, 8 bytes big-endian; its value, little-endian:

    offset  type          field
    0       uint64        checksum: xxh3_64, seeded with the first id, of what is before the pixels
    8       uint64        call_first: the first id of the call that stored it
    16      uint64        call_stop: the id after the last of that call
    24      uint32        count n
    28      uint32 x 3    height, width, channels; 0 channels for an image without that axis
    40      int64 x n     labels
    ...     uint64 x n    checksums of the records: see `_records.py`
    ...     uint8         pixels, n times height x width x max(channels, 1)

A large call is several transactions, so that it does not take the memory of all its images. It is
committed when its last block is: a reader whose last block does not reach its own `call_stop`
takes the store to end at `call_first`, and the next writer removes what is beyond.

The lmdb module reads it in a few lines:

    key, value = cursor.item()
    n, height, width, channels = struct.unpack_from("<4I", value, 24)
    pixels = np.frombuffer(value, np.uint8, offset=40 + 16 * n).reshape(n, height, width, channels)

Blocks rather than images for keys: a value longer than half a page takes whole pages, so that an
image of 3 KiB would take 4, and be a lookup of its own.
"""

import mmap
import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import groupby
from math import prod
from typing import NamedTuple, TypeAlias, cast

import lmdb
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from ._base import Record, Store
from ._errors import CorruptRecordError, CorruptStoreError, ShapeError
from ._files import sync
from ._lmdb_environment import DATA, LOCK, LOCK_BYTES, MAX_READERS, Environment, lmdb_errors
from ._lmdb_pages import LAST, Pages
from ._records import (
    Batch,
    Image,
    Images,
    Labels,
    Shape,
    Slab,
    check_shape,
    checksum,
    checksums,
    common_shape,
    is_run,
    slab_length,
)

KEY = struct.Struct(">Q")
HEADER = struct.Struct("<QQQ4I")
FIELDS = struct.Struct("<4I")
FIELDS_AT = 24
LABELS_AT = HEADER.size
ROW_BYTES = 16
"""A label and a checksum."""
BLOCK_BYTES = 2**17 - 16
"""Thirty-two pages less the header that LMDB puts before a value of several pages.

Measured: half the size reads a whole store a seventh slower, twice the size reads random images a
tenth slower.
"""
FEW_IDS = 8
"""Up to this many scattered images are looked up without a list of the blocks."""
LOOKUPS = 4096
"""Scattered images looked up and checked at a time."""

JOINED_BYTES = 2**16
"""Pixels of scattered images that are joined before they are copied."""

INT64 = struct.Struct("<q")
UINT64 = struct.Struct("<Q")

Dimensions: TypeAlias = tuple[int, int, int]
"""Height, width, channels; 0 channels for an image without that axis."""
Change: TypeAlias = Callable[[lmdb.Cursor], None]
Entry: TypeAlias = tuple[memoryview, memoryview]
"""A key and its value, as they lie in the memory map."""


def block_length(shape: Shape) -> int:
    """How many images of `shape` make a block."""
    return max(1, (BLOCK_BYTES - HEADER.size) // (prod(shape) + ROW_BYTES))


def pack_block(slab: Slab, call: range) -> tuple[bytes, bytes]:
    """The key and value of the block that holds all of `slab`."""
    first = int(slab.ids[0])
    height, width, *channels = slab.images.shape[1:]
    fields = HEADER.pack(
        0, call.start, call.stop, len(slab.ids), height, width, channels[0] if channels else 0
    )
    labels = slab.labels.astype("<i8", copy=False).data
    stored = slab.checksums.astype("<u8", copy=False).data
    table = b"".join((fields[8:], labels, stored))
    digest = xxh3_64_intdigest(table, seed=first).to_bytes(8, "little")
    return KEY.pack(first), b"".join((digest, table, slab.images.data))


def put_blocks(cursor: lmdb.Cursor, slab: Slab, call: range | None) -> None:
    """Write the records of `slab`; with no call, blocks that are complete each by itself."""
    length = block_length(slab.images.shape[1:])
    for start in range(0, len(slab.ids), length):
        piece = slab.part(start, start + length)
        own = range(int(piece.ids[0]), int(piece.ids[-1]) + 1)
        key, value = pack_block(piece, own if call is None else call)
        cursor.put(key, value, append=call is not None)


def drop_blocks(cursor: lmdb.Cursor, first: int, stop: int | None = None) -> None:
    """Remove the blocks whose first id lies from `first` to `stop - 1`, or to the end."""
    cursor.set_range(KEY.pack(first))
    while (key := cursor.key()) and (stop is None or KEY.unpack(key)[0] < stop):
        cursor.delete()  # and step to the next; the key is empty at the end


def as_shape(dimensions: Dimensions) -> Shape:
    height, width, channels = dimensions
    return (height, width, channels) if channels else (height, width)


@lru_cache(maxsize=1024)
def layout_of(length: int, fields: bytes) -> tuple[int, Dimensions] | None:
    """Images in a block of `length` bytes with these fields, and their dimensions, if they fit."""
    if len(fields) == FIELDS.size:
        n, height, width, channels = FIELDS.unpack(fields)
        row_bytes = ROW_BYTES + height * width * (channels or 1)
        if n and height and width and length == HEADER.size + n * row_bytes:
            return n, (height, width, channels)
    return None


class Block(NamedTuple):
    """A block as it lies in the memory map; valid only within its transaction."""

    first: int
    stop: int
    call: range
    shape: Shape
    value: memoryview

    @property
    def labels(self) -> Labels:
        n = self.stop - self.first
        return np.frombuffer(self.value, "<i8", n, LABELS_AT).astype(np.int64)

    @property
    def is_sound(self) -> bool:
        """Whether all before the pixels matches its checksum."""
        table = self.value[8 : HEADER.size + ROW_BYTES * (self.stop - self.first)]
        digest = xxh3_64_intdigest(table, seed=self.first)
        return bool(digest == int.from_bytes(self.value[:8], "little"))

    @property
    def is_within_its_call(self) -> bool:
        return self.call.start <= self.first and self.stop <= self.call.stop

    @property
    def is_loose(self) -> bool:
        """Whether more images would fit in."""
        return self.stop - self.first < block_length(self.shape)


class Gathered:
    """Records of one shape on their way from blocks into arrays, in the order of `ids`."""

    def __init__(self, ids: NDArray[np.int64], dimensions: Dimensions) -> None:
        self.ids = ids
        self.dimensions = dimensions
        self.images = np.empty((len(ids), *as_shape(dimensions)), np.uint8)
        self.labels = np.empty(len(ids), "<i8")
        self._sums = np.empty(len(ids), "<u8")
        self.size = prod(self.images.shape[1:])
        # Slices of memoryviews cost a third of what slices of arrays do.
        self._buffers = [
            memoryview(array).cast("B") for array in (self.images, self.labels, self._sums)
        ]
        self._done = self._checked = 0

    def add(self, value: memoryview, n: int, row: int, count: int) -> None:
        """Copy `count` records from `row` on, out of a block of `n`."""
        images, labels, sums = self._buffers
        at, size = self._done, self.size
        pixels_at = HEADER.size + ROW_BYTES * n + row * size
        images[at * size : (at + count) * size] = value[pixels_at : pixels_at + count * size]
        at, row, count, n = 8 * at, 8 * row, 8 * count, 8 * n
        labels[at : at + count] = value[LABELS_AT + row : LABELS_AT + row + count]
        row += n
        sums[at : at + count] = value[LABELS_AT + row : LABELS_AT + row + count]
        self._done += count // 8

    def add_joined(self, *columns: list[memoryview]) -> None:
        """Add records whose pixels, labels and checksums are given one by one."""
        # Joined, they are copied faster than one by one; of some together, the memory that this
        # takes is used again at once, where that for all would come from the system each time.
        step = max(1, JOINED_BYTES // self.size)
        for buffer, column in zip(self._buffers, columns, strict=True):
            at = self._done * len(column[0])
            for start in range(0, len(column), step):
                joined = b"".join(column[start : start + step])
                buffer[at : at + len(joined)] = joined
                at += len(joined)
        self._done += len(columns[0])

    def wrong(self, at_least: int = 1) -> int | None:
        """Check what was added, while it is in the cache, once it is `at_least` so much.

        Returns the id of a record that does not match its checksum.
        """
        new = slice(self._checked, self._done)
        if new.stop - new.start < at_least:
            return None
        self._checked = self._done
        images = self.images[new]
        rows = images.reshape(len(images), -1)
        found = checksums(self.ids[new], self.labels[new], images.shape[1:], rows)
        differing = np.flatnonzero(found != self._sums[new])
        return int(self.ids[new][differing[0]]) if len(differing) else None


class LmdbStore(Store):
    __doc__ = (Store.__doc__ or "") + "\nKept as blocks of images in an LMDB environment."

    format = "lmdb"

    # ---- opening and closing ---------------------------------------------------------------

    def _create(self) -> None:
        # LMDB maps the lock file: were the disk too full for it, touching it would kill the process.
        (self.path / LOCK).write_bytes(bytes(LOCK_BYTES))
        with lmdb_errors(self.path):
            # An environment of its own, closed at once: nobody else knows the file yet.
            lmdb.open(str(self.path), create=False, max_readers=MAX_READERS).close()
        if self.durable:
            for name in (DATA, LOCK):
                sync(self.path / name)

    def _is_own(self, name: str) -> bool:
        return name in (DATA, LOCK)

    def _remains_of_creation(self) -> tuple[str, ...]:
        data = self.path / DATA
        # An empty environment is two meta pages; whatever is longer may hold images.
        empty = not data.exists() or data.stat().st_size <= 2 * mmap.PAGESIZE
        return (DATA, LOCK) if empty else (LOCK,)

    def _attach(self, names: list[str]) -> int:
        try:
            self._environment = Environment.of(self.path)
        except FileNotFoundError as error:
            raise self._broken(f"{DATA} is missing") from error
        self._starts: NDArray[np.int64] | None = None
        try:
            if self.mode != "r":
                self._environment.set_writer(self.durable)
            with self._environment.transaction(only=LAST) as transaction:
                length = self._committed(transaction.cursor())
            self._check_count(names, length)
            if self.mode != "r":
                self._drop_from(length)
        except BaseException:
            self._detach()
            raise
        return length

    def _detach(self) -> None:
        if self.mode != "r":
            self._environment.set_writer(None)
        self._environment.leave()

    def _committed(self, cursor: lmdb.Cursor) -> int:
        """How many images the calls that are complete have stored."""
        if not cursor.last():
            return 0
        block = self._last(cursor)
        length = block.stop if block.stop == block.call.stop else block.call.start
        if length * ROW_BYTES > os.stat(f"{self.path}/{DATA}").st_size:
            raise self._broken(f"a block says that {length} images are there, too many for {DATA}")
        return length

    def _last(self, cursor: lmdb.Cursor) -> Block:
        """The block at `cursor`, the last that counts; raises `CorruptStoreError`."""
        block = self._block(cursor)
        if not block.is_sound:
            raise self._broken(f"the block of image {block.first}, the last, is damaged")
        return block

    def _layout(self, first: int | memoryview, value: memoryview) -> tuple[int, Dimensions]:
        """Images in the block of id or key `first`, and their dimensions; refuses other lengths."""
        layout = layout_of(len(value), bytes(value[FIELDS_AT:LABELS_AT]))
        if layout is None:
            first = first if isinstance(first, int) else int.from_bytes(first, "big")
            raise self._broken(f"the block of image {first} has not the length that it says")
        return layout

    def _first(self, cursor: lmdb.Cursor) -> int:
        """The first id of the block at `cursor`; raises `CorruptStoreError` where it is none."""
        key = cursor.key()
        if len(key) != KEY.size:
            raise self._broken(f"the record with key {bytes(key)!r} is no block of images")
        return int(KEY.unpack(key)[0])

    def _block(self, cursor: lmdb.Cursor) -> Block:
        """The block at `cursor`; raises `CorruptStoreError` where it is none."""
        first, value = self._first(cursor), memoryview(cursor.value())
        n, dimensions = self._layout(first, value)
        shape = as_shape(dimensions)
        try:
            check_shape(shape, f"image {first}")
        except ShapeError as error:
            raise self._broken(str(error)) from error
        _, call_first, call_stop, *_ = HEADER.unpack_from(value)
        return Block(first, first + n, range(call_first, call_stop), shape, value)

    def _blocks(self, cursor: lmdb.Cursor) -> Iterator[Block]:
        """Every committed block; raises `CorruptStoreError` where one is missing or extra."""
        expected = 0
        found = cursor.first()
        while expected < self._length:
            first = min(self._first(cursor), self._length) if found else self._length
            if first > expected:
                raise self._broken(f"images {expected} to {first - 1} are missing")
            if first < expected:
                raise self._broken(f"the block of image {first} overlaps the one before it")
            block = self._block(cursor)
            yield block
            expected = block.stop
            found = cursor.next()

    def _broken(self, reason: str) -> CorruptStoreError:
        return CorruptStoreError(f"{self.path}: {reason}; restore it from a copy")

    def _damaged(self, image_id: int) -> CorruptRecordError:
        return CorruptRecordError(
            f"{self.path}: image {image_id} is damaged: its checksum does not match; restore it"
            " from a copy"
        )

    # ---- storing ---------------------------------------------------------------------------

    def _append(self, batch: Batch) -> None:
        call = range(batch.first, batch.first + len(batch.labels))
        self._starts = None
        self._drop_from(batch.first)  # what a call that failed could not remove
        try:
            # A transaction for each slab, since LMDB holds in memory what is not committed. They are
            # made outside the transactions: an iterable runs its owner's code.
            for slab in batch.slabs():
                self._write(partial(put_blocks, slab=slab, call=call))
        except BaseException:
            self._drop_from(batch.first)
            raise

    def _write(self, *changes: Change) -> None:
        """Make the changes in one transaction, again with a larger map if it was full."""
        while True:
            try:
                with self._environment.transaction(write=True) as transaction:
                    for change in changes:
                        change(transaction.cursor())
                return
            except lmdb.MapFullError:
                self._environment.grow()

    def _drop_from(self, first: int) -> None:
        """Remove the blocks from `first` on, if there are any."""
        with self._environment.transaction(only=first) as transaction:
            found = transaction.cursor().set_range(KEY.pack(first))
        if found:
            self._environment.check(Pages.check_own_pages)
            with self._environment.transaction() as transaction:
                cursor = transaction.cursor()
                cursor.set_range(KEY.pack(first))
                if cursor.prev():
                    self._last(cursor)  # were it damaged, it could not be opened by itself
            self._write(partial(drop_blocks, first=first))

    def _compact(self) -> None:
        """Join neighbouring blocks of one shape that are not full, a transaction at a time.

        The pages that become free are used by what is stored next; the file does not shrink.
        """
        self._starts = None
        for first, stop, shape in self._loose_runs():
            length = block_length(shape)
            step = max(1, slab_length(shape) // length) * length
            for start in range(first, stop, step):
                ids = np.arange(start, min(start + step, stop))
                with self._environment.transaction() as transaction:
                    records = self._read_run(transaction.cursor(), ids, check=True)
                assert records is not None  # a run has one shape
                images, labels = records
                sums = checksums(ids, labels, shape, images.reshape(len(ids), -1))
                self._write(
                    partial(drop_blocks, first=start, stop=int(ids[-1]) + 1),
                    partial(put_blocks, slab=Slab(ids, images, labels, sums), call=None),
                )

    def _loose_runs(self) -> list[tuple[int, int, Shape]]:
        """First id, stop and shape of neighbouring loose blocks, two or more together."""
        runs = []
        self._environment.check(Pages.check_own_pages)
        with self._environment.transaction() as transaction:
            summaries = [
                (block.first, block.stop, block.shape, block.is_loose)
                for block in self._blocks(transaction.cursor())
            ]
        for (shape, loose), group in groupby(summaries, key=lambda block: block[2:]):
            run = list(group)
            if loose and len(run) > 1:
                runs.append((run[0][0], run[-1][1], shape))
        return runs

    # ---- reading ---------------------------------------------------------------------------

    def _read(self, ids: NDArray[np.int64]) -> tuple[Images, Labels]:
        with self._environment.transaction() as transaction:
            cursor = transaction.cursor()
            records = None
            if is_run(ids):
                records = self._read_run(cursor, ids, self._check)
            elif len(ids) > FEW_IDS:
                records = self._read_scattered(cursor, ids)
            return records or self._read_each(cursor, ids)

    def _read_one(self, image_id: int) -> Record:
        with self._environment.transaction(only=image_id) as transaction:
            return self._record(transaction.cursor(), image_id)

    def _read_each(self, cursor: lmdb.Cursor, ids: NDArray[np.int64]) -> tuple[Images, Labels]:
        """Records of any shapes, looked up one by one."""
        records = [self._record(cursor, i) for i in ids.tolist()]
        images = [image for image, _ in records]
        labels = np.array([label for _, label in records], np.int64)
        same = common_shape([image.shape for image in images])
        return (images if same is None else np.stack(images)), labels

    def _record(self, cursor: lmdb.Cursor, image_id: int) -> Record:
        """One record."""
        first, value = self._seek(cursor, image_id)
        n, dimensions = self._layout(first, value)
        if not first <= image_id < first + n:
            raise self._lacking(image_id)
        shape = as_shape(dimensions)
        row, size = image_id - first, prod(shape)
        start = HEADER.size + ROW_BYTES * n + row * size
        image = np.empty(shape, np.uint8)
        memoryview(image).cast("B")[:] = value[start : start + size]
        (label,) = INT64.unpack_from(value, LABELS_AT + 8 * row)
        (stored,) = UINT64.unpack_from(value, LABELS_AT + 8 * (n + row))
        if self._check and checksum(image_id, label, shape, image) != stored:
            raise self._damaged(image_id)
        return image, label

    def _seek(self, cursor: lmdb.Cursor, image_id: int) -> tuple[int, memoryview]:
        """Go to the last block that begins at or before an image: its first id, its value."""
        key = KEY.pack(image_id)
        if not cursor.set_range(key):
            cursor.last()
        elif cursor.key() != key:
            cursor.prev()
        if not cursor.key():
            raise self._lacking(image_id)
        return self._first(cursor), memoryview(cursor.value())

    def _lacking(self, image_id: int) -> CorruptRecordError:
        return CorruptRecordError(
            f"{self.path}: image {image_id} is missing: no block holds it; restore it from a copy"
        )

    def _read_run(
        self, cursor: lmdb.Cursor, ids: NDArray[np.int64], check: bool
    ) -> tuple[Image, Labels] | None:
        """Consecutive records of one shape, block by block; None where shapes differ."""
        at, stop = int(ids[0]), int(ids[-1]) + 1
        first, value = self._seek(cursor, at)
        n, dimensions = self._layout(first, value)
        gathered = Gathered(ids, dimensions)
        slab = slab_length(as_shape(dimensions))
        for key, found in cursor.iternext():
            first, value = int.from_bytes(key, "big"), cast(memoryview, found)
            n, dimensions = self._layout(first, value)
            if not first <= at < first + n:
                raise self._lacking(at)
            if dimensions != gathered.dimensions:
                return None
            count = min(stop, first + n) - at
            gathered.add(value, n, at - first, count)
            at += count
            if check and (wrong := gathered.wrong(slab if at < stop else 1)) is not None:
                raise self._damaged(wrong)
            if at == stop:
                return gathered.images, gathered.labels
        raise self._lacking(at)

    def _read_scattered(
        self, cursor: lmdb.Cursor, ids: NDArray[np.int64]
    ) -> tuple[Image, Labels] | None:
        """Records of one shape in any order; None where that does not work out."""
        gathered = None
        for start in range(0, len(ids), LOOKUPS):
            some = ids[start : start + LOOKUPS]
            starts = self._block_starts(cursor)
            firsts = starts[np.searchsorted(starts, some, side="right") - 1]
            keys = firsts.astype(">u8").tobytes()
            entries = cursor.getmulti([keys[i : i + 8] for i in range(0, len(keys), 8)])
            found = cast(list[Entry], entries)  # a transaction here gives memoryviews
            if gathered is None and found:
                _, dimensions = self._layout(*found[0])
                gathered = Gathered(ids, dimensions)
            if gathered is None or not self._pick(gathered, (some - firsts).tolist(), found):
                return None
            if self._check and (wrong := gathered.wrong()) is not None:
                raise self._damaged(wrong)
        assert gathered is not None
        return gathered.images, gathered.labels

    def _pick(self, gathered: Gathered, rows: list[int], found: list[Entry]) -> bool:
        """Add a row of each block; False where shapes differ or blocks are not as once listed."""
        if len(found) != len(rows):
            self._starts = None  # `compact` may have moved blocks since they were listed
            return False
        size = gathered.size
        pixels, labels, sums = [], [], []
        known, length, n = b"", 0, 0
        for row, (key, value) in zip(rows, found, strict=True):
            fields = value[FIELDS_AT:LABELS_AT]
            if fields != known or len(value) != length:  # as a rule, all blocks are alike
                known, length = bytes(fields), len(value)
                n, dimensions = self._layout(key, value)
                if dimensions != gathered.dimensions:
                    return False
                sums_at = LABELS_AT + 8 * n
                pixels_at = LABELS_AT + ROW_BYTES * n
            if not 0 <= row < n:
                self._starts = None
                return False
            start = pixels_at + row * size
            pixels.append(value[start : start + size])
            start = LABELS_AT + 8 * row
            labels.append(value[start : start + 8])
            start = sums_at + 8 * row
            sums.append(value[start : start + 8])
        gathered.add_joined(pixels, labels, sums)
        return True

    def _block_starts(self, cursor: lmdb.Cursor) -> NDArray[np.int64]:
        """The first id of every block, in order; read once and kept."""
        starts = self._starts
        if starts is None:
            cursor.first()
            keys = b"".join(cursor.iternext(keys=True, values=False))
            if not keys or len(keys) % KEY.size:
                raise self._broken("a record is no block of images")
            starts = self._starts = np.frombuffer(keys, ">u8").astype(np.int64)
        return starts

    def _labels(self) -> Labels:
        labels = [np.empty(0, np.int64)]
        with self._environment.transaction() as transaction:
            for block in self._blocks(transaction.cursor()):
                if self._check and not block.is_sound:
                    raise self._broken(f"the labels of the block of image {block.first} changed")
                labels.append(block.labels)
        return np.concatenate(labels)[: self._length]

    def _structure_problems(self) -> list[str]:
        problems: list[str] = []
        for check in (Pages.check_all, Pages.check_own_pages):
            try:
                self._environment.check(check)
            except CorruptStoreError as error:
                problems += error.problems
        with self._environment.transaction() as transaction:
            try:
                for block in self._blocks(transaction.cursor()):
                    if not block.is_sound:
                        problems.append(
                            f"the table of the block of image {block.first} has changed"
                        )
                    if not block.is_within_its_call:
                        problems.append(f"the block of image {block.first} is of another call")
            except CorruptStoreError as error:
                problems += error.problems
        return problems
