"""What a record is: the checks on images and labels, and the checksum that goes with each.

A record is an id, a label (int64), a shape and pixels (uint8, C order). Its checksum is

    xxh3_64(pixels)  XOR  (xxh3_64(shape text) + id * ID_FACTOR + label * LABEL_FACTOR  mod 2**64)

where the shape text is `32x32x3`, or `32x32` for an image without a channel axis. The second term
is linear so that NumPy computes it for many records at once; both factors are odd, so no change of
an id alone or of a label alone, by any amount, leaves it unchanged.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from math import prod
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from ._errors import DTypeError, LabelError, LengthError, ShapeError

Image: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]
Checksums: TypeAlias = NDArray[np.uint64]
Shape: TypeAlias = tuple[int, ...]
Images: TypeAlias = Image | list[Image]
"""One array (N, H, W[, C]) where all shapes are equal, else a list of N arrays."""

SLAB_BYTES = 8 * 2**20
"""Pixels handled at a time: large enough to amortise Python, small enough to stay in the cache."""

INT64 = np.iinfo(np.int64)
MAX_CHANNELS = 4
MOST_SIDE = 2**32 - 1

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
    """The checksum of one record whose pixels are one contiguous buffer."""
    tag = _shape_tag(shape) + image_id * ID_FACTOR + label * LABEL_FACTOR
    return xxh3_64_intdigest(pixels) ^ (tag & MASK)


def checksums(
    ids: NDArray[np.int64], labels: Labels, shape: Shape, rows: Iterable[Image | memoryview]
) -> Checksums:
    """The checksums of n records of one shape; `rows` yields the contiguous pixels of each."""
    # Joined, digests reach NumPy faster than Python integers do. They are big-endian.
    hashes = np.frombuffer(b"".join(map(xxh3_64_digest, rows)), ">u8")
    tags = ids.view(np.uint64) * np.uint64(ID_FACTOR)
    tags += labels.view(np.uint64) * np.uint64(LABEL_FACTOR)
    tags += np.uint64(_shape_tag(shape))
    tags ^= hashes
    return tags


class Slab(NamedTuple):
    """Consecutive records of one shape, at most about `SLAB_BYTES` of them."""

    ids: NDArray[np.int64]  # (n,), consecutive
    images: Image  # (n, H, W[, C]), C order
    labels: Labels  # (n,)
    checksums: Checksums  # (n,)

    def part(self, start: int, stop: int) -> "Slab":
        """Its records `start` to `stop - 1`, as views."""
        piece = slice(start, stop)
        return Slab(self.ids[piece], self.images[piece], self.labels[piece], self.checksums[piece])


@dataclass(frozen=True)
class Batch:
    """The records of one commit, checked, and read once slab by slab.

    `shapes` is the common shape, or one shape per image, or None while an iterable that can be
    read only once still holds the images.
    """

    first: int
    labels: Labels
    shapes: Shape | list[Shape] | None
    _groups: Callable[[], Iterator[Image]]

    def slabs(self) -> Iterator[Slab]:
        """The records in order.

        Raises what `check_image` does while an iterable is read, and `LengthError`.
        """
        done = 0
        for images in self._groups():
            n = len(images)
            if done + n > len(self.labels):
                raise _too_many(len(self.labels))
            ids = np.arange(self.first + done, self.first + done + n, dtype=np.int64)
            labels = self.labels[done : done + n]
            rows = images.reshape(n, -1)
            yield Slab(ids, images, labels, checksums(ids, labels, images.shape[1:], rows))
            done += n
        if done < len(self.labels):
            raise LengthError(
                f"{done} images but {len(self.labels)} labels; give one label per image"
            )


def _too_many(labels: int) -> LengthError:
    return LengthError(f"more images than the {labels} labels; give one label per image")


def slab_length(shape: Shape) -> int:
    """How many images of `shape` make a slab."""
    return max(1, SLAB_BYTES // prod(shape))


def check_image(image: object, position: int) -> Image:
    """Return `image` if it is a storable one; `position` is its place in the call, for the message.

    Raises `DTypeError` or `ShapeError`.
    """
    if not isinstance(image, np.ndarray):
        raise DTypeError(
            f"image {position} is a {type(image).__name__}; give a NumPy array of uint8"
        )
    if image.dtype != np.uint8:
        raise DTypeError(
            f"image {position} has dtype {image.dtype}; convert it to uint8 yourself, so that the"
            " rounding is yours"
        )
    check_shape(image.shape, f"image {position}")
    return image


def check_shape(shape: Shape, what: str) -> None:
    if (
        len(shape) not in (2, 3)
        or min(shape) < 1
        or max(shape[:2]) > MOST_SIDE
        or (len(shape) == 3 and shape[2] > MAX_CHANNELS)
    ):
        raise ShapeError(
            f"{what} has shape {shape}; give (H, W) or (H, W, C) with H, W >= 1 and 1 <= C <= 4"
        )


def is_integer_type(kind: type) -> bool:
    """Whether values of that type are integers here: Booleans and time spans are not."""
    return issubclass(kind, int | np.integer) and not issubclass(kind, bool | np.timedelta64)


def check_label(label: object) -> int:
    """Return one label as an int; raises `DTypeError` or `LabelError`."""
    if not is_integer_type(type(label)):
        raise DTypeError(f"a label is a {type(label).__name__}; give an integer")
    value = int(cast(int, label))
    if not INT64.min <= value <= INT64.max:
        raise LabelError(f"label {value} does not fit in int64")
    return value


def check_labels(labels: object) -> Labels:
    """Return `labels` as an own (N,) int64 array; raises `DTypeError`, `LabelError`, `LengthError`.

    Accepts an integer array or a sized collection of integers. Booleans are no integers here: to
    store them would be a cast.
    """
    if isinstance(labels, np.ndarray):
        if labels.ndim != 1:
            raise LengthError(f"labels have shape {labels.shape}; give one label per image: (N,)")
        if labels.dtype.kind not in "iu":
            raise DTypeError(f"labels have dtype {labels.dtype}; give integers")
        if labels.dtype.kind == "u" and labels.size and labels.max() > INT64.max:
            raise LabelError(f"label {labels.max()} does not fit in int64")
        checked = labels.astype(np.int64)
    elif isinstance(labels, Sequence) and not isinstance(labels, str | bytes):
        checked = np.fromiter(map(check_label, labels), np.int64, len(labels))
    else:
        raise DTypeError(
            f"labels are a {type(labels).__name__}; give a list or an array of integers"
        )
    if not len(checked):
        raise LengthError("nothing to store; give at least one image and its label")
    return checked


def make_batch(first: int, images: object, labels: object) -> Batch:
    """Check everything that can be checked before the first byte is written.

    `images` is an array (N, H, W[, C]), a sequence of images, or any other iterable of images;
    only the last is checked as it is read. Raises `DTypeError`, `ShapeError`, `LabelError`,
    `LengthError`.
    """
    checked = check_labels(labels)
    if isinstance(images, np.ndarray):
        return _from_array(first, images, checked)
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return _from_sequence(first, images, checked)
    if isinstance(images, Iterable) and not isinstance(images, str | bytes):
        stream = images
        return Batch(first, checked, None, lambda: stacked(stream, len(checked)))
    raise DTypeError(f"images are a {type(images).__name__}; give an array or a sequence of arrays")


def _same_length(images: int, labels: int) -> None:
    if images != labels:
        raise LengthError(f"{images} images but {labels} labels; give one label per image")


def _from_array(first: int, images: NDArray[np.uint8], labels: Labels) -> Batch:
    if images.dtype != np.uint8:
        raise DTypeError(
            f"images have dtype {images.dtype}; convert them to uint8 yourself, so that the"
            " rounding is yours"
        )
    if images.ndim not in (3, 4):
        raise ShapeError(f"images have shape {images.shape}; give (N, H, W) or (N, H, W, C)")
    _same_length(len(images), len(labels))
    shape = images.shape[1:]
    check_shape(shape, "each image")

    def groups() -> Iterator[Image]:
        step = slab_length(shape)
        for start in range(0, len(images), step):
            yield np.ascontiguousarray(images[start : start + step])

    return Batch(first, labels, shape, groups)


def _from_sequence(first: int, images: Sequence[object], labels: Labels) -> Batch:
    _same_length(len(images), len(labels))
    if len(images) == 1:  # as a camera gives them: there is nothing to join
        return _from_array(first, check_image(images[0], 0)[np.newaxis], labels)
    shapes = [check_image(image, i).shape for i, image in enumerate(images)]
    common = shapes[0] if len(set(shapes)) == 1 else shapes
    return Batch(first, labels, common, lambda: stacked(images, len(images)))


def stacked(images: Iterable[object], most: int) -> Iterator[Image]:
    """Runs of equal shape, each as an array of at most a slab and at most `most` images."""
    checked = (check_image(image, i) for i, image in enumerate(images))
    for shape, run in groupby(checked, key=lambda image: image.shape):
        length = min(slab_length(shape), most)
        done = length
        while done == length:
            slab = np.empty((length, *shape), np.uint8)
            done = 0
            for done, image in enumerate(islice(run, length), 1):
                slab[done - 1] = image  # at once, so that no other copy is kept
            if done:
                yield slab[:done]
            del slab


def common_shape(shapes: Sequence[Shape]) -> Shape | None:
    """The one shape that all have, or None where they differ or there is none."""
    return shapes[0] if shapes and shapes.count(shapes[0]) == len(shapes) else None


def is_run(ids: NDArray[np.int64]) -> bool:
    """Whether the ids are consecutive and ascending, so that one read fetches them."""
    n = len(ids)
    return n == 1 or bool(ids[-1] - ids[0] == n - 1 and (np.diff(ids) == 1).all())
