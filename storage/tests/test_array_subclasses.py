"""Arrays that are more than their numbers are refused, wherever they are given, before a byte is written."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from .. import DTypeError, ImageIdTypeError, Store
from .samples import assert_records, contents, labels_for, make, pictures, stores_of_each_kind

pytestmark = stores_of_each_kind

AnyArray = NDArray[Any]


class Mirrored(np.ndarray[Any, Any]):
    """Looks the other way round from what its bytes are."""

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[..., ::-1][key]


class Saturating(np.ndarray[Any, Any]):
    """Adds up, compares and reduces in its own way."""

    def __array_ufunc__(self, *_args: object, **_options: object) -> Any:
        raise AssertionError("its own arithmetic was used")


def masked(array: AnyArray) -> AnyArray:
    mask = np.zeros(array.shape, bool)
    mask.flat[0] = True
    return np.ma.masked_array(array, mask)


SUBCLASSES: dict[str, Callable[[AnyArray], AnyArray]] = {
    "masked": masked,
    "masked nowhere": np.ma.masked_array,
    "record": lambda array: array.view(np.recarray),
    "mirrored": lambda array: array.view(Mirrored),
    "saturating": lambda array: array.view(Saturating),
}

GIVEN: dict[str, Callable[[Callable[[AnyArray], AnyArray]], tuple[object, object]]] = {
    "an array": lambda of: (of(pictures(3)), range(3)),
    "grey images": lambda of: (of(pictures(3, (5, 4))), range(3)),
    "in a list": lambda of: ([pictures(1)[0], of(pictures(1)[0])], range(2)),
    "alone in a list": lambda of: ([of(pictures(1)[0])], range(1)),
    "among shapes": lambda of: ([pictures(1)[0], of(pictures(1, (7, 3))[0])], range(2)),
    "in a stream": lambda of: (iter([pictures(1)[0], of(pictures(1)[0])]), range(2)),
    "labels": lambda of: (pictures(3), of(np.arange(3))),
    "labels of a stream": lambda of: (iter(pictures(3)), of(np.arange(3))),
    "unsigned labels": lambda of: (pictures(3), of(np.arange(3, dtype=np.uint64))),
}
"""Images and labels, some of them what a subclass is made of."""


def assert_refused(
    store_class: type[Store], path: Path, calls: Mapping[str, Callable[[Store], object]]
) -> None:
    """Each call raises `DTypeError`, names the store, and the next is as if it had not been made."""
    images, labels = make(store_class, path)
    stored = []
    with store_class(path, "a", durable=False) as store:
        before = contents(path)
        for name, call in calls.items():
            try:
                stored.append(f"{name}: {call(store)}")
            except DTypeError as error:
                assert str(path) in str(error)  # noqa: PT017  # that none is raised is told below
        assert not stored
        assert contents(path) == before
        assert store.store_single(images[0], 3) == 6
        assert_records(store.read_many(), [*images, images[0]], [*labels, 3])


@pytest.mark.parametrize("given", GIVEN)
def test_store_many_refuses_a_subclass(store_class: type[Store], path: Path, given: str) -> None:
    def call(of: Callable[[AnyArray], AnyArray]) -> Callable[[Store], object]:
        return lambda store: store.store_many(*GIVEN[given](of))  # type: ignore[arg-type]  # of any kind

    assert_refused(store_class, path, {name: call(of) for name, of in SUBCLASSES.items()})


def test_store_single_refuses_a_subclass(store_class: type[Store], path: Path) -> None:
    def call(of: Callable[[AnyArray], AnyArray]) -> Callable[[Store], object]:
        return lambda store: store.store_single(of(pictures(1, (5, 4))[0]), 1)

    kinds = {**SUBCLASSES, "matrix": lambda array: array.view(np.matrix)}
    assert_refused(store_class, path, {name: call(of) for name, of in kinds.items()})


def test_a_masked_label_is_refused(store_class: type[Store], path: Path) -> None:
    images, label = pictures(2), masked(np.arange(2))[0]
    calls = {
        "alone": lambda store: store.store_single(images[0], label),
        "in a list": lambda store: store.store_many(images, [1, label]),
        "in a stream": lambda store: store.store_many(iter(images), [label, 1]),
    }
    assert_refused(store_class, path, calls)


def test_masked_ids_are_refused(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    with store_class(path) as store:
        for ids in (masked(np.arange(3)), [0, masked(np.arange(2))[0]]):
            with pytest.raises(ImageIdTypeError):
                store.read_many(ids)


def test_what_is_mapped_from_a_file_is_stored(
    store_class: type[Store], path: Path, tmp_path: Path
) -> None:
    """A memory map is an array like any other."""

    def mapped(name: str, array: AnyArray) -> AnyArray:
        np.save(tmp_path / name, array)
        found: AnyArray = np.load(tmp_path / name, mmap_mode="r")
        assert isinstance(found, np.memmap)
        return found

    images, labels = pictures(6), labels_for(6)
    map_of_images = mapped("images.npy", images)

    def stream() -> Iterator[AnyArray]:
        yield from map_of_images

    with store_class(path, "x") as store:
        store.store_many(map_of_images, mapped("labels.npy", labels))
        store.store_many([*map_of_images], labels)
        store.store_many(stream(), labels)
        store.store_single(map_of_images[0], 5)
        ids = mapped("ids.npy", np.array([5, 0, 5]))
        assert_records(store.read_many(ids), images[[5, 0, 5]], labels[[5, 0, 5]])
        assert_records(
            store.read_many(), [*images, *images, *images, images[0]], [*[*labels] * 3, 5]
        )
