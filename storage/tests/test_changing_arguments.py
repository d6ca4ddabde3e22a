"""What the caller gives may change while it is read: what was given once is what is stored."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar, cast, overload

import numpy as np
import pytest

from .. import LengthError, StorageError, Store
from .samples import Image, assert_records, make, pictures, stores_of_each_kind

pytestmark = stores_of_each_kind

Item = TypeVar("Item")
N = 12


class Changing(Sequence[Item], Generic[Item]):
    """A sequence that makes its items anew on each access, as random crops are, and keeps them."""

    def __init__(self, make_item: Callable[[int, int], Item], n: int = N) -> None:
        self.given: list[list[Item]] = [[] for _ in range(n)]
        self._make_item = make_item

    def __len__(self) -> int:
        return len(self.given)

    @overload
    def __getitem__(self, key: int) -> Item: ...
    @overload
    def __getitem__(self, key: slice) -> list[Item]: ...
    def __getitem__(self, key: int | slice) -> Item | list[Item]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        given = self.given[key]  # which ends an iteration with IndexError
        given.append(self._make_item(range(len(self))[key], len(given)))
        return given[-1]


def crop(i: int, times: int) -> Image:
    return cast(Image, pictures(1, (6, 5, 3), seed=100 * i + times)[0])


def crop_of_any_shape(i: int, times: int) -> Image:
    return cast(Image, pictures(1, (6 + times, 5 + i % 3, 3), seed=100 * i + times)[0])


def label(i: int, times: int) -> int:
    return 100 * i + times


class Longer(list[str]):
    """A list that has fewer items than it says."""

    def __len__(self) -> int:
        return super().__len__() + 1


def assert_stored_as_given(
    store_class: type[Store], path: Path, images: Changing[Image], labels: Sequence[int]
) -> None:
    """Each record is one image and one label that were given for it, and passes all checks."""
    given = labels.given if isinstance(labels, Changing) else [[label] for label in labels]
    with store_class(path) as store:
        store.verify()
        found_images, found_labels = store.read_many()
        assert len(found_images) == len(images)
        for i, image in enumerate(found_images):
            assert any(np.array_equal(image, each) for each in images.given[i])
            assert found_labels[i] in given[i]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("make_item", [crop, crop_of_any_shape])
def test_images_that_change_are_stored_as_given(
    store_class: type[Store], path: Path, make_item: Callable[[int, int], Image]
) -> None:
    images = Changing(make_item)
    with store_class(path, "x") as store:
        assert store.store_many(images, range(N)) == range(N)
    assert_stored_as_given(store_class, path, images, range(N))


def test_one_image_that_changes_is_stored_as_given(store_class: type[Store], path: Path) -> None:
    images = Changing(crop_of_any_shape, n=1)
    with store_class(path, "x") as store:
        assert store.store_many(images, [3]) == range(1)
    assert_stored_as_given(store_class, path, images, [3])


def test_an_image_that_becomes_another_thing_is_stored_as_given_or_refused(
    store_class: type[Store], path: Path
) -> None:
    """At second access it is no image at all."""
    images = Changing(lambda i, times: crop(i, 0) if not times else crop(i, 0).astype(float))
    with store_class(path, "x") as store:
        try:
            store.store_many(images, range(N))
        except StorageError:
            assert len(store) == 0
            return
    assert_stored_as_given(store_class, path, images, range(N))


def test_labels_that_change_are_stored_as_given(store_class: type[Store], path: Path) -> None:
    images, labels = Changing(crop), Changing(label)
    with store_class(path, "x") as store:
        assert store.store_many(images, labels) == range(N)
    assert_stored_as_given(store_class, path, images, labels)


def test_a_length_that_changes_is_refused(store_class: type[Store], path: Path) -> None:
    """Or what was there is stored."""

    class Shrinking(Changing[Image]):
        lengths = iter([N])

        def __len__(self) -> int:
            return next(self.lengths, N - 1)

    images, labels = pictures(6), range(6)
    with store_class(path, "x") as store:
        store.store_many(images, labels)
        try:
            store.store_many(Shrinking(crop), range(N))
        except LengthError:
            assert_records(store.read_many(), images, labels)
        store.verify()
        store.read_many()


def test_labels_are_those_of_the_call_whatever_a_stream_does_to_them(
    store_class: type[Store], path: Path
) -> None:
    labels = np.arange(N)

    def stream() -> Iterator[Image]:
        for i in range(N):
            labels[:] = -1
            yield crop(i, 0)

    with store_class(path, "x") as store:
        store.store_many(stream(), labels)
        assert_records(store.read_many(), [crop(i, 0) for i in range(N)], range(N))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("shapes", [1, 2])
def test_a_stream_may_fill_one_buffer_again_and_again(
    store_class: type[Store], path: Path, shapes: int
) -> None:
    """What was in it when it was given is stored."""
    buffers = [np.empty((5, 4 + i), np.uint8) for i in range(shapes)]

    def stream() -> Iterator[Image]:
        for i in range(N):
            buffers[i % shapes][:] = i
            yield buffers[i % shapes]

    with store_class(path, "x") as store:
        store.store_many(stream(), range(N))
    for buffer in buffers:
        buffer[:] = 255
    expected = [np.full((5, 4 + i % shapes), i, np.uint8) for i in range(N)]
    with store_class(path) as reader:
        assert_records(reader.read_many(), expected, range(N))


def test_what_is_changed_after_the_call_is_not_in_the_store(
    store_class: type[Store], path: Path
) -> None:
    """Nor is what is changed in an array that was read."""
    images, labels = pictures(N), np.arange(N)
    with store_class(path, "x") as store:
        store.store_many(images, labels)
        images[:], labels[:] = 0, 0
        for _ in range(2):
            found_images, found_labels = store.read_many()
            assert_records((found_images, found_labels), pictures(N), range(N))
            assert isinstance(found_images, np.ndarray)
            found_images[:], found_labels[:] = 1, 1
            store.labels[:] = 2
        assert store.labels.tolist() == list(range(N))


def test_ids_that_change_are_those_of_one_access(store_class: type[Store], path: Path) -> None:
    """They are checked, however late they change."""
    images, labels = make(store_class, path)
    with store_class(path) as store:
        for change in (1, 10**6, -(10**6)):
            ids = Changing(lambda i, times, change=change: i if not times else i + change, n=5)  # type: ignore[misc]  # mypy cannot infer it
            try:
                found_images, found_labels = store.read_many(ids)
            except IndexError:
                continue
            for i, image in enumerate(found_images):
                chosen = [each for each in ids.given[i] if labels[each % 6] == found_labels[i]]
                assert np.array_equal(image, images[chosen[0]])


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "photo.png"), ValueError("x")]
)
def test_what_an_iterable_of_images_raises_is_the_callers(
    store_class: type[Store], path: Path, error: Exception
) -> None:
    """As a photo that is missing: no error of the store, which holds nothing of the call."""

    def images() -> Iterator[Image]:
        yield from pictures(2)
        raise error

    with store_class(path, "x") as store:
        with pytest.raises(type(error)) as caught:
            store.store_many(images(), range(3))
        assert caught.value is error
        assert len(store) == 0
        assert store.store_many(pictures(2), range(2)) == range(2)


def test_a_generator_is_left_to_the_caller(store_class: type[Store], path: Path) -> None:
    given = (image for image in pictures(6))
    with store_class(path, "x") as store:
        with pytest.raises(LengthError):
            store.store_many(given, [0, 1])
        assert len([*given]) > 0


def test_names_are_counted_as_they_are_kept(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path, "a") as store:
        with pytest.raises(LengthError, match="1 names but 2 labels"):
            store.store_many(pictures(2), [1, 2], Longer("a"))
        store.verify()
        assert store.names == [""] * len(images)
        assert_records(store.read_many(), images, labels)


def test_classes_that_change_are_kept_as_given(store_class: type[Store], path: Path) -> None:
    classes = Changing(lambda i, times: f"{i}, {times}", n=3)
    with store_class(path, "x", classes=classes) as store:
        assert store.classes == [given[0] for given in classes.given]
