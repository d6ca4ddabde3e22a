"""PNG files: one folder per commit, `FIRST-STOP/`, one file per image.

    000000000000-000000000002/metadata.csv
    000000000000-000000000002/000000000000.png
    000000000000-000000000002/000000000001.png

A file is named by the image's id. An image without a channel axis, or with one channel, is a
greyscale PNG; two channels are grey and alpha, three RGB, four RGBA. The table has a heading and
a line per image in id order, each ended by a line feed:

    file_name,label,shape,checksum,line_checksum
    000000000000.png,6,32x32x3,0c3e…,91d2…

`shape` tells 32x32 from 32x32x1, `checksum` is the record's (see `_records.py`), `line_checksum`
is xxh3_64 of the line up to the comma before it; both are 16 hexadecimal digits. The names of the
first two columns are those that Hugging Face's ImageFolder looks for: it loads a store as it is.
"""

import errno
import os
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image as Pillow
from xxhash import xxh3_64_hexdigest

from ._errors import ShapeError
from ._files import sync_tree
from ._parts import LARGE_PART, READING, Part, PartName, PartStore, Rows
from ._records import (
    Batch,
    Checksums,
    Image,
    Labels,
    Shape,
    Slab,
    check_shape,
    common_shape,
    shape_text,
)

Result = TypeVar("Result")

TABLE = "metadata.csv"
HEADING = b"file_name,label,shape,checksum,line_checksum\n"
LINE = re.compile(
    rb"(?P<name>[0-9]{12})\.png,(?P<label>-?[0-9]{1,19}),(?P<shape>[0-9]{1,10}x[0-9]{1,10}"
    rb"(?:x[1-4])?),(?P<checksum>[0-9a-f]{16}),(?P<line_checksum>[0-9a-f]{16})\n"
)
FIXED_LENGTH = len("000000000000.png,,,0123456789abcdef,0123456789abcdef\n")
"""A line without its label and shape."""
LONGEST_LINE = 128
"""More than any line that `LINE` matches."""
WINDOW = 4096
"""When bisection has come this near, read the rest."""

# Measured on CIFAR-10: a quarter faster than Pillow's default, at the same size.
LEVEL, STRATEGY = 1, zlib.Z_RLE

THREAD_BYTES = 2**16
"""Pixels from which work is worth handing to another thread.

When storing, also many small images together. When reading, small ones are left to one thread:
who wants them faster has several processes reading, as training does.
"""

MODES = {1: ("L", 0), 2: ("LA", 4), 3: ("RGB", 2), 4: ("RGBA", 6)}
"""Pillow's mode and PNG's colour type, by number of channels."""

MAX_DEFLATE_RATIO = 1032
"""Deflate cannot expand data further: a smaller file that claims more pixels lies."""

LARGE_IMAGE = 2**26
"""Pixels from which a shape is compared with the file's size before memory is taken for it."""
LARGEST_OVERHEAD = 2**16
"""A PNG, not compressed at all, takes its pixels and less than this and them again."""


