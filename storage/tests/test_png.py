"""The PNG codec: files that Pillow reads, files that others wrote, and files that nobody should read.

The reference is Pillow, for every filter, number of channels and odd size.
"""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as Pillow

from .._checksum import Image, Shape, checksum
from ..payloads.png import SIGNATURE, PngPayload, form_of
from .trials import Trials

PAYLOAD = PngPayload()
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""The colour type for each number of channels: https://www.w3.org/TR/png-3/#11IHDR"""
SHAPES: list[Shape] = [
    *((height, width) for height, width in [(1, 1), (1, 9), (9, 1), (5, 7)]),
    *(
        (height, width, n)
        for height, width in [(1, 1), (2, 3), (7, 5), (32, 32)]
        for n in (1, 2, 3, 4)
    ),
]
FILES_PER_TRIAL = 1_000
MEMORY = 2**20
"""Bytes that decoding a small image may take, whatever its file claims."""


def picture(shape: Shape, seed: int = 0) -> Image:
    """Smooth in part, so that files are shorter than their pixels."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, shape, np.uint8)
    noise[: shape[0] // 2] //= 64
    return noise


def by_pillow(cell: bytes) -> Image:
    """The pixels as Pillow's PNG plugin reads them."""
    with Pillow.open(io.BytesIO(cell)) as opened:
        return np.asarray(opened)


def decode(cell: bytes, shape: Shape) -> Image:
    images = np.zeros((1, *shape), np.uint8)
    PAYLOAD.decode([cell], images)
    image: Image = images[0]
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4)


IEND = chunk(b"IEND", b"")


