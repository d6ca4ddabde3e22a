"""The checksum of a record: an id, a label (int64), a shape and pixels.

    xxh3_64(pixels)  XOR  (xxh3_64(shape text) + id * ID_FACTOR + label * LABEL_FACTOR  mod 2**64)

The pixels are uint8 in C order. The shape text is `32x32x3`, or `32x32` for an image without a
channel axis. The second term is linear, so that NumPy computes it for many records at once. Both
factors are odd, so any change of the id alone or of the label alone changes the checksum. Of an
encoded record, the bytes of its file stand in place of the pixels, which depend on the decoder.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest, xxh3_64_intdigest

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Shape | list[Shape]
"""The shape of all images, or of each."""
Image: TypeAlias = NDArray[np.uint8]
Images: TypeAlias = Image | list[Image]
"""One array (N, H, W[, C]) if all shapes are equal, else a list of N arrays."""
Labels: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.int64]
Checksums: TypeAlias = NDArray[np.uint64]

# 2**64 / golden ratio and the second prime of xxHash64: any two odd, unrelated constants would do.
ID_FACTOR = 0x9E3779B97F4A7C15
LABEL_FACTOR = 0xC2B2AE3D27D4EB4F
MASK = 2**64 - 1


def shape_text(shape: Shape) -> str:
    return "x".join(map(str, shape))


@lru_cache(maxsize=4096)
def _shape_tag(shape: Shape) -> int:
    return xxh3_64_intdigest(shape_text(shape).encode())


def checksum(image_id: int, label: int, shape: Shape, pixels: Image | bytes | memoryview) -> int:
    """The checksum of one record; its pixels are contiguous, or the bytes that stand for them."""
    tag = _shape_tag(shape) + image_id * ID_FACTOR + label * LABEL_FACTOR
    return xxh3_64_intdigest(pixels) ^ (tag & MASK)


def checksums(
    ids: Rows, labels: Labels, shapes: Shapes, rows: Iterable[Image | bytes | memoryview]
) -> Checksums:
    """The checksums of n records; `rows` yields the contiguous pixels of each."""
    # NumPy takes joined digests faster than Python integers. They are big-endian.
    hashes = np.frombuffer(b"".join(map(xxh3_64_digest, rows)), ">u8")
    tags = _tags(ids, labels, shapes)
    tags ^= hashes
    return tags


def _tags(ids: Rows, labels: Labels, shapes: Shapes) -> Checksums:
    tags = ids.view(np.uint64) * np.uint64(ID_FACTOR)
    tags += labels.view(np.uint64) * np.uint64(LABEL_FACTOR)
    every = [*map(_shape_tag, shapes)] if isinstance(shapes, list) else _shape_tag(shapes)
    tags += np.array(every, np.uint64)
    return tags


def renumbered(
    stored: Checksums, ids: Rows, new_ids: Rows, labels: Labels, shapes: Shapes
) -> Checksums:
    """The checksums of n records under other ids, from those under the old ones; no pixels needed."""
    found: Checksums = stored ^ _tags(ids, labels, shapes) ^ _tags(new_ids, labels, shapes)
    return found


def first_wrong(ids: Rows, labels: Labels, stored: Checksums, images: Images) -> int | None:
    """The id of the first record whose checksum is not the stored one, or None.

    images: (n, H, W[, C]) or n arrays, C order
    """
    if isinstance(images, list):
        sums = checksums(ids, labels, [image.shape for image in images], images)
    else:
        sums = checksums(ids, labels, images.shape[1:], images.reshape(len(images), -1))
    return next(iter(ids[sums != stored].tolist()), None)
