"""What one call stores: the images and labels are checked, then read once, slab by slab."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import chain, groupby, islice
from math import prod
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from ._checksum import Image, Labels, Rows, Shape
from ._errors import DTypeError, LengthError, ShapeError
from ._ids import PLAIN, check_labels

CheckShape: TypeAlias = Callable[[Shape], None]

Item = TypeVar("Item")
Slab = TypeVar("Slab", bound=Sized)

SLAB_BYTES = 8 * 2**20
"""Bytes of pixels in a slab: enough to amortise Python's work, few enough for the CPU's cache."""

MAX_SLAB_LENGTH = 2**16
"""The most images in a slab: the objects of tiny images take more memory than their pixels."""
MAX_CHANNELS = 4
MAX_SIDE = 2**32 - 1


class GivenError(Exception):
    """An OSError that the caller's iterable raised, not the store."""


class Batch(NamedTuple):
    """The checked records of one commit; its images, in slabs of one shape, can be read once."""

    labels: Labels
    slabs: Iterator[Image]


def numbered(
    slabs: Iterable[Slab], first: int, labels: Labels, what: str
) -> Iterator[tuple[Slab, Rows, Labels]]:
    """Yield slabs, their ids, from `first` on, and labels.

    Raises `LengthError` unless there is one label for each.

    what: each image or file, in messages
    """
    done = 0
    for slab in slabs:
        n = len(slab)
        if done + n > len(labels):
            text = f"more {what}s than {len(labels)} labels"
            raise LengthError(f"{text}; give one label per {what}")
        yield slab, np.arange(first + done, first + done + n), labels[done : done + n]
        done += n
    _same_length(done, len(labels), what)


def slab_length(shape: Shape) -> int:
    return min(MAX_SLAB_LENGTH, max(1, SLAB_BYTES // prod(shape)))


def make_batch(images: object, labels: object, check_store: CheckShape) -> Batch:
    """Check everything that can be checked before the first byte is written.

    images: an array (N, H, W[, C]), a list or tuple of images, or another iterable of images, whose
        images are checked as they are read
    check_store: raises `ShapeError` for a shape that the store cannot hold

    Raises `DTypeError`, `ShapeError`, `LabelError`, `LengthError`.
    """
    checked = check_labels(labels)
    n = len(checked)
    if isinstance(images, np.ndarray):
        check_pixels(images, "images are", check_store, images.shape[1:])
        _same_length(len(images), n)
        return Batch(checked, _slices(images))
    if not isinstance(images, Iterable) or isinstance(images, str | bytes):
        raise DTypeError(f"images are a {type(images).__name__}; give an array or a sequence")
    if isinstance(images, Sequence):
        _same_length(len(images), n)
    numbered = enumerate(given(images))
    every = (check_pixels(image, f"image {i} is", check_store) for i, image in numbered)
    if not isinstance(images, list | tuple):
        return Batch(checked, stacked(every, n))
    held = [*every]  # a copy, since the caller may change the list after the check
    return Batch(checked, _slices(held[0][np.newaxis]) if n == 1 else stacked(held, n))


def given(images: Iterable[Item]) -> Iterator[Item]:
    """What the caller gives; an OSError in making it becomes a `GivenError`."""
    try:
        # `yield from` would close the caller's generator together with this one.
        for image in images:  # noqa: UP028
            yield image
    except OSError as error:
        raise GivenError(error) from error


def _same_length(n: int, labels: int, what: str = "image") -> None:
    if n != labels:
        raise LengthError(f"{n} {what}s but {labels} labels; give one label per {what}")


def _slices(images: Image) -> Iterator[Image]:
    step = slab_length(images.shape[1:])
    return (np.ascontiguousarray(images[i : i + step]) for i in range(0, len(images), step))


def stacked(images: Iterable[Image], most: int) -> Iterator[Image]:
    """Stack neighbours of one shape, in arrays of at most a slab and at most `most` images."""
    for shape, run in groupby(images, key=lambda image: image.shape):
        length = min(slab_length(shape), most)
        for first in run:
            slab, n = np.empty((length, *shape), np.uint8), 0
            for n, image in enumerate(chain([first], islice(run, length - 1)), 1):
                slab[n - 1] = image  # at once, so that no other copy is kept
            yield slab[:n]
            del slab


def check_pixels(
    array: object, what: str, check_store: CheckShape, shape: Shape | None = None
) -> Image:
    """Return `array`, one image or images of `shape`, if storable; messages begin with `what`."""
    if not isinstance(array, np.ndarray) or type(array) not in PLAIN:
        raise DTypeError(f"{what} a {type(array).__name__}; give a plain NumPy array of uint8")
    if array.dtype != np.uint8:
        advice = "convert to uint8 yourself, to choose the rounding"
        raise DTypeError(f"{what} of dtype {array.dtype}; {advice}")
    shape = array.shape if shape is None else shape
    check_shape(shape, what)
    check_store(shape)
    return array


def check_shape(shape: Shape, what: str) -> None:
    """Raise `ShapeError` if no image can have this shape."""
    sides, channels = shape[:2], shape[2:] or (1,)
    fits = len(shape) in (2, 3) and 1 <= min(sides) <= max(sides) <= MAX_SIDE
    if not fits or not 1 <= channels[0] <= MAX_CHANNELS:
        advice = f"give (H, W) or (H, W, C) with H and W from 1 to {MAX_SIDE} and C from 1 to 4"
        raise ShapeError(f"{what} of shape {shape}; {advice}")
