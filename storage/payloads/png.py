"""PNG: a cell is a PNG file with 8 bits per channel.

    image = np.array(Image.open(io.BytesIO(cell)))

An image without a channel axis, or with one channel, is greyscale; two channels are grey and alpha,
three RGB, four RGBA.
"""

import struct
import zlib
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from .._checksum import Shape, shape_text
from .._errors import ShapeError
from .base import Cell, Payload

# Measured on CIFAR-10: a quarter faster than Pillow's default, at the same size.
LEVEL, STRATEGY = 1, zlib.Z_RLE

MODES = {1: ("L", 0), 2: ("LA", 4), 3: ("RGB", 2), 4: ("RGBA", 6)}
"""Pillow's mode and PNG's colour type, by number of channels."""

MAX_ROW_BYTES, MAX_BYTES = 2**28 - 64, 2**31 - 2**24
"""31-bit counts set these limits: of a row's bits in Pillow, of compressed bytes in PNG."""
MAX_DEFLATE_RATIO = 1032
"""Deflate's highest ratio: a smaller file does not hold the pixels that it claims."""
LARGEST_OVERHEAD = 2**16
"""Even an uncompressed PNG takes less than twice its pixels and this many bytes."""

# Pillow's PNG plugin takes longer for the file's frame than its codec for 32 x 32 pixels. So only
# the codec is Pillow's; the frame (https://www.w3.org/TR/png-3/#5DataRep) is written and read here.
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
CHUNK = struct.Struct(">I4s")


class PngPayload(Payload):
    """Lossless compression, in files that every tool reads."""

    def check_shape(self, shape: Shape) -> None:
        if prod(shape[1:]) > MAX_ROW_BYTES or prod(shape) > MAX_BYTES:
            most = f"at most {MAX_ROW_BYTES} bytes a row and {MAX_BYTES} in all"
            raise ShapeError(f"an image of shape {shape} is too large for a PNG here: {most}")

    def check_size(self, shape: Shape, size: int) -> None:
        pixels = prod(shape)
        if pixels > size * MAX_DEFLATE_RATIO or size > 2 * pixels + LARGEST_OVERHEAD:
            raise ValueError(f"{size} bytes cannot be a PNG of {shape_text(shape)}")

    def encode(self, image: NDArray[np.uint8]) -> bytes:
        mode, size, heading = described(image.shape)
        picture = Pillow.frombuffer(mode, size, image, "raw", mode, 0, 1)
        pixels = picture.tobytes("zip", mode, False, LEVEL, STRATEGY, b"")
        return SIGNATURE + chunk(b"IHDR", heading) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    def decode(self, cell: Cell, image: NDArray[np.uint8]) -> None:
        data, (mode, size, heading) = bytes(cell), described(image.shape)
        # Compared before Pillow allocates what the header claims.
        if not data.startswith(SIGNATURE) or data[12:29] != b"IHDR" + heading:
            raise ValueError(f"not an 8-bit PNG of shape {shape_text(image.shape)}")
        try:
            picture = Pillow.frombytes(mode, size, compressed(data), "zip", mode, 0)
        except (OSError, SyntaxError, struct.error) as error:
            if isinstance(error, OSError) and type(error) is not OSError:
                raise  # not the codec's: a signal handler's, for example
            raise ValueError(f"the pixels cannot be decompressed ({error})") from error
        image[...] = np.asarray(picture).reshape(image.shape)


def described(shape: Shape) -> tuple[str, tuple[int, int], bytes]:
    """Pillow's mode and size, and PNG's header: size, 8 bits, colour type, and no interlacing."""
    height, width, *channels = shape
    mode, colour_type = MODES[channels[0] if channels else 1]
    return mode, (width, height), HEADER.pack(width, height, 8, colour_type, 0, 0, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk: length, kind, data, and the CRC-32 of kind and data."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((CHUNK.pack(len(data), kind), data, checksum.to_bytes(4, "big")))


def compressed(data: bytes) -> bytes:
    """The compressed pixels: the data of all IDAT chunks up to IEND; other chunks are skipped."""
    at, kind, pieces = len(SIGNATURE), b"", []
    while kind != b"IEND" and at < len(data):
        length, kind = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if kind == b"IDAT":
            pieces.append(data[at : at + length])
        at += length + 4
    return b"".join(pieces)
