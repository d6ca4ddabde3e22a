"""What is stored comes back: section by section, the promises on storing and reading."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from .. import STORES, CorruptStoreError, LengthError, Store, StoreNotFoundError
from .._catalog import MAX_OPEN_PARTS
from .._files import READ_BYTES
from .samples import (
    INT64_LIMITS,
    SHAPES,
    Image,
    assert_image,
    assert_records,
    each_store,
    labels_for,
    make,
    mixed_pictures,
    pictures,
)

pytestmark = each_store


# ---- ids -------------------------------------------------------------------------------------


def test_ids_count_from_zero_in_the_order_stored(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        assert store.store_many(pictures(3), [5, 5, 5]) == range(3)
        assert store.store_single(pictures(1)[0], 6) == 3
        assert store.store_many(pictures(2), [7, 8]) == range(4, 6)
    with store_class(path, "a") as store:
        new = store.store_single(pictures(1)[0], 9)
        assert new == 6
        assert type(new) is int
        assert len(store) == 7
        assert store.labels.tolist() == [5, 5, 5, 6, 7, 8, 9]


def test_a_new_store_is_empty_and_can_be_read(store_class: type[Store], path: Path) -> None:
    store_class(path, "x").close()
    with store_class(path) as store:
        assert len(store) == 0
        assert [*store] == []
        assert store.labels.dtype == np.int64
        assert store.labels.shape == (0,)
        images, labels = store.read_many()
        assert (len(images), len(labels)) == (0, 0)
        store.verify()


# ---- images and labels -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_image_has_the_shape_it_was_stored_with(
    store_class: type[Store], path: Path, shape: tuple[int, ...]
) -> None:
    images = pictures(4, shape)
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, [1, 2, 3, 4])
        store.store_single(images[2], 5)
    with store_class(path) as store:
        for i in range(4):
            assert_image(store.read_single(i)[0], images[i])
        assert_image(store.read_single(4)[0], images[2])
        assert_records(store.read_many(), images[[0, 1, 2, 3, 2]], [1, 2, 3, 4, 5])


def test_a_plane_and_one_channel_are_told_apart(store_class: type[Store], path: Path) -> None:
    plane = pictures(1, (6, 5))[0]
    channel = plane[:, :, np.newaxis]
    with store_class(path, "x", durable=False) as store:
        store.store_single(plane, 0)
        store.store_single(channel, 1)
        store.store_many([plane, channel, plane], [2, 3, 4])
        expected = [plane, channel, plane, channel, plane]
        assert_records(store.read_many(), [plane, channel, *expected[:3]], range(5))
        assert_records(store.read_many([4, 2]), [plane, plane], [4, 2])
        assert_records(store.read_many([3, 1]), [channel, channel], [3, 1])


def test_a_label_is_any_int64(store_class: type[Store], path: Path) -> None:
    labels = [*INT64_LIMITS, 0, -1, 1]
    with store_class(path, "x", durable=False) as store:
        store.store_many(pictures(5), labels)
        store.store_single(pictures(1)[0], INT64_LIMITS[0])
        store.store_single(pictures(1)[0], INT64_LIMITS[1])
        assert store.labels.tolist() == [*labels, *INT64_LIMITS]
        assert store.read_many()[1].tolist() == [*labels, *INT64_LIMITS]
        label = store.read_single(1)[1]
        assert label == INT64_LIMITS[1]
        assert type(label) is int


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i4", "u8", ">i8"])
def test_labels_may_be_an_array_of_any_integers(
    store_class: type[Store], path: Path, dtype: str
) -> None:
    with store_class(path, "x", durable=False) as store:
        store.store_many(pictures(3), np.array([1, 2, 100], dtype))
        store.store_single(pictures(1)[0], np.array([7], dtype)[0])
        assert store.labels.tolist() == [1, 2, 100, 7]


def test_images_of_one_shape_are_one_array_and_others_a_list(
    store_class: type[Store], path: Path
) -> None:
    mixed = mixed_pictures()
    labels = labels_for(len(mixed))
    same = pictures(3)
    with store_class(path, "x", durable=False) as store:
        store.store_many(mixed, labels)
        store.store_many(same, [1, 2, 3])
        assert_records(store.read_many(), [*mixed, *same], [*labels, 1, 2, 3])
        first = len(mixed)
        assert_records(store.read_many([first + 2, first]), same[[2, 0]], [3, 1])
        assert_records(store.read_many([first, 0]), [same[0], mixed[0]], [1, labels[0]])
        assert_records(store.read_many([2]), [mixed[2]], [labels[2]])


def test_a_sequence_of_equal_shapes_is_stored_like_an_array(
    store_class: type[Store], path: Path
) -> None:
    images = pictures(5)
    with store_class(path, "x", durable=False) as store:
        store.store_many([*images], [1, 2, 3, 4, 5])
        store.store_many(tuple(images), range(5))
        assert_records(store.read_many(), np.concatenate([images] * 2), [1, 2, 3, 4, 5, *range(5)])


def fortran(images: Image) -> Image:
    return np.asfortranarray(images)


def every_second_column(images: Image) -> Image:
    wide = np.zeros((*images.shape[:2], 2 * images.shape[2], images.shape[3]), np.uint8)
    wide[:, :, ::2] = images
    return wide[:, :, ::2]


def upside_down(images: Image) -> Image:
    return images[:, ::-1].copy()[:, ::-1]


def read_only(images: Image) -> Image:
    locked = images.copy()
    locked.flags.writeable = False
    return locked


def planar(images: Image) -> Image:
    """As CIFAR-10 has them: the channels lie behind each other."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


