"""What a store must hold, told by its length alone: image and label follow from the id.

So a process that was killed need not have said what it stored, nor the one that looks be told.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import cast

import numpy as np

from .. import Store
from .samples import SHAPES, Image, Labels, pictures

PERIOD = 16
"""The length of a run of images: one run has one shape, the next has shapes that differ."""


@cache
def image_of(image_id: int) -> Image:
    same = image_id // PERIOD % 2 == 0
    (image,) = pictures(1, (8, 8, 3) if same else SHAPES[image_id % len(SHAPES)], seed=image_id)
    return cast(Image, image)


def label_of(image_id: int) -> int:
    return image_id * (2**40 + 1) - 5


def append(store: Store, n: int) -> None:
    """Store the next `n` images in one call."""
    ids = range(len(store), len(store) + n)
    if n == 1:
        store.store_single(image_of(ids[0]), label_of(ids[0]))
    else:
        store.store_many([image_of(i) for i in ids], [label_of(i) for i in ids])


def append_stream(store: Store, n: int) -> None:
    """Store the next `n` images in one call that is given an iterator."""
    ids = range(len(store), len(store) + n)
    store.store_many((image_of(i) for i in ids), [label_of(i) for i in ids])


def are_right(
    found: tuple[Image | list[Image], Labels | list[int]], ids: Sequence[int] | range
) -> bool:
    """Whether images and labels are those of `ids`, in that order."""
    images, labels = found
    return (
        list(labels) == [label_of(i) for i in ids]
        and len(images) == len(ids)
        and all(map(np.array_equal, images, map(image_of, ids)))
    )


def readings(store: Store) -> Iterator[Callable[[], bool]]:
    """Every way to read: whether what it gives is right."""
    everything = range(len(store))
    order = np.random.default_rng(len(store)).integers(0, max(1, len(store)), 3 * len(store))
    yield lambda: are_right(store.read_many(), everything)
    yield lambda: are_right(store.read_many(order), order.tolist())
    yield lambda: are_right((list(map(image_of, everything)), store.labels), everything)
    for i in everything:
        yield lambda i=i: are_right(([store[i][0]], [store[i][1]]), [i])  # type: ignore[misc]  # no default in mypy's view


def is_right(store: Store) -> bool:
    """Whether all that the store holds is right, however it is read."""
    return all(reading() for reading in readings(store))
