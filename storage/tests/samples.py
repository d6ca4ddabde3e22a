"""What the tests of the stores share: the registry as a parameter, images, looks at a directory."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from .. import STORES, Store

Image: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]

each_store = pytest.mark.parametrize("store_class", STORES.values(), ids=STORES)
"""A test, or with `pytestmark` a module of tests, runs once for each store of the registry."""

stores_of_each_kind = pytest.mark.stores_of_each_kind
"""Tests that take long run in a usual run for a store of each container and of each payload only, and
for all stores in the full trials."""


def kinds() -> dict[str, type[Store]]:
    """The first stores that have their container or their payload.

    Those of one file come first: they are read in more ways.
    """
    found, seen = dict[str, type[Store]](), set[type]()
    for name, store_class in sorted(STORES.items(), key=lambda each: not each[1].container.file):
        kind = {type(store_class.container), type(store_class.payload)}
        if not kind <= seen:
            found[name] = store_class
            seen |= kind
    return found


INT64_LIMITS = (-(2**63), 2**63 - 1)

SHAPES = [(1, 1), (7, 3), (7, 3, 1), (3, 7, 2), (5, 5, 3), (2, 9, 4), (1, 300), (300, 1, 3)]
"""Both kinds of single channel, each number of channels, lines and columns."""


def pictures(n: int, shape: tuple[int, ...] = (5, 4, 3), seed: int = 0) -> Image:
    """`n` different images of noise, (n, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def labels_for(n: int) -> Labels:
    """`n` different labels, some negative and the last two the largest and smallest."""
    labels = np.arange(n, dtype=np.int64) * 7 - 11
    labels[-2:] = INT64_LIMITS[-len(labels[-2:]) :]
    return labels


def mixed_pictures(seed: int = 0) -> list[Image]:
    """An image of each shape of `SHAPES`."""
    return [pictures(1, shape, seed + i)[0] for i, shape in enumerate(SHAPES)]


def make(
    store_class: type[Store], path: Path, n: int = 6, shape: tuple[int, ...] = (5, 4, 3)
) -> tuple[Image, Labels]:
    """Create a store of `n` images in two commits and close it; return what it holds."""
    images, labels = pictures(n, shape), labels_for(n)
    with store_class(path, "x", durable=False) as store:
        store.store_many(images[: n // 2], labels[: n // 2])
        store.store_many(images[n // 2 :], labels[n // 2 :])
    return images, labels


def assert_image(found: object, expected: Image) -> None:
    """Same pixels, shape and dtype, in an array that is the caller's own."""
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert found.flags.writeable


def assert_records(
    found: tuple[Image | list[Image], Labels],
    images: Sequence[Image] | Image,
    labels: Iterable[int],
) -> None:
    """What `read_many` returned is these records: one array if the shapes are equal, else a list."""
    found_images, found_labels = found
    np.testing.assert_array_equal(found_labels, np.array([*labels], np.int64), strict=True)
    assert len(found_images) == len(images) == len(found_labels)
    one_shape = len({image.shape for image in images}) == 1
    assert isinstance(found_images, np.ndarray if one_shape else list)
    for image, expected in zip(found_images, images, strict=True):
        assert_image(image, expected)


def contents(folder: Path) -> dict[str, str]:
    """Every file below `folder` with a digest of its bytes, and every folder."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def tree(folder: Path) -> list[str]:
    """The names of everything below `folder`."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