LAYOUTS = [fortran, every_second_column, upside_down, read_only, planar]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_an_array_lies_in_memory_does_not_matter(
    store_class: type[Store], path: Path, layout: Callable[[Image], Image]
) -> None:
    images = pictures(6, (5, 4, 3))
    given = layout(images)
    np.testing.assert_array_equal(given, images)
    with store_class(path, "x", durable=False) as store:
        store.store_many(given, range(6))
        store.store_many([*given], range(6))
        store.store_single(given[5], 5)
        assert_records(store.read_many(), [*images, *images, images[5]], [*range(6), *range(6), 5])


def test_a_memory_map_can_be_stored(store_class: type[Store], path: Path, tmp_path: Path) -> None:
    images = pictures(6)
    np.save(tmp_path / "images.npy", images)
    with store_class(path, "x", durable=False) as store:
        store.store_many(np.load(tmp_path / "images.npy", mmap_mode="r"), range(6))
        assert_records(store.read_many(), images, range(6))


# ---- iterables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [pictures(5), mixed_pictures()], ids=["same", "mixed"])
def test_an_iterable_is_stored_like_a_sequence(
    store_class: type[Store], path: Path, images: list[Image]
) -> None:
    labels = labels_for(len(images))
    with store_class(path, "x", durable=False) as store:
        assert store.store_many((image for image in images), labels) == range(len(images))
        assert_records(store.read_many(), images, labels)


def test_an_iterable_may_read_the_store_it_is_stored_in(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)
    with store_class(path, "a") as store:
        store.store_many((image for image, _ in store), store.labels)
        assert_records(store.read_many(), [*images, *images], [*labels, *labels])


def failing(n: int) -> Iterator[Image]:
    yield from pictures(n)
    raise RuntimeError("the source has failed")


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (lambda: failing(2), RuntimeError),
        (lambda: failing(0), RuntimeError),
        (lambda: iter(pictures(2)), LengthError),
        (lambda: iter(pictures(4)), LengthError),
        (lambda: iter([*pictures(2), np.zeros((2, 2), np.int16)]), TypeError),
        (lambda: iter([*pictures(2), np.zeros((2, 2, 5), np.uint8)]), ValueError),
        (lambda: iter([*pictures(1), *pictures(2, (9, 9)), *pictures(1)]), LengthError),
    ],
    ids=["fails", "fails at once", "short", "long", "dtype", "shape", "long and mixed"],
)
def test_of_an_iterable_that_fails_nothing_is_stored(
    store_class: type[Store],
    path: Path,
    images: Callable[[], Iterator[Image]],
    error: type[Exception],
) -> None:
    before, labels = make(store_class, path)
    files = {entry.name for entry in path.iterdir()}
    with store_class(path, "a") as store:
        with pytest.raises(error):
            store.store_many(images(), [1, 2, 3])
        assert {entry.name for entry in path.iterdir()} == files
        assert_records(store.read_many(), before, labels)
        assert store.store_many(before[:2], [8, 9]) == range(6, 8)
        store.verify()
    with store_class(path) as store:
        assert_records(store.read_many(), [*before, *before[:2]], [*labels, 8, 9])


