"""A reader that may not write, beside a writer: another user, or one who sees a read-only mount."""

import mmap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from .. import Store, open_store
from .children import in_child
from .disks import read_only_view
from .samples import Image, stores_of_each_kind
from .users import become, require_root

pytestmark = stores_of_each_kind

AT_ONCE, ONE_BY_ONE = 3_000, 300
"""How many images the writer stores in one call, and then in as many."""
PAUSES = 10
"""How often the writer waits for the reader to look; a fast writer would be done before."""

Reader = tuple[Path, Callable[[], None]]
"""Where it finds the store, and what it does before it reads."""


def images_of(ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Image:
    pixels = np.repeat(ids % 251, 12).astype(np.uint8)
    return pixels.reshape(len(ids), 2, 2, 3)


@pytest.fixture(params=["another user", "a read-only mount"])
def reader(request: pytest.FixtureRequest, public_folder: Path) -> Iterator[Reader]:
    if request.param == "another user":
        require_root()
        yield public_folder, become
    else:
        view = public_folder.with_name(public_folder.name + "-view")
        try:
            with read_only_view(public_folder, view):
                yield view, lambda: None
        finally:
            view.rmdir()


def test_it_sees_whole_commits_and_lives(
    store_class: type[Store], public_folder: Path, reader: Reader
) -> None:
    """It opens the store again and again, and keeps one that it opened at the beginning."""
    folder, begin = reader
    ended, looks = mmap.mmap(-1, 1), np.frombuffer(mmap.mmap(-1, 8), np.int64)

    def write() -> None:
        with store_class(public_folder / "store", "a", durable=False) as writer:
            await_look()
            store_next(writer, AT_ONCE)
            for number in range(ONE_BY_ONE):
                if number % (ONE_BY_ONE // PAUSES) == 0:
                    await_look()
                store_next(writer, 1)

    def await_look() -> None:
        before = looks[0]
        while looks[0] == before and not reading.done():
            time.sleep(0.001)

    def read() -> int:
        begin()
        random = np.random.default_rng(0)
        with open_store(folder / "store") as first:
            assert len(first) == 1
            while not ended[0]:
                with open_store(folder / "store") as store:
                    look(store, random)
                look(first, random)
                looks[0] += 1
            assert len(first) == 1
            first.verify()
        with open_store(folder / "store") as store:
            store.verify()
            return len(store)

    with store_class(public_folder / "store", "x") as writer:
        store_next(writer, 1)
        look(writer, np.random.default_rng(0))  # what is imported at first use is, by root
        writer.verify()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(in_child, read)
        try:
            write()
        finally:
            ended[0] = 1
        assert reading.result() == 1 + AT_ONCE + ONE_BY_ONE
    assert looks[0] > PAUSES


def store_next(writer: Store, n: int) -> None:
    ids = np.arange(len(writer), len(writer) + n)
    writer.store_many(images_of(ids), ids)


def look(store: Store, random: np.random.Generator) -> None:
    n = len(store)
    assert n == 1 or n > AT_ONCE
    np.testing.assert_array_equal(store.labels, np.arange(n))
    ids = random.integers(0, n, 6)
    images, labels = store.read_many(ids)
    np.testing.assert_array_equal(labels, ids)
    np.testing.assert_array_equal(np.asarray(images), images_of(ids))
