"""PNG: a cell is a PNG file with 8 bits per channel.

    image = np.array(Image.open(io.BytesIO(cell)))

An image without a channel axis, or with one channel, is greyscale; two channels are grey and alpha,
three RGB, four RGBA. The frame (https://www.w3.org/TR/png-3/#5DataRep) and the filters are made
here: the first row is filtered by Sub, the others by Up. Pillow decodes rows of other filters.
"""

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain, pairwise
from math import prod

import numpy as np
from deflate import DeflateError, zlib_decompress
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image as Pillow

from .._checksum import Shape, shape_text
from .._errors import ShapeError
from .base import Cell, Payload, in_threads, tasks

MODES = {1: ("L", 0), 2: ("LA", 4), 3: ("RGB", 2), 4: ("RGBA", 6)}  # Pillow's, PNG's colour type
LEVEL = 1  # ISA-L's next takes a quarter longer for files as large
FEW_BYTES = 2**8  # of a row of all images: one call of NumPy takes less time than one for each row
MAX_ROW_BYTES, MAX_BYTES = 2**28 - 64, 2**31 - 2**24
"""31-bit counts set these limits: of a row's bits in Pillow, of compressed bytes in PNG.

The second is of all rows, each with the byte that names its filter."""
MAX_DEFLATE_RATIO = 1032  # a smaller file does not hold the pixels that it claims
LARGEST_OVERHEAD = 2**16  # even an uncompressed PNG takes less than twice its pixels and this

HEADER = struct.Struct(">IIBBBBB")  # width, height, 8 bits, colour type; no interlacing
CHUNK = struct.Struct(">I4s")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngPayload(Payload):
    """Lossless compression, in files that every tool reads."""

    def check_shape(self, shape: Shape) -> None:
        if prod(shape[1:]) > MAX_ROW_BYTES or shape[0] + prod(shape) > MAX_BYTES:
            most = f"at most {MAX_ROW_BYTES} bytes a row, {MAX_BYTES} in all with one more for each"
            raise ShapeError(f"an image of shape {shape} is too large for a PNG here: {most}")

    def check_size(self, shape: Shape, size: int) -> None:
        if not prod(shape) / MAX_DEFLATE_RATIO <= size <= 2 * prod(shape) + LARGEST_OVERHEAD:
            raise ValueError(f"{size} bytes cannot be a PNG of {shape_text(shape)}")

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        every = [images[some] for some in tasks(len(images), images[0].nbytes)]
        return [*chain.from_iterable(in_threads(encoded, every, images.nbytes))]

    def decode(self, cells: Sequence[Cell], images: NDArray[np.uint8]) -> None:
        start, filters, size = form_of(shape := images.shape[1:])
        own = list[tuple[slice, bytes | bytearray]]()
        for i, cell in enumerate(cells):
            stream = compressed(memoryview(cell), start)
            rows = inflated(stream, size)
            if rows[:: size // shape[0]] == filters:
                own.append((slice(i, i + 1), rows))
            else:
                images[i] = by_pillow(zlib.compress(rows, 0) if rows else bytes(stream), shape)
        if len(own) == len(images):
            own = [(slice(None), b"".join(rows for _, rows in own))]
        for where, rows in own:
            restore(rows, images[where])


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return CHUNK.pack(len(data), kind) + data + checksum.to_bytes(4)


@lru_cache
def form_of(shape: Shape) -> tuple[bytes, bytes, int]:
    """How files of that shape begin, the filters of rows, and the bytes of all rows with these."""
    height, width = shape[:2]
    header = HEADER.pack(width, height, 8, MODES[prod(shape[2:])][1], 0, 0, 0)
    start = SIGNATURE + chunk(b"IHDR", header)
    return start, b"\1" + b"\2" * (height - 1), height * (1 + prod(shape[1:]))


def encoded(images: NDArray[np.uint8]) -> list[bytes]:
    """The files of images of one shape, (n, H, W[, C])."""
    start, filters, size = form_of(images.shape[1:])
    n, height = images.shape[:2]
    pixels, step = images.reshape(n, height, -1), prod(images.shape[3:])
    rows = np.empty((n, height, size // height), np.uint8)
    rows[:, :, 0] = np.frombuffer(filters, np.uint8)
    filtered = rows[:, :, 1:]
    filtered[:, 0, :step] = pixels[:, 0, :step]
    np.subtract(pixels[:, 0, step:], pixels[:, 0, :-step], out=filtered[:, 0, step:])
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=filtered[:, 1:])
    streams, end = (isal_zlib.compress(one, LEVEL) for one in rows), chunk(b"IEND", b"")
    return [start + chunk(b"IDAT", stream) + end for stream in streams]


def compressed(data: memoryview, start: bytes) -> Cell:
    """The data of all IDAT chunks of a file; raises ValueError if it does not begin so."""
    at, kind, pieces = len(start), b"", list[memoryview]()
    if data[:at] != start:
        raise ValueError("not an 8-bit PNG of its shape")
    while kind != b"IEND" and at + CHUNK.size <= len(data):
        length, kind = CHUNK.unpack_from(data, at)
        at += CHUNK.size + length + 4  # after the CRC
        if kind == b"IDAT":
            pieces.append(data[at - length - 4 : at - 4])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def inflated(stream: Cell, size: int) -> bytes | bytearray:
    """The `size` bytes that a whole stream holds, or none; never more, whatever it claims."""
    with suppress(DeflateError):
        rows = zlib_decompress(stream, size)  # compares the Adler-32, too
        if len(rows) == size:
            return rows
    return b""


def restore(rows: bytes | bytearray, images: NDArray[np.uint8]) -> None:
    """Undo the filters of `encoded` for all images, (n, H, W[, C])."""
    n, height, *rest = images.shape
    pixels = images.reshape(n, height, -1)
    pixels[...] = np.frombuffer(rows, np.uint8).reshape(n, height, -1)[:, :, 1:]
    first = pixels[:, 0].reshape(n, *rest)
    np.add.accumulate(first, axis=1, out=first)
    if images.nbytes < FEW_BYTES * height:
        np.add.accumulate(pixels, axis=1, out=pixels)
        return
    for above, row in pairwise(pixels.swapaxes(0, 1)):
        row += above


def by_pillow(stream: bytes, shape: Shape) -> NDArray[np.uint8]:
    """An image of the compressed rows of any filters; raises ValueError."""
    mode = MODES[prod(shape[2:])][0]
    try:
        picture = Pillow.frombytes(mode, (shape[1], shape[0]), stream, "zip", mode, 0)
    except (OSError, SyntaxError) as error:
        if type(error) not in (OSError, SyntaxError):
            raise  # not the codec's: a signal handler's, for example
        raise ValueError(f"the pixels cannot be decompressed ({error})") from error
    return np.asarray(picture).reshape(shape)