def test_an_iterable_of_many_megabytes_that_fails_leaves_nothing(
    store_class: type[Store], path: Path
) -> None:
    """More than a store may keep in memory, so that a part of it has been written by then."""
    images, labels = make(store_class, path)

    def large() -> Iterator[Image]:
        for _ in range(40):
            yield np.zeros((1024, 1024), np.uint8)
        raise RuntimeError("the source has failed")

    with store_class(path, "a", durable=False) as store:
        with pytest.raises(RuntimeError):
            store.store_many(large(), range(50))
        store.store_single(images[0], 3)
        assert_records(store.read_many(), [*images, images[0]], [*labels, 3])
        store.verify()


# ---- reading -----------------------------------------------------------------------------------

ORDERS = [
    [],
    [4],
    [3, 3],
    [5, 4, 3, 2, 1, 0],
    [0, 5, 0, 5, 2],
    [*range(6)] * 3,
    [1, 2, 3],
    [4, 2, 0, 1, 3, 5, 5, 0, 2, 1, 4, 3],
]


@pytest.mark.parametrize("ids", ORDERS, ids=str)
@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda ids: np.array(ids, np.uint8)])
def test_a_batch_has_the_callers_order_and_repeats(
    store_class: type[Store], path: Path, ids: list[int], kind: Callable[[list[int]], list[int]]
) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        given = kind(ids) if ids else []
        found = store.read_many(given)
        if ids:
            assert_records(found, images[ids], labels[ids])
        else:
            assert len(found[0]) == 0
            np.testing.assert_array_equal(found[1], np.empty(0, np.int64), strict=True)


def test_ids_may_be_a_range(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        for ids in (range(6), range(1, 5), range(5, -1, -2), range(4, 5)):
            assert_records(store.read_many(ids), images[[*ids]], labels[[*ids]])


@pytest.mark.usefixtures("unfolded")
def test_a_batch_may_span_many_commits(store_class: type[Store], path: Path) -> None:
    """More commits than a store keeps files open for, in an order that visits them at random."""
    n = MAX_OPEN_PARTS + 20
    images = pictures(n, (2, 3))
    with store_class(path, "x", durable=False) as store:
        for image, label in zip(images, range(n), strict=True):
            store.store_single(image, label)
    order = np.random.default_rng(1).integers(0, n, 300)
    with store_class(path) as store:
        assert_records(store.read_many(), images, range(n))
        assert_records(store.read_many(order), images[order], order)
        assert store.labels.tolist() == [*range(n)]
        assert len(os.listdir("/proc/self/fd")) < 4 * MAX_OPEN_PARTS
    # A part of another shape, of which a gather learns after the others.
    with store_class(path, "a", durable=False) as store:
        store.store_single(pictures(1, (3, 2))[0], n)
    with store_class(path) as store:
        assert_records(store.read_many(order), images[order], order)
        mixed = [*order.tolist()[:9], n]
        assert_records(store.read_many(mixed), [*images[mixed[:9]], pictures(1, (3, 2))[0]], mixed)
        assert_records(store.read_many(order), images[order], order)


def test_a_commit_may_have_many_small_images(store_class: type[Store], path: Path) -> None:
    """A store of so many images has an index that is mapped."""
    n = 1 + READ_BYTES // 16
    images = pictures(n, (1, 2))
    order = np.random.default_rng(1).integers(0, n, 300)
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(n))
    with store_class(path) as store:
        image, label = store.read_single(n - 1)
        assert_image(image, images[-1])
        assert label == n - 1
        assert_records(store.read_many(order), images[order], order)
        assert_records(store.read_many(), images, range(n))
        assert store.labels.tolist() == [*range(n)]
        store.verify()