class PngStore(PartStore):
    __doc__ = (PartStore.__doc__ or "") + "\nKept as PNG files, one folder per commit."

    format = "png"
    suffix = ""

    def _write_part(self, path: Path, batch: Batch) -> None:
        path.mkdir()
        with open(f"{path}/{TABLE}", "xb") as table:
            table.write(HEADING)
            for slab in batch.slabs():
                n = max(1, THREAD_BYTES // slab.images[0].nbytes)
                pieces = [slab.part(i, i + n) for i in range(0, len(slab.ids), n)]
                table.writelines(in_threads(partial(write_images, path), pieces))
        self._sync_part(path, batch.first, len(batch.labels))

    def _sync_part(self, path: Path, first: int, n: int) -> None:
        if self.durable:
            sync_tree(path, [TABLE, *(file_name(i) for i in range(first, first + n))])

    def _open_part(self, name: PartName) -> Part:
        return PngPart(self.path, name)

    def _merge(self, path: Path, run: list[PartName]) -> None:
        # The files are immutable: a second name for each spares copying and encoding.
        path.mkdir()
        with (path / TABLE).open("xb") as table:
            table.write(HEADING)
            for name in run:
                PngPart(self.path, name).labels(check=True)
                table.write((self.path / name.file / TABLE).read_bytes()[len(HEADING) :])
                for image_id in range(name.first, name.stop):
                    file = file_name(image_id)
                    (path / file).hardlink_to(self.path / name.file / file)
        self._sync_part(path, run[0].first, run[-1].stop - run[0].first)


def in_threads(function: Callable[..., Result], *items: Collection[Any]) -> Iterator[Result]:
    """`map`, in as many threads as there are cores where there is more than one item.

    The items may be of any types, as those of `map`. Pillow's codec and the file system work
    without the interpreter's lock.
    """
    if len(items[0]) == 1:
        yield from map(function, *items)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            yield from threads.map(function, *items)


def write_images(folder: Path, slab: Slab) -> bytes:
    """Write the files of a slab; return its lines of the table."""
    lines = []
    for image_id, image, label, checksum in zip(
        slab.ids.tolist(),
        slab.images,
        slab.labels.tolist(),
        slab.checksums.tolist(),
        strict=True,
    ):
        with open(f"{folder}/{file_name(image_id)}", "xb") as file:
            file.write(encode(image))
        lines.append(table_line(image_id, label, image.shape, checksum))
    return b"".join(lines)


def file_name(image_id: int) -> str:
    return f"{image_id:012d}.png"


def table_line(image_id: int, label: int, shape: Shape, checksum: int) -> bytes:
    text = f"{file_name(image_id)},{label},{shape_text(shape)},{checksum:016x}".encode()
    return b"%s,%s\n" % (text, xxh3_64_hexdigest(text).encode())


# Pillow's PNG plugin takes longer over the file's frame than its codec over 32 x 32 pixels. So only
# the codec, which also filters and compresses the rows, is Pillow's; the frame, which is a
# signature and chunks (https://www.w3.org/TR/png-3/#5DataRep), is written and read here.

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">4sIIBBBBB")
CHUNK = struct.Struct(">I4s")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data, CRC-32 of the latter two."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((CHUNK.pack(len(data), kind), data, checksum.to_bytes(4, "big")))


END = chunk(b"IEND", b"")


def header(shape: Shape) -> bytes:
    """IHDR and what it holds: width, height, 8 bits, colour type, and no interlacing."""
    height, width, *channels = shape
    _, colour_type = MODES[channels[0] if channels else 1]
    return HEADER.pack(b"IHDR", width, height, 8, colour_type, 0, 0, 0)


def encode(image: Image) -> bytes:
    """The PNG of one image, C order."""
    height, width, *channels = image.shape
    mode, _ = MODES[channels[0] if channels else 1]
    picture = Pillow.frombuffer(mode, (width, height), image, "raw", mode, 0, 1)
    pixels = picture.tobytes("zip", mode, False, LEVEL, STRATEGY, b"")
    return b"".join(
        (SIGNATURE, chunk(b"IHDR", header(image.shape)[4:]), chunk(b"IDAT", pixels), END)
    )


def decode(data: bytes, image: Image) -> None:
    """Decode a PNG into `image`; raises ValueError where it is not one of that shape."""
    # What the header claims is compared before Pillow allocates it.
    if not data.startswith(SIGNATURE) or data[12:29] != header(image.shape):
        raise ValueError(f"not an 8-bit PNG of shape {shape_text(image.shape)}")
    if image.size > len(data) * MAX_DEFLATE_RATIO:
        raise ValueError("the file is too short for its shape")
    height, width, *channels = image.shape
    mode, _ = MODES[channels[0] if channels else 1]
    try:
        picture = Pillow.frombytes(mode, (width, height), compressed(data), "zip", mode, 0)
    except (OSError, SyntaxError, struct.error) as error:
        raise ValueError(f"the pixels cannot be decompressed ({error})") from error
    image[...] = np.asarray(picture).reshape(image.shape)


