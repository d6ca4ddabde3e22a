"""Image files made for tests, and where the real ones lie."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHARED = Path(__file__).resolve().parents[4] / "shared"
ODD_IMAGES, OWN_IMAGES = SHARED / "odd-images", SHARED / "own-images"
SIZE = (40, 24)  # width, height
EXIF_ORIENTATION = 0x112


def rows(path: Path) -> list[list[str]]:
    """The lines of a table, cut at its tabs, without the heading; none if there is no such file."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line.split("\t") for line in lines[1:]]


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth image, which also lossy formats keep roughly; all its corners differ."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    planes = np.stack((x, y, 255 - (x + y) / 2), axis=2).astype(np.uint8)
    return Image.fromarray(planes).convert(mode)


def saved(image: Image.Image, form: str, orientation: int = 1, **options: object) -> bytes:
    """The file of an image."""
    exif, file = Image.Exif(), BytesIO()
    if orientation != 1:
        exif[EXIF_ORIENTATION] = orientation
        options["exif"] = exif.tobytes()
    image.save(file, form, **options)
    return file.getvalue()


def png_of_16_bits(colour_type: int, channels: int) -> bytes:
    """A PNG file of 2 × 2 pixels with 16 bits a channel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    line = b"\0" + bytes(range(4 * channels))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(2 * line))
        + chunk(b"IEND", b"")
    )


def tiff_of_16_bits() -> bytes:
    """A TIFF file of 2 × 2 RGB pixels with 16 bits a channel, without compression."""
    entries = [
        (256, 4, 1, 2),  # width
        (257, 4, 1, 2),  # height
        (258, 3, 3, 134),  # bits, at byte 134
        (259, 3, 1, 1),  # no compression
        (262, 3, 1, 2),  # RGB
        (273, 4, 1, 140),  # where the pixels start
        (277, 3, 1, 3),  # channels
        (278, 4, 1, 2),  # rows in a strip
        (279, 4, 1, 24),  # bytes of pixels
        (284, 3, 1, 1),  # channels together
    ]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    head = (b"II*\0" + struct.pack("<I", 8) + table + bytes(4)).ljust(134, b"\0")
    return head + struct.pack("<HHH", 16, 16, 16) + bytes(range(24))


def by_pillow(data: bytes, *, turn: bool = True) -> NDArray[np.uint8]:
    """What Pillow alone makes of a file: upright, (H, W, 3)."""
    with Image.open(BytesIO(data)) as opened:
        upright: Image.Image = opened
        if turn and opened.format != "TIFF":  # which Pillow turns itself
            orientation = opened.getexif().get(EXIF_ORIENTATION, 1)
            turns = {
                2: Image.Transpose.FLIP_LEFT_RIGHT,
                3: Image.Transpose.ROTATE_180,
                4: Image.Transpose.FLIP_TOP_BOTTOM,
                5: Image.Transpose.TRANSPOSE,
                6: Image.Transpose.ROTATE_270,
                7: Image.Transpose.TRANSVERSE,
                8: Image.Transpose.ROTATE_90,
            }
            upright = opened.transpose(turns[orientation]) if orientation in turns else opened
        if upright.mode == "P" and upright.has_transparency_data:
            upright = upright.convert("RGBA")
        return np.array(upright.convert("RGB"))
