"""Ids from the end, slices, and batch after batch."""

import tracemalloc
from collections.abc import Iterator
from itertools import chain, combinations
from operator import methodcaller
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from .. import ImageIdError, ImageIdTypeError, Store
from .samples import (
    Image,
    Labels,
    assert_image,
    assert_records,
    each_store,
    labels_for,
    make,
    mixed_pictures,
    pictures,
)

pytestmark = each_store

N = 7


def batches(store: Store, n: object) -> Iterator[tuple[Image | list[Image], Labels]]:
    return cast(
        Iterator[tuple[Image | list[Image], Labels]], methodcaller("iter_batches", n)(store)
    )


# ---- ids from the end ----------------------------------------------------------------------------


def test_a_negative_index_counts_from_the_end(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path, N)
    with store_class(path) as store:
        for i in range(-N, N):
            for index in (i, cast(int, np.int64(i))):
                image, label = store[index]
                assert_image(image, images[i])
                assert label == labels[i]


@pytest.mark.parametrize("index", [N, -N - 1, 10**30, -(10**30)])
def test_an_index_beyond_either_end_is_an_index_error(
    store_class: type[Store], path: Path, index: int
) -> None:
    make(store_class, path, N)
    with store_class(path) as store:
        with pytest.raises(IndexError, match=str(path)) as caught:
            store[index]
        assert isinstance(caught.value, ImageIdError)


