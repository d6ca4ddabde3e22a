"""One writer and many readers: commits, locks, processes and threads."""

import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier, Event, Thread

import numpy as np
import pytest

from .. import BusyError, CorruptStoreError, Store
from .._catalog import MAX_OPEN_PARTS
from .._files import MOST_MAPS
from .children import in_child, read_all
from .samples import (
    Image,
    assert_image,
    assert_records,
    labels_for,
    make,
    mixed_pictures,
    pictures,
    stores_of_each_kind,
)

pytestmark = stores_of_each_kind

IMAGE = pictures(1)[0]


# ---- commits -----------------------------------------------------------------------------------


def test_a_reader_sees_the_calls_that_had_returned_when_it_was_opened(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as before, store_class(path, "a") as writer:
        writer.store_many(images, labels)
        with store_class(path) as after:
            writer.store_single(IMAGE, 5)
            assert_records(before.read_many(), images, labels)
            assert_records(after.read_many(), [*images, *images], [*labels, *labels])
            assert (len(before), len(after), len(writer)) == (6, 12, 13)
            with pytest.raises(IndexError):
                before.read_single(6)
            for store in (before, after, writer):
                store.verify()


def large_images(then: Callable[[], object]) -> Iterator[Image]:
    """64 MiB in all, more than a store may keep in memory; `then` happens near the end."""
    for i in range(16):
        if i == 14:
            then()
        yield np.full((2048, 2048), i, np.uint8)


def test_a_call_in_flight_is_not_seen(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)

    def look() -> None:
        with store_class(path) as reader:
            assert_records(reader.read_many(), images, labels)
            np.testing.assert_array_equal(reader.labels, labels)
            reader.verify()

    with store_class(path, "a", durable=False) as writer:
        writer.store_many(large_images(look), range(16))
        with store_class(path) as reader:
            assert len(reader) == 22
            assert_image(reader.read_single(21)[0], np.full((2048, 2048), 15, np.uint8))


def test_of_a_writer_that_dies_in_a_call_only_that_call_is_lost(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)

    def die() -> None:
        with store_class(path, "a", durable=False) as writer:
            writer.store_single(IMAGE, 5)
            writer.store_many(large_images(lambda: os._exit(7)), range(16))

    with pytest.raises(ChildProcessError, match="7"):
        in_child(die)
    with store_class(path) as reader:
        assert_records(reader.read_many(), [*images, IMAGE], [*labels, 5])
    with store_class(path, "a") as writer:
        assert writer.store_single(IMAGE, 6) == 7
        assert_records(writer.read_many(), [*images, IMAGE, IMAGE], [*labels, 5, 6])
        writer.verify()
    assert not [*path.glob(".tmp-*")]


def test_readers_beside_a_writer_each_see_whole_commits(
    store_class: type[Store], path: Path
) -> None:
    """Commits of three images with one label; they go on until the writer's end of the pipe closes."""
    store_class(path, "x").close()
    reading, writing = os.pipe()

    def write() -> int:
        os.close(reading)
        with store_class(path, "a", durable=False) as writer:
            for commit in range(60):
                writer.store_many(np.full((3, 8, 8), commit, np.uint8), [commit] * 3)
                if commit % 20 == 19:
                    writer.compact()
            return len(writer)

    def read() -> int:
        with store_class(path) as reader:
            n = len(reader)
            assert n % 3 == 0
            expected = np.repeat(np.arange(n // 3), 3)
            np.testing.assert_array_equal(reader.labels, expected)
            if n:
                images, labels = reader.read_many(np.arange(n)[::-1])
                np.testing.assert_array_equal(labels, expected[::-1])
                assert isinstance(images, np.ndarray)
                np.testing.assert_array_equal(images[:, 7, 7], expected[::-1])
        return n

    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(in_child, write)
        os.close(writing)
        os.set_blocking(reading, False)
        seen = [read()]
        while not child.done():
            seen.append(read())
        assert child.result() == 180
    os.close(reading)
    assert seen == sorted(seen)
    assert read() == 180


# ---- one writer --------------------------------------------------------------------------------


def refused(store_class: type[Store], path: Path) -> str:
    with pytest.raises(BusyError) as caught:
        store_class(path, "a")
    return str(caught.value)


def test_a_second_writer_is_refused_at_once(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as writer:
        assert str(path) in refused(store_class, path)
        assert str(path) in in_child(lambda: refused(store_class, path))
        writer.store_single(IMAGE, 1)
    with store_class(path, "a") as writer:
        assert writer.store_single(IMAGE, 2) == 1
        assert refused(store_class, path)


def test_a_writers_lock_does_not_outlive_it(store_class: type[Store], path: Path) -> None:
    store_class(path, "x").close()

    def die() -> None:
        store_class(path, "a").store_single(IMAGE, 1)
        os._exit(9)

    with pytest.raises(ChildProcessError, match="9"):
        in_child(die)
    with store_class(path, "a") as writer:
        assert len(writer) == 1


def test_a_forked_child_does_not_keep_the_parents_lock(
    store_class: type[Store], path: Path
) -> None:
    """The child lives on while the parent closes the store and opens it again."""
    go_reading, go_writing = os.pipe()
    writer = store_class(path, "x")

    def wait() -> bytes:
        os.close(go_writing)
        return os.read(go_reading, 1)

    def reopen() -> None:
        os.read(forked_reading, 1)
        writer.close()
        with store_class(path, "a") as again:
            again.store_single(IMAGE, 1)

    forked_reading, forked_writing = os.pipe()

    def child() -> bytes:
        os.write(forked_writing, b"f")
        return wait()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(in_child, child)
        reopen()
        os.write(go_writing, b"g")
        assert waiting.result() == b"g"
    for descriptor in (go_reading, go_writing, forked_reading, forked_writing):
        os.close(descriptor)
    assert len(store_class(path)) == 1


def test_a_forked_child_may_not_write_through_the_parents_store(
    store_class: type[Store], path: Path
) -> None:
    def misuse() -> None:
        with pytest.raises(BusyError, match="mode='r'"):
            writer.store_single(IMAGE, 1)
        writer.close()

    with store_class(path, "x") as writer:
        in_child(misuse)
        writer.store_single(IMAGE, 1)
        assert refused(store_class, path)
    with store_class(path) as reader:
        assert_records(reader.read_many(), [IMAGE], [1])


def test_images_that_store_images_themselves_are_refused(
    store_class: type[Store], path: Path
) -> None:
    def nested() -> Iterator[Image]:
        writer.store_single(IMAGE, 7)
        yield IMAGE

    with store_class(path, "x") as writer:
        with pytest.raises(BusyError):
            writer.store_many(nested(), [1])
        assert writer.store_single(IMAGE, 2) == 0
        assert_records(writer.read_many(), [IMAGE], [2])


# ---- other processes ---------------------------------------------------------------------------


def test_a_reader_can_be_pickled_for_a_spawned_process(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as reader, store_class(path, "a") as writer:
        writer.store_single(IMAGE, 5)  # the copies see what the original sees
        copy = pickle.loads(pickle.dumps(reader))
        assert_records(copy.read_many(), images, labels)
        copy.close()
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found_images, found_labels = pool.submit(read_all, reader).result()
        np.testing.assert_array_equal(found_images, images)
        np.testing.assert_array_equal(found_labels, labels)
        assert_records(reader.read_many(), images, labels)


def test_pickling_keeps_whether_checks_are_made(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    for verify in (True, False):
        with store_class(path, verify=verify) as reader:
            assert pickle.loads(pickle.dumps(reader))._check is verify


def test_a_writer_cannot_be_pickled(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as writer, pytest.raises(TypeError, match="mode='r'"):
        pickle.dumps(writer)


def test_a_pickled_reader_of_a_store_that_was_replaced_is_refused(
    store_class: type[Store], path: Path, tmp_path: Path
) -> None:
    make(store_class, path)
    with store_class(path) as reader:
        pickled = pickle.dumps(reader)
    path.rename(tmp_path / "old")
    make(store_class, path, n=2)
    with pytest.raises(CorruptStoreError, match="replaced"):
        pickle.loads(pickled).read_single(0)


def test_a_reader_can_be_used_after_a_fork(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    order = [5, 0, 2, 2, 1, 4, 3, 0, 5, 1]

    def read() -> None:
        for _ in range(20):
            assert_records(reader.read_many(), images, labels)
            assert_records(reader.read_many(order), images[order], labels[order])
            assert_image(reader.read_single(3)[0], images[3])
        reader.close()

    with store_class(path) as reader:
        assert_records(reader.read_many(), images, labels)
        with ThreadPoolExecutor(3) as pool:
            children = [pool.submit(in_child, read) for _ in range(3)]
            read_here = [reader.read_many(order) for _ in range(20)]
            for child in children:
                child.result()
        for found in read_here:
            assert_records(found, images[order], labels[order])


def test_a_fork_while_another_thread_reads_does_not_lock_the_child_up(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)
    held, done = Event(), Event()
    with store_class(path) as reader:

        def hold() -> None:
            with reader._mutex:  # as for a moment in the middle of a read
                held.set()
                done.wait()

        thread = Thread(target=hold)
        thread.start()
        held.wait()
        try:
            found = in_child(reader.read_many)
        finally:
            done.set()
            thread.join()
        assert_records(found, images, labels)


# ---- threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("open_parts", "maps"), [(3, 9), (MAX_OPEN_PARTS, MOST_MAPS)])
@pytest.mark.parametrize("images", [pictures(40), mixed_pictures() * 5], ids=["same", "mixed"])
def test_threads_may_share_a_reader(
    store_class: type[Store],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: list[Image],
    open_parts: int,
    maps: int,
) -> None:
    """The store has ten parts, which stay open and mapped, or are closed again and again."""
    monkeypatch.setattr("storage._catalog.MAX_OPEN_PARTS", open_parts)
    monkeypatch.setattr("storage._files.MOST_MAPS", maps)
    labels = labels_for(40)
    with store_class(path, "x", durable=False) as writer:
        for start in range(0, 40, 4):
            writer.store_many([*images[start : start + 4]], labels[start : start + 4])
    together = Barrier(4)

    def read(seed: int) -> None:
        order = np.random.default_rng(seed).integers(0, 40, 30)
        together.wait()
        for _ in range(10):
            assert_records(
                reader.read_many(order), [images[i] for i in order.tolist()], labels[order]
            )
            assert_image(reader.read_single(seed)[0], images[seed])
            np.testing.assert_array_equal(reader.labels, labels)

    with store_class(path) as reader, ThreadPoolExecutor(4) as pool:
        for outcome in [pool.submit(read, seed) for seed in range(4)]:
            outcome.result()


def test_threads_may_store_and_read_through_one_writer(
    store_class: type[Store], path: Path
) -> None:
    together = Barrier(4)

    def store(thread: int) -> None:
        together.wait()
        for i in range(10):
            label = 100 * thread + i
            images = np.full((2, 3, 3), label % 251, np.uint8)
            ids = writer.store_many(images, [label, -label])
            assert_records(writer.read_many(ids), images, [label, -label])

    with store_class(path, "x", durable=False) as writer:
        with ThreadPoolExecutor(4) as pool:
            for outcome in [pool.submit(store, thread) for thread in range(4)]:
                outcome.result()
        labels = writer.labels
        assert sorted(labels[::2].tolist()) == sorted(
            100 * t + i for t in range(4) for i in range(10)
        )
        np.testing.assert_array_equal(labels[1::2], -labels[::2])
        writer.verify()
