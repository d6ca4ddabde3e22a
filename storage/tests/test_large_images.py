"""An image of any size is stored and read back, or refused with the limit that it exceeds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .. import ShapeError, Store
from .samples import Image, assert_image, assert_records, contents, make, stores_of_each_kind
from .trials import Trials

pytestmark = stores_of_each_kind

LARGE = [(1, 12_000_000), (3_000_000, 1)]
LARGER = [
    (1, 70_000_000),
    (9_000_000, 2, 4),
    (1, 300_000_000),
    (300_000_000, 1),
    (1, 90_000_000, 4),
    (20_000, 20_000, 3),
]
"""In the full trials."""
LARGEST = (66_000, 66_000)
"""More than LMDB keeps as one value, and than 32 bits can number."""
GIB = 2**30
TIMES = 5
"""A process may take this many times the memory of its image."""
PIECE = 2**24
MARKS = 1_000
"""This many pixels of each image are not black, at places that differ."""


def test_a_large_image_is_stored_and_read_back_or_refused(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    for shape in (*LARGE, *LARGER) if trials.full else LARGE:
        assert_stored_or_refused(store_class, path, shape)
        shutil.rmtree(path)


def test_one_of_more_than_four_gibibytes_too(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    """In a process of its own, whose memory has a limit, so that nobody else runs out of it."""
    size = int(np.prod(LARGEST))
    if not trials.full:
        pytest.skip(f"an image of {size:,} bytes is for the full trials")
    if free_memory() < TIMES * size:
        pytest.skip(f"an image of {size:,} bytes takes {TIMES * size / GIB:.0f} GiB of memory")
    if shutil.disk_usage(path.parent).free < 2 * size:
        pytest.skip(f"an image of {size:,} bytes takes {2 * size / GIB:.0f} GiB of the disk")
    command = [sys.executable, "-c", USE, store_class.format, str(path), *map(str, LARGEST)]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    shutil.rmtree(path)
    assert ended.returncode == 0, ended.stderr


USE = """
import resource, sys
from math import prod
from pathlib import Path
from storage import STORES
from storage.tests.test_large_images import TIMES, assert_stored_or_refused
name, path, *shape = sys.argv[1:]
most = TIMES * prod(map(int, shape))
resource.setrlimit(resource.RLIMIT_AS, (most, most))
assert_stored_or_refused(STORES[name], Path(path), tuple(map(int, shape)))
"""


def free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def assert_same_pixels(found: Image, expected: Image) -> None:
    """As `assert_image`, whose masks take several times as much memory again."""
    assert found.shape == expected.shape
    assert found.flags.writeable
    found, expected = found.reshape(-1), expected.reshape(-1)
    for i in range(0, found.size, PIECE):
        assert np.array_equal(found[i : i + PIECE], expected[i : i + PIECE])


def assert_stored_or_refused(store_class: type[Store], path: Path, shape: tuple[int, ...]) -> None:
    """It is given by itself and in a call with another; if it is refused, nothing is stored."""
    images, labels = make(store_class, path)
    image = np.zeros(shape, np.uint8)  # which takes memory only where it is written
    places = np.random.default_rng(0).integers(0, image.size, MARKS)
    image.reshape(-1)[places] = np.arange(MARKS) % 255 + 1
    with store_class(path, "a", durable=False) as store:
        before = contents(path)
        try:
            assert store.store_single(image, 7) == 6
        except ShapeError as error:
            assert re.search(r"\d", str(error).removeprefix(str(path)))  # noqa: PT017  # it may be stored
            assert contents(path) == before
            with pytest.raises(ShapeError):
                store.store_many([images[0], image], [1, 2])
            with pytest.raises(ShapeError):
                store.store_many(iter([images[0], image]), [1, 2])
            assert contents(path) == before
        assert store.store_single(images[0], 8) in (6, 7)
    with store_class(path) as store:
        if len(store) == 8:
            found, label = store.read_single(6)
            assert label == 7
            assert_same_pixels(found, image)
            del found
            store.verify()
        last, label = store[len(store) - 1]
        assert_image(last, images[0])
        assert_records(store.read_many(range(6)), images, labels)
