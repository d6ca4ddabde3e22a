"""What the first bytes of an image file say: its format, size, bits and orientation.

These headers are read here, before Pillow or libjpeg sees the file, since both take the memory that
a header claims, and neither says how many bits a channel had.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .._errors import ImageFileError


class ImageInfo(NamedTuple):
    """What an image file holds, by its header."""

    format: str  # JPEG, PNG, GIF, BMP, PPM, TIFF, WEBP, JPEG2000 or AVIF
    mode: str  # Pillow's name of the kind of pixels, for example L, RGB, P or CMYK
    width: int  # pixels, before the image is turned
    height: int
    bits: int  # of a channel
    orientation: int  # 1 to 8, as in EXIF; 1 is upright
    frames: int  # images in the file
    levels: int = 256  # of a channel, if fewer
    is_keyed: bool = False  # whether a colour stands for transparent pixels


class Chunk(NamedTuple):
    """A chunk of a PNG file, at these bytes."""

    kind: bytes
    start: int  # of its data
    stop: int


HEAD_BYTES, LARGE_FILE = 2**16, 2**24
"""Enough bytes of most JPEG files to see their size; of a file of more bytes than the second, these are
looked at before the rest is read.
"""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
NO_FRAME_HEADERS = (0xC4, 0xC8, 0xCC)  # between SOF0 and SOF15: tables, and a reserved code
ORIENTATION = 0x112  # the tag in EXIF and TIFF
IMAGES = 0xB001  # the tag in the MPF segment of a JPEG file (CIPA DC-007): how many there are
INTEGERS = {1: "B", 3: "H", 4: "I"}  # EXIF's types

SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": re.escape(PNG_SIGNATURE),
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "PPM": rb"P[1-6][\s#]",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WEBP": rb"RIFF....WEBP",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "AVIF": rb"....ftyp(avif|avis|(mif1|msf1)....(....)*?avi[fs])",
}
UNREADABLE = {
    "a JPEG XL file, which Pillow cannot read": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a HEIF file, which Pillow cannot read without a plug-in": rb"....ftyp(hei|hev|mif1|msf1)",
    "a web page or an XML file, not an image": rb"\s*<[!?a-zA-Z]",
}
NAMED = {name: re.compile(pattern, re.DOTALL) for name, pattern in SIGNATURES.items()}
REFUSED = {reason: re.compile(pattern, re.DOTALL) for reason, pattern in UNREADABLE.items()}
LONGEST_SIGNATURE = 64


def format_of(data: bytes) -> str:
    """The format of a file by its content, one of `ImageInfo.format`; raises ImageFileError."""
    start = data[:LONGEST_SIGNATURE]
    if not start:
        raise ImageFileError("an empty file")
    for name, signature in NAMED.items():
        if signature.match(start):
            return name
    for reason, signature in REFUSED.items():
        if signature.match(start):
            raise ImageFileError(reason)
    raise ImageFileError("not an image of a known format")


def jpeg_info(data: bytes) -> ImageInfo:
    """The frame header of a JPEG file, found as libjpeg finds it; raises ImageFileError."""
    size, orientation, frames, at = None, 1, 1, 2
    try:
        while True:
            at = data.index(b"\xff", at)  # libjpeg skips what lies between markers
            while data[at] == 0xFF:
                at += 1
            code, at = data[at], at + 1
            if code in (0x00, 0x01) or 0xD0 <= code <= 0xD7:  # markers without a segment
                continue
            if code in (0xD9, 0xDA):  # the end of the image, or the start of its pixels
                break
            (length,) = struct.unpack_from(">H", data, at)
            if length < 2:
                break
            if code == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and orientation == 1:
                orientation = exif_orientation(data[at + 8 : at + length])
            elif code == 0xE2 and data[at + 2 : at + 6] == b"MPF\0":
                frames = max(frames, ifd_value(data[at + 6 : at + length], IMAGES) or 1)
            elif 0xC0 <= code <= 0xCF and code not in NO_FRAME_HEADERS and not size:
                size = struct.unpack_from(">BHHB", data, at + 2)
            at += length
    except (ValueError, IndexError, struct.error):
        pass  # the end of the data
    if not size:
        raise ImageFileError("a damaged JPEG file: it has no frame header")
    bits, height, width, channels = size
    if channels not in JPEG_MODES:
        raise ImageFileError(f"a JPEG file of {channels} channels, not 1, 3 or 4")
    return ImageInfo("JPEG", JPEG_MODES[channels], width, height, bits, orientation, frames)


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """All chunks of a PNG file; raises ImageFileError if the last one is missing."""
    at, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ImageFileError("a PNG file that was cut off")
        length, kind = struct.unpack_from(">I4s", data, at)
        yield Chunk(kind, at + 8, at + 8 + length)
        at += 12 + length
    if at > len(data):
        raise ImageFileError("a PNG file that was cut off")


def png_info(data: bytes) -> ImageInfo:
    """The header of a PNG file, and its eXIf, acTL and tRNS chunks; raises ImageFileError."""
    orientation, frames, is_keyed = 1, 1, False
    chunks = png_chunks(data)
    first = next(chunks)
    if first.kind != b"IHDR" or first.stop - first.start != 13 or first.stop > len(data):
        raise ImageFileError("a damaged PNG file: it does not begin with its header")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, first.start)
    if colour not in PNG_MODES:
        raise ImageFileError("a damaged PNG file: its colour type is unknown")
    for kind, start, stop in chunks:
        if kind == b"eXIf":
            orientation = exif_orientation(data[start:stop])
        elif kind == b"tRNS":
            is_keyed = True
        elif kind == b"acTL" and stop - start == 8:
            frames = max(1, struct.unpack_from(">I", data[start:stop])[0])
    mode = PNG_MODES[colour]
    if mode == "L" and bits in (1, 16):
        mode = {1: "1", 16: "I;16"}[bits]
    levels = 2**bits if mode == "L" and bits < 8 else 256
    return ImageInfo("PNG", mode, width, height, bits, orientation, frames, levels, is_keyed)


def gif_size(data: bytes) -> tuple[int, int]:
    """Width and height of a GIF file: the screen, or the first frame where that reaches beyond it.

    By the specification of GIF 89a; raises ImageFileError.
    """
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)  # after the colour table
        while data[at] == 0x21:  # an extension, in blocks
            at += 2
            while data[at]:
                at += 1 + data[at]
            at += 1
        if data[at] == 0x2C:
            left, top, *sides = struct.unpack_from("<HHHH", data, at + 1)
            return max(width, left + sides[0]), max(height, top + sides[1])
    except (IndexError, struct.error):
        pass
    raise ImageFileError("a damaged GIF file: it has no frame")


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP file (RFC 9649); raises ImageFileError."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10 or 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise ImageFileError("a WebP file that was cut off")
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(body[i : i + 3], "little") for i in (4, 7))  # type: ignore[return-value]  # two of them
    if kind == b"VP8L":
        both = int.from_bytes(body[1:5], "little")
        return 1 + (both & 0x3FFF), 1 + (both >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageFileError("a damaged WebP file: it does not begin with its header")


def jpeg2000_size(data: bytes) -> tuple[int, int, int]:
    """Width, height and bits of a JPEG 2000 file, by its code stream; raises ImageFileError."""
    try:
        at = data.index(b"\xff\x4f\xff\x51") + 4
        right, bottom, left, top = struct.unpack_from(">IIII", data, at + 4)
        (channels,) = struct.unpack_from(">H", data, at + 36)
        bits = max(1 + (data[at + 38 + 3 * i] & 0x7F) for i in range(channels))
    except (ValueError, IndexError, struct.error):
        raise ImageFileError("a damaged JPEG 2000 file: it has no header") from None
    return right - left, bottom - top, bits


def avif_bits(data: bytes) -> int:
    """Bits of a channel of an AVIF file, by the flags of its `av1C` boxes."""
    flags = [found[1][0] for found in re.finditer(rb"av1C\x81.(.)", data, re.DOTALL)]
    return max(((8, 8, 10, 12)[flag >> 5 & 3] for flag in flags), default=8)


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block: 1 to 8; 1 if it has none, or an invalid or damaged one."""
    return valid_orientation(ifd_value(block.removeprefix(b"Exif\0\0"), ORIENTATION))


def ifd_value(block: bytes, wanted: int) -> int | None:
    """The integer of a tag in the first directory of a block as in EXIF; None if it is not there."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if not order:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", block, at)
            if tag == wanted and count == 1 and kind in INTEGERS:
                return int(struct.unpack_from(order + INTEGERS[kind], block, at + 8)[0])
    except struct.error:
        pass
    return None


def valid_orientation(value: object) -> int:
    """The value if it is an orientation, else 1: many files hold a 0."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