def test_an_empty_store_has_no_last_image(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        with pytest.raises(ImageIdError):
            store[-1]
        assert len(store[-2:][0]) == 0


@pytest.mark.parametrize("index", [True, 1.0, "1", None, -1.0])
def test_an_index_that_is_no_integer_is_a_type_error(
    store_class: type[Store], path: Path, index: int
) -> None:
    make(store_class, path, N)
    with store_class(path) as store, pytest.raises(ImageIdTypeError):
        store[index]


def test_slices_are_those_of_a_list(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path, N)
    ends = [None, -N - 3, -N, -2, -1, 0, 3, N, N + 3]
    with store_class(path) as store:
        for start in ends:
            for stop in ends:
                for step in (None, 2, -1, -3):
                    key = slice(start, stop, step)
                    found_images, found_labels = store[key]
                    np.testing.assert_array_equal(found_labels, labels[key], strict=True)
                    if len(labels[key]):
                        np.testing.assert_array_equal(found_images, images[key], strict=True)
                    else:
                        assert len(found_images) == 0


def test_reading_by_id_does_not_count_from_the_end(store_class: type[Store], path: Path) -> None:
    """An id is one of those that storing returned."""
    make(store_class, path, N)
    with store_class(path) as store:
        for call in (lambda: store.read_single(-1), lambda: store.read_many([0, -1])):
            with pytest.raises(ImageIdError):
                call()


# ---- batch after batch ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, N - 1, N, N + 1, 10**12, np.int64(3), np.uint8(2)])
def test_batches_are_slices_of_so_many_images(store_class: type[Store], path: Path, n: int) -> None:
    """The last has what is left."""
    images, labels = make(store_class, path, N)
    with store_class(path) as store:
        found = list(batches(store, n))
        assert len(found) == -(-N // int(n))
        for start, batch in zip(range(0, N, int(n)), found, strict=True):
            stop = min(start + int(n), N)
            assert_records(batch, images[start:stop], labels[start:stop])


def test_batches_of_several_shapes_are_lists(store_class: type[Store], path: Path) -> None:
    """And arrays where all of a batch are equal, as `read_many` gives them."""
    images = [*mixed_pictures(), *pictures(4)]
    with store_class(path, "x") as store:
        store.store_many(images, labels_for(12))
        found = list(batches(store, 4))
        assert [type(batch) for batch, _ in found] == [list, list, np.ndarray]
        for i, batch in enumerate(found):
            assert_records(batch, images[4 * i : 4 * i + 4], labels_for(12)[4 * i : 4 * i + 4])


def test_an_empty_store_has_no_batches(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        assert list(batches(store, 4)) == []


@pytest.mark.parametrize("n", [0, -1, -(10**12)])
def test_batches_of_less_than_one_image_are_refused(
    store_class: type[Store], path: Path, n: int
) -> None:
    make(store_class, path, N)
    with store_class(path) as store, pytest.raises(ValueError, match=str(n)):
        next(batches(store, n))


@pytest.mark.parametrize("n", [2.0, "2", None, True, [2]])
def test_a_number_that_is_no_integer_is_refused(
    store_class: type[Store], path: Path, n: object
) -> None:
    make(store_class, path, N)
    with store_class(path) as store, pytest.raises((TypeError, ValueError), match="integer"):
        next(batches(store, n))


def test_a_number_is_refused_before_the_first_batch_is_asked_for(
    store_class: type[Store], path: Path
) -> None:
    """Where the mistake is, and not where a loop begins."""
    make(store_class, path, N)
    with store_class(path) as store, pytest.raises(ValueError, match="0"):
        batches(store, 0)


def test_batches_are_read_as_they_are_asked_for(store_class: type[Store], path: Path) -> None:
    """A store larger than memory can be gone through."""
    images = pictures(64, (256, 256))
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(64))
    with store_class(path) as store:
        for _ in batches(store, 32):
            break  # what is imported or kept at the first use is not counted
        tracemalloc.start()
        try:
            seen = 0
            for found_images, labels in batches(store, 4):
                assert labels.tolist() == list(range(seen, seen + 4))
                np.testing.assert_array_equal(found_images, images[seen : seen + 4])
                seen += 4
                del found_images
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen == 64
    assert peak < images.nbytes // 2


def test_batches_of_a_writer_are_those_that_it_had_at_first(
    store_class: type[Store], path: Path
) -> None:
    """What is stored meanwhile does not change what was begun."""
    images, labels = make(store_class, path, N)
    with store_class(path, "a") as store:
        found = []
        for batch in batches(store, 3):
            found.append(batch)
            store.store_single(images[0], 1)
        assert len(found) == 3
        assert [*chain.from_iterable(labels.tolist() for _, labels in found)] == labels.tolist()


def test_each_array_of_a_batch_is_the_callers_own(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path, N)
    with store_class(path) as store:
        for found_images, found_labels in batches(store, 3):
            for image in found_images:
                image[:] = 0
            found_labels[:] = 0
        assert_records(store.read_many(), images, labels)


# ---- in a random order, and from the middle on ---------------------------------------------------

SHUFFLED = {0: [6, 2, 1, 3, 0, 5, 4], 7: [2, 5, 0, 6, 3, 1, 4], 2**32 - 1: [1, 5, 0, 6, 4, 2, 3]}
"""The orders of N images by seed, as they were when this was written."""


@pytest.mark.parametrize("seed", SHUFFLED)
def test_a_seed_gives_the_same_order_in_every_store(
    store_class: type[Store], path: Path, seed: int
) -> None:
    images, labels = make(store_class, path, N)
    order = SHUFFLED[seed]
    for _ in range(2):
        with store_class(path) as store:
            found = [*store.iter_batches(3, shuffle=seed)]
        for start, batch in zip((0, 3, 6), found, strict=True):
            ids = order[start : start + 3]
            assert_records(batch, images[ids], labels[ids])
    with store_class(path) as store:
        found = [*store.iter_batches(N, shuffle=np.int64(seed))]  # type: ignore[arg-type]  # an integer, too
        assert_records(found[0], images[order], labels[order])


@pytest.mark.parametrize("shuffle", [None, 7])
@pytest.mark.parametrize("start", [0, 1, 3, N - 1, np.int64(N)])
def test_batches_begin_with_any_image_of_an_order(
    store_class: type[Store], path: Path, shuffle: int | None, start: int
) -> None:
    """Which need not be the first of a batch: a later run may have batches of another size."""
    images, labels = make(store_class, path, N)
    order = ([*range(N)] if shuffle is None else SHUFFLED[shuffle])[start:]
    with store_class(path) as store:
        found = [*store.iter_batches(2, shuffle=shuffle, start=start)]
        assert len(found) == -(-len(order) // 2)
        for i, batch in enumerate(found):
            ids = order[2 * i : 2 * i + 2]
            assert_records(batch, images[ids], labels[ids])


@pytest.mark.parametrize(
    "wrong",
    [{"start": N + 1}, {"start": -1}, {"start": 1.0}, {"start": True}]
    + [{"shuffle": seed} for seed in (-1, 2**32, 1.0, True, "7")],
)
def test_an_order_or_a_start_that_there_is_not_is_refused(
    store_class: type[Store], path: Path, wrong: dict[str, int]
) -> None:
    make(store_class, path, N)
    ((name, value),) = wrong.items()
    with store_class(path) as store, pytest.raises(ValueError, match=f"{name}={value!r}; give"):
        store.iter_batches(2, **wrong)


def test_a_shuffled_writer_goes_through_what_it_had_at_first(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path, N)
    with store_class(path, "a") as store:
        found = []
        for _, some in store.iter_batches(3, shuffle=7):
            found += some.tolist()
            store.store_single(images[0], 1)
    assert found == labels[SHUFFLED[7]].tolist()


# ---- the memory of a batch -----------------------------------------------------------------------


def test_images_of_several_shapes_share_blocks_of_memory_but_no_byte(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the system would give each its memory in small pages; one that is kept keeps few others."""
    monkeypatch.setattr("storage.payloads.base.BLOCK_BYTES", block := 40_000)
    sides = (30, 100, 40, 60, 50, 70, 20, 90)
    images = [pictures(1, (side, 80, 3), seed=side)[0] for side in sides]
    with store_class(path, "x") as store:
        store.store_many(images, range(len(images)))
        for ids in ([*range(len(images))], [5, 0, 2, 7, 7]):
            found, _ = store.read_many(ids)
            for image, i in zip(found, ids, strict=True):
                assert_image(image, images[i])
            owners = [image if image.base is None else image.base for image in found]
            assert max(owner.nbytes for owner in owners) < block + max(map(np.size, images))
            if not store.payload.sums_cells:  # those files are PNG, to which Pillow gives memory
                assert len({*map(id, owners)}) < len(found)
            for one, other in combinations(found, 2):
                assert not np.shares_memory(one, other)
            for image in found:
                image[:] = 0
            assert_records(store.read_many(), images, range(len(images)))
