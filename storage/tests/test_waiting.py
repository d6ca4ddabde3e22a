"""Threads that read without a pause keep nobody else waiting."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from .. import ClosedError, Store
from .children import in_child
from .samples import assert_records, labels_for, make, pictures, stores_of_each_kind

pytestmark = stores_of_each_kind

READERS = 4
MOST_SECONDS = 10
"""What takes a few milliseconds alone may take this long beside the readers, and other tests."""
TIMES = 2


@contextmanager
def reading(store: Store) -> Iterator[list[BaseException]]:
    """Threads that read the store all the while, and what went wrong in them."""
    ended = Event()
    errors: list[BaseException] = []

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            while not ended.is_set():
                store.read_many(random.integers(0, 6, 5))
                store.read_single(seed % 6)
        except BaseException as error:  # told where it is waited for
            errors.append(error)

    threads = [Thread(target=read, args=(seed,), daemon=True) for seed in range(READERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    try:
        yield errors
    finally:
        ended.set()
        for thread in threads:
            thread.join(MOST_SECONDS)


def assert_soon(call: Callable[[], object]) -> None:
    begun = time.monotonic()
    call()
    assert time.monotonic() - begun < MOST_SECONDS


@pytest.fixture
def path(store_class: type[Store], tmp_path: Path) -> Path:
    make(store_class, tmp_path / "store")
    return tmp_path / "store"


def test_a_fork_waits_for_no_readers(store_class: type[Store], path: Path) -> None:
    """And the child reads on, alone."""
    images, labels = pictures(6), labels_for(6)

    def fork_beside_readers() -> None:
        with store_class(path) as store, reading(store) as errors:
            for _ in range(TIMES):
                assert_soon(
                    lambda: in_child(lambda: assert_records(store.read_many(), images, labels))
                )
        assert not errors

    in_child(fork_beside_readers)  # which is ended should it wait for ever


def test_a_writer_waits_for_no_readers(store_class: type[Store], path: Path) -> None:
    """Neither to open, nor to store, fold and compact, nor to close, in the same process."""
    image = pictures(1)[0]

    def write() -> None:
        with store_class(path, "a", durable=False) as writer:
            for label in range(20):
                writer.store_single(image, label)
            writer.compact()

    def write_beside_readers() -> None:
        with store_class(path) as store, reading(store) as errors:
            for _ in range(TIMES):
                assert_soon(write)
        assert not errors

    in_child(write_beside_readers)


def test_a_writer_waits_for_no_readers_of_its_own(store_class: type[Store], path: Path) -> None:
    """Threads that read through the object that stores."""
    image = pictures(1)[0]

    def write_beside_readers() -> None:
        with store_class(path, "a", durable=False) as writer, reading(writer) as errors:
            for label in range(20):
                assert_soon(lambda label=label: writer.store_single(image, label))  # type: ignore[misc]  # mypy cannot infer it
            assert_soon(writer.compact)
        assert not errors

    in_child(write_beside_readers)


def test_opening_and_verifying_wait_for_no_readers(store_class: type[Store], path: Path) -> None:
    def open_another() -> None:
        with store_class(path) as another:
            another.verify()
            another.read_many()

    with store_class(path) as store, reading(store) as errors:
        for call in (open_another, store.verify, lambda: store.labels):
            assert_soon(call)
    assert not errors


def test_closing_waits_for_no_readers(store_class: type[Store], path: Path) -> None:
    """Which are told so."""
    store = store_class(path)
    with reading(store) as errors:
        assert_soon(store.close)
        begun = time.monotonic()
        while len(errors) < READERS and time.monotonic() - begun < MOST_SECONDS:
            time.sleep(0.01)
    assert [type(error) for error in errors] == [ClosedError] * READERS
