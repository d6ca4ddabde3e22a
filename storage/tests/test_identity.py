"""Each object keeps the store that it opened, or says that it was replaced; it never sees another's."""

import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from .. import BusyError, StorageError, Store
from .children import in_child
from .samples import (
    assert_image,
    assert_records,
    contents,
    labels_for,
    make,
    pictures,
    stores_of_each_kind,
)

pytestmark = stores_of_each_kind

OWN = 6
OTHER = [2, 6, 9]
"""How many images are in the store that takes the place: fewer, as many, and more."""
FOLDING = 20
"""Single commits of which the last ones fold those before."""


def make_other(store_class: type[Store], path: Path, n: int) -> None:
    with store_class(path, "x", durable=False) as store:
        store.store_many(pictures(n, seed=1)[: n // 2], range(1_000, 1_000 + n // 2))
        store.store_many(pictures(n, seed=1)[n // 2 :], range(1_000 + n // 2, 1_000 + n))


def rename(path: Path) -> Path:
    return path.rename(path.with_name("renamed"))


def remove(path: Path) -> None:
    shutil.rmtree(path)


def empty(path: Path) -> None:
    for entry in path.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def turn_link(path: Path) -> Path:
    """`path` is a symbolic link: what it names keeps its place."""
    target = path.resolve()
    path.unlink()
    path.symlink_to(path.with_name("another"), target_is_directory=True)
    return target


WAYS: dict[str, Callable[[Path], Path | None]] = {
    "renamed": rename,
    "removed": remove,
    "emptied": empty,
    "a link turned": turn_link,
}
"""How the store makes room for another, and where it is then."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path, way: str) -> Path:
    path = tmp_path / "folder" / "store"
    path.parent.mkdir()
    if way == "a link turned":
        path.symlink_to(path.with_name("first"), target_is_directory=True)
        path.with_name("first").mkdir()
        path.with_name("another").mkdir()
    return path


def readings(store: Store) -> Iterator[Callable[[], None]]:
    """Every way to read, which fails on any other images than those of `make`."""
    images, labels = pictures(OWN), labels_for(OWN)
    ids = [5, 0, 2, 2]
    yield lambda: assert_records(store.read_many(), images, labels)
    yield lambda: assert_records(store.read_many(ids), images[ids], labels[ids])
    yield lambda: assert_image(store.read_single(4)[0], images[4])
    yield lambda: np.testing.assert_array_equal(store.labels, labels)
    yield lambda: np.testing.assert_array_equal([image for image, _ in store], images)
    yield lambda: assert_image(store.__getitems__([3])[0][0], images[3])
    yield lambda: store.verify()


def assert_kept(store: Store) -> None:
    """However it is read, it gives the images it had when it was opened, or says why not."""
    assert len(store) == OWN
    for read in readings(store):
        assert_done_or_replaced(read)


def assert_done_or_replaced(call: Callable[[], object]) -> bool:
    """Whether it was done; if not, the reason was that the store was replaced."""
    try:
        call()
    except StorageError as error:
        if "replaced" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("used_before", [True, False], ids=["used before", "not used before"])
@pytest.mark.parametrize("n", OTHER)
def test_a_reader_keeps_its_store_when_another_takes_its_place(
    store_class: type[Store], path: Path, way: str, n: int, used_before: bool
) -> None:
    """A process that was forked with it and a copy that was pickled before do too."""
    make(store_class, path)
    with store_class(path) as reader:
        if used_before:
            assert_kept(reader)
        pickled = pickle.dumps(reader)
        WAYS[way](path)
        make_other(store_class, path, n)
        assert_kept(reader)
        in_child(lambda: assert_kept(reader))
        in_child(lambda: assert_done_or_replaced(lambda: assert_kept(pickle.loads(pickled))))
        assert_kept(reader)
    with store_class(path) as other:
        assert len(other) == n
        assert_records(other.read_many(), pictures(n, seed=1), range(1_000, 1_000 + n))


@pytest.mark.parametrize("compacted", [False, True], ids=["as stored", "compacted"])
def test_a_reader_keeps_its_store_beside_the_other(
    store_class: type[Store], path: Path, way: str, compacted: bool
) -> None:
    """One process has both open, and each reads its own, also where it looks again for a part."""
    make(store_class, path)
    with store_class(path) as reader:
        WAYS[way](path)
        make_other(store_class, path, OWN)
        with store_class(path, "a") as other:
            if compacted:
                other.compact()
            for read in readings(reader):
                assert_done_or_replaced(read)
                assert_records(other.read_many(), pictures(OWN, seed=1), range(1_000, 1_000 + OWN))
        assert_kept(reader)


def test_a_reader_of_a_renamed_store_goes_on_or_says_what_is_missing(
    store_class: type[Store], tmp_path: Path
) -> None:
    """No other takes its place; at its new one it is compacted."""
    images, labels = make(store_class, tmp_path / "store")
    with store_class(tmp_path / "store") as reader:
        (tmp_path / "store").rename(tmp_path / "renamed")
        with store_class(tmp_path / "renamed", "a") as writer:
            writer.compact()
        for read in readings(reader):
            with suppress(StorageError):
                read()
    with store_class(tmp_path / "renamed") as store:
        assert_records(store.read_many(), images, labels)


def test_what_a_writer_stores_does_not_land_in_the_store_that_takes_the_place(
    store_class: type[Store], path: Path, way: str
) -> None:
    """It lands in its own, or nowhere; so it is with folding, compacting and closing."""
    make(store_class, path)
    image = pictures(1, seed=2)[0]
    with store_class(path, "a", durable=False) as writer:
        moved = WAYS[way](path)
        make_other(store_class, path, OWN)
        other = contents(path)
        stored = 0
        for label in range(FOLDING):
            stored += assert_done_or_replaced(lambda label=label: writer.store_single(image, label))  # type: ignore[misc]  # mypy cannot infer it
        assert_done_or_replaced(writer.compact)
        assert contents(path) == other
    assert contents(path) == other
    with store_class(path, "a") as store:
        store.verify()
        assert_records(store.read_many(), pictures(OWN, seed=1), range(1_000, 1_000 + OWN))
    if moved is not None:
        with store_class(moved, "a") as store:
            store.verify()
            expected = [*pictures(OWN), *[image] * stored]
            assert_records(store.read_many(), expected, [*labels_for(OWN), *range(stored)])


def test_a_writer_keeps_others_from_its_own_store_only(
    store_class: type[Store], path: Path, way: str
) -> None:
    """The lock goes with the store, wherever it is."""
    make(store_class, path)
    with store_class(path, "a"):
        moved = WAYS[way](path)
        make_other(store_class, path, OWN)
        store_class(path, "a").close()
        if moved is not None:
            with pytest.raises(BusyError):
                store_class(moved, "a")


def test_a_writer_whose_lock_file_was_removed_stores_no_more(
    store_class: type[Store], tmp_path: Path
) -> None:
    """Another writer then has the store, as after a backup was restored without empty files."""
    images, labels = make(store_class, tmp_path / "store")
    image = pictures(1, seed=2)[0]
    with store_class(tmp_path / "store", "a") as first:
        (tmp_path / "store" / "store.lock").unlink()
        with store_class(tmp_path / "store", "a") as second:
            assert second.store_single(image, 7) == OWN
            for call in (lambda: first.store_single(image, 8), first.compact):
                with pytest.raises(BusyError, match=r"store\.lock was removed or replaced"):
                    call()
        assert_records(first.read_many(range(OWN)), images, labels)
    with store_class(tmp_path / "store", "a") as store:
        store.verify()
        assert store.labels.tolist() == [*labels.tolist(), 7]


def test_a_pickled_reader_does_not_take_an_older_copy_for_its_store(
    store_class: type[Store], tmp_path: Path
) -> None:
    """The copy has its header's time, and perhaps its number in the file system."""
    path, copy = tmp_path / "store", tmp_path / "copy"
    make(store_class, path)
    shutil.copytree(path, copy)
    with store_class(path, "a") as writer:
        writer.store_many(pictures(4, seed=2), range(4))
    with store_class(path) as reader:
        pickled = pickle.dumps(reader)
    shutil.rmtree(path)
    shutil.copytree(copy, path)
    with store_class(path, "a") as writer:
        writer.store_many(pictures(4, seed=3), range(4))
    with pytest.raises(StorageError, match="removed or replaced"):
        pickle.loads(pickled)


def test_a_path_of_no_letters_is_refused(
    store_class: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unset variable of a shell gives one; the current directory is not what is meant."""
    monkeypatch.chdir(tmp_path)
    for mode in ("r", "a", "x"):
        with pytest.raises(ValueError, match="no letters"):
            store_class("", mode)
    assert not [*tmp_path.iterdir()]