def test_a_batch_may_span_many_megabytes(store_class: type[Store], path: Path) -> None:
    images = np.repeat(pictures(24, (64, 64)), 96, axis=2)[:, :, : 64 * 90]
    images[:, 0, 0] = range(24)
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(24))
    order = np.random.default_rng(2).integers(0, 24, 40)
    with store_class(path) as store:
        assert_records(store.read_many(), images, range(24))
        assert_records(store.read_many(order), images[order], order)


def test_what_is_read_is_the_callers_own(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        one, _ = store.read_single(3)
        again, _ = store.read_single(3)
        batch, batch_labels = store.read_many([3, 3, 0, 1, 2, 4, 5, 3, 3, 3])
        all_labels = store.labels
        for own in (one, batch[0], batch_labels, all_labels):
            own[...] = 77
        assert_image(again, images[3])
        assert_image(batch[1], images[3])
        assert_image(store.read_single(3)[0], images[3])
        assert_records(store.read_many(), images, labels)
        np.testing.assert_array_equal(store.labels, labels)


def test_what_was_stored_stays_the_callers_own(store_class: type[Store], path: Path) -> None:
    images, labels = pictures(4), labels_for(4)
    given, given_labels = images.copy(), labels.copy()
    with store_class(path, "x", durable=False) as store:
        store.store_many(given, given_labels)
        np.testing.assert_array_equal(given, images)
        given[...] = 0
        given_labels[...] = 0
        assert_records(store.read_many(), images, labels)


def test_images_of_a_list_share_no_memory(store_class: type[Store], path: Path) -> None:
    mixed = mixed_pictures()
    with store_class(path, "x", durable=False) as store:
        store.store_many(mixed, range(len(mixed)))
        found, _ = store.read_many([0, 1, 0, 1])
        found[0][...] = ~found[0]
        assert_image(found[2], mixed[0])


def test_square_brackets_read_one_image_or_a_slice(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        for i in (2, -1, -6, np.int64(-2)):
            image, label = store[i]  # type: ignore[index]  # an integer too
            assert_image(image, images[i])
            assert label == labels[i]
        for piece in (slice(1, 4), slice(None), slice(None, None, -1), slice(-2, None)):
            assert_records(store[piece], images[piece], labels[piece])
        empty, no_labels = store[4:4]
        assert (len(empty), len(no_labels)) == (0, 0)


def test_iteration_yields_every_image_with_its_label(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        for _ in range(2):
            records = [*store]
            assert [label for _, label in records] == labels.tolist()
            for (image, _), expected in zip(records, images, strict=True):
                assert_image(image, expected)


@pytest.mark.parametrize("n", [1, 2, 4, 6, 100])
def test_batches_are_all_images_in_order_and_the_rest_at_last(
    store_class: type[Store], path: Path, n: int
) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        found = [*store.iter_batches(n)]
    assert len(found) == -(-6 // n)
    for start, batch in zip(range(0, 6, n), found, strict=True):
        assert_records(batch, images[start : start + n], labels[start : start + n])


def test_batches_are_of_a_positive_number_and_an_empty_store_has_none(
    store_class: type[Store], path: Path
) -> None:
    with store_class(path, "x") as store:
        assert [*store.iter_batches(3)] == []
        for n in (0, -1, 1.0, True, None, "2"):
            with pytest.raises(ValueError, match="positive integer"):
                store.iter_batches(n)  # type: ignore[arg-type]  # on purpose


def test_a_data_loader_gets_a_list_of_records(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as store:
        records = store.__getitems__([4, 1, 1])
        assert isinstance(records, list)
        assert [label for _, label in records] == labels[[4, 1, 1]].tolist()
        assert all(type(label) is int for _, label in records)
        for (image, _), i in zip(records, [4, 1, 1], strict=True):
            assert_image(image, images[i])


# ---- looking after it --------------------------------------------------------------------------


def test_disk_usage_is_what_a_walk_over_the_directory_adds_up(
    store_class: type[Store], path: Path
) -> None:
    make(store_class, path)
    (path / "more").mkdir()
    (path / "more" / "link").symlink_to(path)  # counted as itself, not followed
    with store_class(path) as store:
        usage = store.disk_usage()
    everything = [path, *path.rglob("*")]
    files = [entry for entry in everything if entry.is_symlink() or not entry.is_dir()]
    assert usage.files == len(files)
    assert usage.apparent_bytes == sum(entry.lstat().st_size for entry in files)
    assert usage.allocated_bytes == sum(entry.lstat().st_blocks * 512 for entry in everything)


def test_verify_accepts_what_was_stored(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    with store_class(path, "a") as store:
        store.store_many(mixed_pictures(), range(len(SHAPES)))
        store.verify()
        store.compact()
        store.verify()
    with store_class(path, verify=False) as store:
        store.verify()


def test_verify_names_a_file_that_is_not_the_stores(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    (path / "notes.txt").write_text("mine")
    with store_class(path) as store, pytest.raises(OSError, match=r"notes\.txt"):
        store.verify()


@pytest.mark.parametrize("shapes", [SHAPES[4:5], SHAPES[:3], SHAPES], ids=["one", "few", "all"])
def test_compacting_changes_nothing_but_the_files(
    store_class: type[Store], path: Path, shapes: list[tuple[int, ...]]
) -> None:
    images = [pictures(1, shapes[i % len(shapes)], i)[0] for i in range(30)]
    labels = labels_for(30)
    with store_class(path, "x", durable=False) as store:
        for image, label in zip(images, labels.tolist(), strict=True):
            store.store_single(image, label)
        files = store.disk_usage().files
        store.compact()
        assert store.disk_usage().files <= files
        assert_records(store.read_many(), images, labels)
        assert store.store_single(images[0], 5) == 30
        store.compact()
        store.verify()
    with store_class(path) as store:
        assert_records(store.read_many(), [*images, images[0]], [*labels, 5])
        store.verify()


def test_a_reader_goes_on_while_the_store_is_compacted(
    store_class: type[Store], path: Path
) -> None:
    images, labels = make(store_class, path)
    with store_class(path) as unused, store_class(path) as used, store_class(path, "a") as writer:
        assert_image(used.read_single(1)[0], images[1])
        writer.compact()
        writer.store_many(images, labels)
        writer.compact()
        for reader in (unused, used):
            assert len(reader) == 6
            assert_image(reader.read_single(5)[0], images[5])
            assert_records(reader.read_many(), images, labels)
            assert_records(
                reader.read_many([5, 0, 2] * 5), images[[5, 0, 2] * 5], labels[[5, 0, 2] * 5]
            )
            np.testing.assert_array_equal(reader.labels, labels)
            reader.verify()


def test_an_empty_store_can_be_compacted(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        store.compact()
        assert store.store_single(pictures(1)[0], 1) == 0


def test_verify_and_compact_tell_how_far_they_are(store_class: type[Store], path: Path) -> None:
    """Each image counts once, also of a part that cannot be read."""
    taken = list[int]()

    def progress(numbers: range) -> Iterator[int]:
        for i in numbers:
            taken.append(i)
            yield i

    make(store_class, path)
    with store_class(path, "a") as store:
        for use in (store.verify, store.compact, store.verify):
            use(progress=progress)
            assert taken == [*range(6)]
            taken.clear()
    (index,) = path.glob("*/index.npy")
    index.write_bytes(b"")
    with store_class(path) as store, pytest.raises(CorruptStoreError):
        store.verify(progress=progress)
    assert taken == [*range(6)]


def test_its_repr_tells_class_path_mode_and_size(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    store = store_class(path)
    for part in (store_class.__name__, str(path), "'r'", "6"):
        assert part in repr(store)
    store.close()
    assert "closed" in repr(store)


def test_the_registry_knows_a_store_by_its_format(store_class: type[Store], path: Path) -> None:
    assert STORES[store_class.format] is store_class
    assert re.fullmatch(r"[a-z0-9_-]+", store_class.format)
    with pytest.raises(StoreNotFoundError):
        store_class(path)