def filtered(image: Image, filters: bytes) -> bytes:
    """The rows of an image, each after its filter: https://www.w3.org/TR/png-3/#9Filters"""
    height, _, *channels = image.shape
    bpp = channels[0] if channels else 1
    rows = np.zeros((height + 1, bpp + image[0].size), int)
    rows[1:, bpp:] = image.reshape(height, -1)
    x, left = rows[1:, bpp:], rows[1:, :-bpp]
    above, corner = rows[:-1, bpp:], rows[:-1, :-bpp]
    distances = np.abs(np.stack([above - corner, left - corner, left + above - 2 * corner]))
    paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
    each = [x, x - left, x - above, x - (left + above) // 2, x - paeth]
    lines = [each[kind][i].astype(np.uint8).tobytes() for i, kind in enumerate(filters)]
    return b"".join(bytes([kind]) + line for kind, line in zip(filters, lines, strict=True))


def file_of(image: Image, filters: bytes, level: int = 6, pieces: int = 1) -> bytes:
    """A PNG as another program may write it: any filters, other chunks, the data in pieces."""
    height, width, *channels = image.shape
    colour_type = COLOUR_TYPES[channels[0] if channels else 1]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    data = zlib.compress(filtered(image, filters), level)
    step = -(-len(data) // pieces)
    split = [chunk(b"IDAT", data[i : i + step]) for i in range(0, len(data), step)]
    return b"".join([SIGNATURE, header, chunk(b"gAMA", b"\0\0\xb1\x8f"), *split, IEND])


@pytest.mark.parametrize("shape", SHAPES)
def test_pillow_reads_what_is_encoded(shape: Shape) -> None:
    images = np.stack([picture(shape, seed) for seed in range(3)])
    cells = PAYLOAD.encode(images)
    for cell, image in zip(cells, images, strict=True):
        read = by_pillow(bytes(cell))
        np.testing.assert_array_equal(read.reshape(shape), image)
    again = np.zeros_like(images)
    PAYLOAD.decode(cells, again)
    np.testing.assert_array_equal(again, images)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", range(5))
def test_every_filter_is_read_as_pillow_reads_it(shape: Shape, kind: int) -> None:
    image = picture(shape)
    cell = file_of(image, bytes([kind] * shape[0]))
    np.testing.assert_array_equal(by_pillow(cell).reshape(shape), image)  # the reference is right
    np.testing.assert_array_equal(decode(cell, shape), image)


@given(
    image=array_shapes(min_dims=2, max_dims=3, max_side=4).flatmap(lambda s: arrays(np.uint8, s)),
    seed=st.integers(0, 2**32 - 1),
    level=st.integers(0, 9),
    pieces=st.integers(1, 9),
)
def test_any_mixture_of_filters_is_read(image: Image, seed: int, level: int, pieces: int) -> None:
    filters = bytes(np.random.default_rng(seed).integers(0, 5, len(image)).tolist())
    cell = file_of(image, filters, level, pieces)
    np.testing.assert_array_equal(decode(cell, image.shape), image)


def test_own_files_and_others_are_read_together() -> None:
    images = np.stack([picture((6, 5, 3), seed) for seed in range(9)])
    cells = [*PAYLOAD.encode(images)]
    for i in (0, 4, 8):
        cells[i] = file_of(images[i], b"\4" * 6, pieces=2)
    read = np.zeros_like(images)
    PAYLOAD.decode(cells, read)
    np.testing.assert_array_equal(read, images)


def test_more_images_than_one_task_encodes() -> None:
    images = np.stack([picture((64, 64, 3), seed) for seed in range(100)])
    cells = PAYLOAD.encode(images)
    assert len(cells) == 100
    np.testing.assert_array_equal([by_pillow(bytes(cell)) for cell in cells], images)


def whole(image: Image) -> bytes:
    (cell,) = PAYLOAD.encode(image[np.newaxis])
    return bytes(cell)


def with_data(image: Image, data: bytes) -> bytes:
    return form_of(image.shape)[0] + chunk(b"IDAT", data) + IEND


@pytest.mark.parametrize(
    "change",
    [
        lambda image, _: with_data(image, zlib.compress(filtered(image, b"\1" + b"\2" * 6)[:-1])),
        lambda image, _: with_data(image, b""),
        lambda _, cell: cell.replace(b"IDAT", b"IDAX"),
        lambda _, cell: cell[:-30],
        lambda _, cell: cell[:33],
        lambda _, cell: b"",
        lambda _, cell: bytes(len(cell)),
        lambda _, cell: cell.replace(b"\0\0\0\5\0\0\0\7", b"\0\0\0\7\0\0\0\5"),
        lambda _, cell: cell[:37] + b"\xff" * 4 + cell[41:],
        lambda image, _: with_data(image, zlib.compress(filtered(image, b"\1" + b"\2" * 6))[:-1] + b"?"),
        lambda image, _: with_data(image, zlib.compress(b"\5" + filtered(image, b"\1" + b"\2" * 6)[1:])),
    ],
    ids=[
        "a byte too few", "no data", "no IDAT", "cut short", "a header alone", "empty",
        "zeros", "another size", "an impossible length", "a wrong Adler-32", "no such filter",
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_or_right(change: Callable[[Image, bytes], bytes]) -> None:
    """Pillow is lenient with a stream's end: then the pixels must be those that were stored."""
    image = picture((7, 5, 3))
    cell = change(image, whole(image))
    read = None
    with suppress(ValueError):
        read = decode(cell, image.shape)
    if read is not None:
        np.testing.assert_array_equal(read, image)


def test_a_file_that_inflates_without_end_takes_little_memory() -> None:
    """Pillow takes the rows it needs; here they are zeros, which the record's checksum refuses."""
    bomb = with_data(picture((7, 5, 3)), zlib.compress(bytes(10**8)))
    tracemalloc.start()
    read = decode(bomb, (7, 5, 3))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY
    assert not read.any()


def mutated(cell: bytes, random: np.random.Generator) -> bytes:
    """A file with bits flipped, bytes set, cut out, doubled or lost at the end; CRCs may fit again."""
    data = bytearray(cell)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(data) or 1))
        length = int(random.integers(1, 9))
        match random.integers(6):
            case 0 if data:
                data[at] ^= 1 << int(random.integers(8))
            case 1:
                data[at : at + length] = random.bytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                del data[at:]
            case _:
                data[at : at + 4] = int(random.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4)
    if random.integers(2) and len(data) > 57:  # a frame's bytes
        body = bytes(data[41:-16])
        data = bytearray(data[:33] + chunk(b"IDAT", body) + IEND)
    return bytes(data)


def test_mutated_files_are_refused_or_right(trials: Trials) -> None:
    """Wrong pixels must not pass: their checksum tells them. Nothing else may be raised."""
    with trials.of("1,000 mutated PNG files", "png") as tally:
        for trial in trials.numbers():
            random = np.random.default_rng(trial)
            images = [picture(shape, trial) for shape in SHAPES]
            outcome, detail = "refused", ""
            for i in range(FILES_PER_TRIAL):
                image = images[i % len(images)]
                shape, cell = image.shape, whole(image)
                if i // len(images) % 2:
                    kinds = bytes(random.integers(0, 5, shape[0]).tolist())
                    cell = file_of(image, kinds, pieces=int(random.integers(1, 4)))
                cell, stored = mutated(cell, random), checksum(0, 0, shape, image)
                try:
                    read = decode(cell, shape)
                except ValueError:
                    continue
                except Exception as error:
                    outcome, detail = "untyped", f"{error!r} for {cell.hex()}"
                    break
                if checksum(0, 0, shape, read) == stored and (read != image).any():
                    outcome, detail = "wrong", cell.hex()
                    break
            tally.add(trial, outcome, detail)