def compressed(data: bytes) -> bytes:
    """The pixels as PNG keeps them: what all IDAT chunks hold. Others but IEND are passed over."""
    at, pieces = len(SIGNATURE), []
    while at < len(data):
        length, kind = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if kind == b"IDAT":
            pieces.append(data[at : at + length])
        elif kind == b"IEND":
            break
        at += length + 4
    return b"".join(pieces)


class Table(NamedTuple):
    """What the lines of a table say."""

    labels: Labels
    shapes: list[Shape]
    checksums: Checksums


class PngPart(Part):
    """One folder, open. The table is read whole for a batch, one line of it for one image."""

    def __init__(self, folder: Path, name: PartName) -> None:
        super().__init__(folder, name)
        self._descriptor = -1
        self._descriptor = self._open_descriptor(os.O_DIRECTORY)
        if name.stop - name.first > LARGE_PART:
            self._refuse_impossible_table()
        self._known: tuple[Table, Shape | None] | None = None
        self._last_line = -1, Table(np.empty(0, np.int64), [], np.empty(0, np.uint64))

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _refuse_impossible_table(self) -> None:
        descriptor = self._open(TABLE)
        try:
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size < (self.name.stop - self.name.first) * FIXED_LENGTH:
            raise self._broken(f"{TABLE} is too short for as many images as the name says")

    def _open(self, file: str) -> int:
        try:
            return os.open(file, READING, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._broken(f"{file} is a symbolic link") from error
            error.filename = os.fspath(self.path / file)
            raise

    # ---- the table ---------------------------------------------------------------------------

    # Not `cached_property`: until Python 3.12 all its instances share a lock, which a process that is
    # forked while another thread reads would wait for in vain.

    def _whole(self) -> tuple[Table, Shape | None]:
        """The table, and the shape of all images if they have one; read once."""
        if self._known is None:
            table = self._parse(
                self._read_file(TABLE), self.name.first, self.name.stop, check=False
            )
            self._known = table, common_shape(table.shapes)
        return self._known

    @property
    def shape(self) -> Shape | None:  # type: ignore[override]  # found out when first asked for
        return self._whole()[1]

    def _rows(self, rows: Rows) -> Table:
        """The lines of the table for `rows`."""
        if len(rows) == 1 and self._known is None:
            return self._line(int(rows[0]))
        table, _ = self._whole()
        shapes = table.shapes
        return Table(table.labels[rows], [shapes[i] for i in rows.tolist()], table.checksums[rows])

    def _line(self, row: int) -> Table:
        """The line of one row; the last is kept, for it is asked for twice."""
        known, line = self._last_line
        if known != row:
            image_id = self.name.first + row
            text = HEADING + self._find_line(row)
            line = self._parse(text, image_id, image_id + 1, check=False)
            self._last_line = row, line
        return line

    def _find_line(self, row: int) -> bytes:
        """One line of the table, by bisection: the lines are in id order."""
        start = b"%012d.png," % (self.name.first + row)
        descriptor = self._open(TABLE)
        try:
            low, high = len(HEADING), os.fstat(descriptor).st_size
            while high - low > WINDOW:
                middle = (low + high) // 2
                text = os.pread(descriptor, 2 * LONGEST_LINE, middle)
                line = text.find(b"\n") + 1
                if text[line : line + len(start)] <= start:
                    low = middle + line
                else:
                    high = middle
            text = os.pread(descriptor, high - low + LONGEST_LINE, low)
        finally:
            os.close(descriptor)
        at = text.find(start)
        match = LINE.match(text, at) if at >= 0 else None
        if match is None:
            raise self.damaged(row, f"it has no line in {TABLE}")
        return match[0]

    def _parse(self, text: bytes, first: int, stop: int, check: bool) -> Table:
        """Read the lines of images `first` to `stop - 1`, which is all that `text` may hold."""
        found = LINE.findall(text, len(HEADING))
        if not text.startswith(HEADING) or len(found) != stop - first:
            raise self._broken(f"{TABLE} has not one line for each of {stop - first} images")
        names, labels, shapes, stored, _ = zip(*found, strict=True)
        # findall passes over what does not match: then the lengths do not add up.
        if sum(map(len, labels + shapes)) + len(found) * FIXED_LENGTH + len(HEADING) != len(text):
            raise self._broken(f"{TABLE} holds something other than its lines")
        if list(map(int, names)) != list(range(first, stop)):
            raise self._broken(f"{TABLE} does not list images {first} to {stop - 1} in order")
        if check:
            for name, label, shape, checksum, line_checksum in found:
                line = b"%s.png,%s,%s,%s" % (name, label, shape, checksum)
                if xxh3_64_hexdigest(line).encode() != line_checksum:
                    raise self.damaged(
                        int(name) - self.name.first, f"its line in {TABLE} has changed"
                    )
        by_text = {shape: tuple(map(int, shape.split(b"x"))) for shape in set(shapes)}
        try:
            for shape in by_text.values():
                check_shape(shape, "it")
            return Table(
                np.fromiter(map(int, labels), np.int64, len(found)),
                [by_text[shape] for shape in shapes],
                np.array([int(checksum, 16) for checksum in stored], np.uint64),
            )
        except (OverflowError, ShapeError) as error:
            raise self._broken(f"{TABLE}: {error}") from error

    def table(self, rows: Rows) -> tuple[Labels, Checksums]:
        lines = self._rows(rows)
        return lines.labels, lines.checksums

    def labels(self, check: bool) -> Labels:
        text = self._read_file(TABLE)
        return self._parse(text, self.name.first, self.name.stop, check).labels

    def shapes(self, rows: Rows) -> list[Shape]:
        shapes = self._rows(rows).shapes
        for row, shape in zip(rows.tolist(), shapes, strict=True):
            if prod(shape) > LARGE_IMAGE:
                self._refuse_impossible(row, shape)
        return shapes

    def problems(self) -> list[str]:
        first, stop = self.name.first, self.name.stop
        known = {TABLE, *(file_name(i) for i in range(first, stop))}
        return [
            f"{self.name.file}/{name} does not belong to the store"
            for name in sorted({path.name for path in self.path.iterdir()} - known)
        ]

    # ---- the images --------------------------------------------------------------------------

    def _refuse_impossible(self, row: int, shape: Shape) -> None:
        """Ask whether the file could hold that many pixels before memory is taken for them."""
        descriptor = self._open(file_name(self.name.first + row))
        try:
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if prod(shape) > size * MAX_DEFLATE_RATIO:
            raise self.damaged(row, f"a file of {size} bytes cannot hold {shape_text(shape)}")

    def _read_file(self, file: str, limit: int | None = None) -> bytes:
        """The contents of a file in the folder; raises ValueError if it is longer than `limit`."""
        descriptor = self._open(file)
        try:
            size = os.fstat(descriptor).st_size
            if limit is not None and size > limit:
                raise ValueError(f"{file} has {size} bytes, more than its shape can need")
            chunks = []
            while chunk := os.read(descriptor, size + 1):
                chunks.append(chunk)
        finally:
            os.close(descriptor)
        return b"".join(chunks)

    def read_into(self, rows: Rows, images: Image) -> None:
        if images[0].nbytes < THREAD_BYTES:
            for row, image in zip(rows.tolist(), images, strict=True):
                self._read_image(row, image)
        else:
            for _ in in_threads(self._read_image, rows.tolist(), images):
                pass

    def _read_image(self, row: int, image: Image) -> None:
        limit = 2 * image.nbytes + LARGEST_OVERHEAD
        try:
            decode(self._read_file(file_name(self.name.first + row), limit), image)
        except ValueError as error:
            raise self.damaged(row, str(error)) from error
