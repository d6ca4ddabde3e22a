"""A store may lie below a folder whose name is not UTF-8; what is said of it can be printed."""

import errno
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import (
    BusyError,
    ClosedError,
    CorruptStoreError,
    DTypeError,
    ImageIdError,
    LengthError,
    ReadOnlyError,
    StorageError,
    Store,
    StoreExistsError,
    StoreIOError,
    StoreNotFoundError,
    open_store,
)
from .children import in_child
from .samples import assert_records, make, mixed_pictures, pictures, stores_of_each_kind

pytestmark = stores_of_each_kind

NAMES = {"Latin-1": b"caf\xe9", "mixed": b"\xff\xfe \xc3\xa9", "UTF-8": "café ☕".encode()}
IMAGE = pictures(1)[0]


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = NAMES[request.param]
    folder = tmp_path / os.fsdecode(name)
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    return folder / "store"


def assert_printable(text: str) -> None:
    text.encode("utf-8")  # raises what `print` would
    assert "\n" not in text


def test_a_store_works_below_it(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with store_class(path, "a") as store:
        for label in range(17):
            store.store_single(IMAGE, label)
        shapes = mixed_pictures()
        store.store_many(shapes, range(8))
        store.store_many(iter(shapes), range(8))
        store.compact()
        assert_printable(repr(store))
    expected = (
        [*images, *[IMAGE] * 17, *shapes, *shapes],
        [*labels, *range(17), *range(8), *range(8)],
    )
    for given in (path, str(path)):
        with open_store(given) as store:
            assert_records(store.read_many(), *expected)
            assert_records(store.read_many([3, 0]), images[[3, 0]], labels[[3, 0]])
            store.verify()
            assert store.disk_usage().files
            assert_printable(repr(store))
            copy = pickle.loads(pickle.dumps(store))
            assert_records(copy.read_many(), *expected)
            in_child(lambda copy=copy: assert_records(copy.read_many(), *expected))  # type: ignore[misc]  # mypy cannot infer it


def test_errors_can_be_printed(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    writer, reader = store_class(path, "a"), store_class(path)
    closed = store_class(path)
    closed.close()
    calls: list[tuple[type[StorageError], Callable[[], object]]] = [
        (BusyError, lambda: store_class(path, "a")),
        (StoreExistsError, lambda: store_class(path, "x")),
        (StoreNotFoundError, lambda: store_class(path.with_name("nothing"))),
        (StoreNotFoundError, lambda: open_store(path.with_name("nothing"))),
        (ClosedError, closed.read_many),
        (ReadOnlyError, lambda: reader.store_single(IMAGE, 1)),
        (ImageIdError, lambda: reader.read_single(6)),
        (DTypeError, lambda: writer.store_single(IMAGE.astype(float), 1)),
        (LengthError, lambda: writer.store_many([IMAGE], [])),
    ]
    for kind, call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert_printable(str(caught.value))
    writer.close()
    reader.close()


def test_a_write_that_is_refused_is_told_as_such(store_class: type[Store], path: Path) -> None:
    """A limit on the size of files does it, in a process of its own."""
    make(store_class, path)

    def exceed() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        with store_class(path, "a") as store, pytest.raises(StoreIOError) as caught:
            store.store_many(pictures(40, (128, 128, 3)), range(40))
        assert_printable(str(caught.value))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno in (errno.EFBIG, errno.EIO)

    in_child(exceed)


def test_what_is_said_of_damage_can_be_printed(store_class: type[Store], path: Path) -> None:
    """Every file is cut short in turn."""
    make(store_class, path)
    said = 0
    for file in [each for each in path.rglob("*") if each.is_file() and each.stat().st_size]:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        try:
            with store_class(path) as store:
                store.verify()
        except CorruptStoreError as error:
            said += 1
            for text in (str(error), *error.problems):
                assert_printable(text)
        file.write_bytes(whole)
    assert said
