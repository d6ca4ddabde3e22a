"""Creating, opening and closing: modes, the header, directories that are not, or not yet, a store."""

import json
import os
from pathlib import Path

import pytest

from .. import (
    BusyError,
    ClosedError,
    CorruptStoreError,
    FormatError,
    ReadOnlyError,
    Store,
    StoreExistsError,
    StoreNotFoundError,
    open_store,
)
from .._files import Folder, WriterLock
from .._session import Mode
from .samples import assert_records, contents, each_store, make, pictures

pytestmark = each_store

IMAGE = pictures(1)[0]


# ---- modes -----------------------------------------------------------------------------------


def test_x_creates_a_store_and_the_folders_above_it(
    store_class: type[Store], tmp_path: Path
) -> None:
    path = tmp_path / "a" / "b" / "store"
    with store_class(path, "x") as store:
        assert store.store_single(IMAGE, 3) == 0
    with store_class(path) as store:
        assert_records(store.read_many(), [IMAGE], [3])


def test_x_creates_a_store_in_an_empty_directory(store_class: type[Store], path: Path) -> None:
    path.mkdir()
    store_class(path, "x").close()
    assert len(store_class(path)) == 0


def test_x_refuses_an_existing_store_of_any_format(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    before = contents(path)
    with pytest.raises(StoreExistsError):
        store_class(path, "x")
    header = path / "store.json"
    header.write_text('{"format": "another", "version": 2}')
    with pytest.raises(StoreExistsError):
        store_class(path, "x")
    assert {**contents(path), "store.json": ""} == {**before, "store.json": ""}


def test_a_creates_a_store_and_opens_it_again(store_class: type[Store], path: Path) -> None:
    with store_class(path, "a") as store:
        store.store_single(IMAGE, 1)
    with store_class(path, "a") as store:
        assert len(store) == 1
        store.store_single(IMAGE, 2)
        assert_records(store.read_many(), [IMAGE, IMAGE], [1, 2])


def test_r_is_the_default_and_only_reads(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    before = {name: digest for name, digest in contents(path).items() if "lock" not in name}
    with store_class(path) as store:
        assert store.mode == "r"
        for call in (lambda: store.store_single(IMAGE, 1), store.compact):
            with pytest.raises(ReadOnlyError):
                call()
        with pytest.raises(ReadOnlyError):
            store.store_many(images, labels)
        assert_records(store.read_many(), images, labels)
    after = {name: digest for name, digest in contents(path).items() if "lock" not in name}
    assert after == before


@pytest.mark.parametrize("mode", ["w", "rb", "", "R", None])
def test_another_mode_is_refused(store_class: type[Store], path: Path, mode: Mode) -> None:
    with pytest.raises(ValueError, match="mode"):
        store_class(path, mode)
    assert not path.exists()


@pytest.mark.parametrize("durable", [True, False])
def test_a_store_is_the_same_whether_it_was_synced_or_not(
    store_class: type[Store], path: Path, durable: bool
) -> None:
    images = pictures(20)
    with store_class(path, "x", durable=durable) as store:
        store.store_many(images, range(20))
        store.store_single(images[0], 20)
    with store_class(path, "a", durable=not durable) as store:
        store.compact()
        store.store_single(images[1], 21)
    with store_class(path) as store:
        assert_records(store.read_many(), [*images, *images[:2]], range(22))
        store.verify()


def test_a_relative_path_survives_a_change_of_directory(
    store_class: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = make(store_class, Path("store"))
    with store_class("store") as store:
        monkeypatch.chdir("/")
        assert_records(store.read_many(), images, labels)
        store.verify()


def test_a_path_may_be_text_or_a_symbolic_link(
    store_class: type[Store], path: Path, tmp_path: Path
) -> None:
    images, labels = make(store_class, path)
    link = tmp_path / "link"
    link.symlink_to(path)
    for given in (str(path), str(link), link):
        with store_class(given) as store:
            assert_records(store.read_many(), images, labels)


# ---- the header --------------------------------------------------------------------------------


def test_the_header_names_format_and_version(store_class: type[Store], path: Path) -> None:
    store_class(path, "x").close()
    header = json.loads((path / "store.json").read_text())
    options = header.pop("options", None)
    assert (options is not None) == ("digest" in header) == ("encoded" in store_class.format)
    header.pop("digest", None)
    assert header == {"format": store_class.format, "version": 2}


def test_open_store_finds_the_class_from_the_header(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    with open_store(path) as store:
        assert type(store) is store_class
        assert store.mode == "r"
        assert_records(store.read_many(), images, labels)
    with open_store(str(path), "a", durable=False, verify=False) as store:
        assert store.store_single(IMAGE, 1) == 6
    with pytest.raises(StoreExistsError):
        open_store(path, "x")


@pytest.mark.parametrize(
    "header",
    [{"format": "another"}, {"version": 1}, {"version": 3}],
    ids=["another format", "the version before", "a version to come"],
)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_format_or_version_not_known_is_refused_by_name(
    store_class: type[Store], path: Path, header: dict[str, object], mode: Mode
) -> None:
    make(store_class, path)
    header = {"format": store_class.format, "version": 2} | header
    (path / "store.json").write_text(json.dumps(header))
    before = contents(path)
    named = f"version {header['version']}" if header["version"] != 2 else "'another'"
    for opened in (store_class, open_store):
        with pytest.raises(FormatError, match=named) as caught:
            opened(path, mode)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(path))
    assert contents(path) == before


@pytest.mark.parametrize(
    "header", [b"", b"{", b"[]", b'{"format": 1, "version": 2}', b'{"format": "png"}', b"\xff\xfe"]
)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_header_that_says_nothing_is_a_corrupt_store(
    store_class: type[Store], path: Path, header: bytes, mode: Mode
) -> None:
    make(store_class, path)
    (path / "store.json").write_bytes(header)
    before = contents(path)
    for opened in (store_class, open_store):
        with pytest.raises(CorruptStoreError):
            opened(path, mode)
    assert contents(path) == before


# ---- directories that are no store -------------------------------------------------------------


def test_nothing_and_an_empty_directory_are_no_store(store_class: type[Store], path: Path) -> None:
    for opened in (store_class, open_store):
        with pytest.raises(StoreNotFoundError):
            opened(path)
    path.mkdir()
    for opened in (store_class, open_store):
        with pytest.raises(StoreNotFoundError):
            opened(path)
    path.rmdir()
    path.write_text("a file")
    with pytest.raises(StoreNotFoundError):
        store_class(path)


@pytest.mark.parametrize("mode", ["x", "a"])
def test_a_file_is_not_replaced_by_a_store(
    store_class: type[Store], path: Path, mode: Mode
) -> None:
    path.write_text("mine")
    with pytest.raises(StoreExistsError):
        store_class(path, mode)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("mode", ["x", "a"])
def test_a_directory_of_other_files_is_refused_and_left_alone(
    store_class: type[Store], path: Path, mode: Mode
) -> None:
    (path / "photos").mkdir(parents=True)
    (path / "photos" / "cat.png").write_bytes(b"mine")
    (path / "notes.txt").write_text("mine")
    before = contents(path)
    with pytest.raises(StoreExistsError):
        store_class(path, mode)
    assert contents(path) == before


@pytest.mark.parametrize("mode", ["x", "a"])
def test_a_store_whose_header_is_lost_is_refused_and_left_alone(
    store_class: type[Store], path: Path, mode: Mode
) -> None:
    images, labels = make(store_class, path)
    header = (path / "store.json").read_bytes()
    (path / "store.json").unlink()
    before = contents(path)
    with pytest.raises(StoreExistsError):
        store_class(path, mode)
    assert contents(path) == before
    (path / "store.json").write_bytes(header)
    with store_class(path) as store:
        assert_records(store.read_many(), images, labels)
        store.verify()


@pytest.mark.parametrize(
    "leftovers", [["store.lock"], [".tmp-store.json", "store.lock"], [".tmp-x"]]
)
def test_a_creation_cut_short_can_be_made_again(
    store_class: type[Store], path: Path, leftovers: list[str]
) -> None:
    path.mkdir()
    for name in leftovers:
        (path / name).write_bytes(b"")
    with pytest.raises(StoreNotFoundError):
        store_class(path)
    with store_class(path, "x") as store:
        store.store_single(IMAGE, 1)
        store.verify()


def test_a_creation_cut_short_before_the_header_can_be_made_again(
    store_class: type[Store], path: Path
) -> None:
    """All but the header, which comes last, is there."""
    store_class(path, "x").close()
    (path / "store.json").unlink()
    with store_class(path, "x") as store:
        store.store_single(IMAGE, 1)
        store.verify()


def test_a_creation_that_fails_leaves_nothing(
    store_class: type[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a" / "store"
    present = tmp_path / "present"
    present.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for folder in (path, present):
            with pytest.raises(OSError, match="disk full"):
                store_class(folder, "x")
    assert [*tmp_path.iterdir()] == [present]
    for folder in (path, present):
        with store_class(folder, "x") as store:
            store.store_single(IMAGE, 1)
            store.verify()


@pytest.mark.parametrize("still_open", [True, False])
def test_two_that_create_at_once_make_one_store(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch, still_open: bool
) -> None:
    """The other comes in just before the lock is taken."""
    others: list[Store] = []

    def overtaken(folder: Folder, name: str) -> WriterLock:
        monkeypatch.undo()
        others.append(store_class(path, "x"))
        others[0].store_single(IMAGE, 7)
        if not still_open:
            others[0].close()
        return WriterLock(folder, name)

    monkeypatch.setattr("storage._session.WriterLock", overtaken)
    with pytest.raises(BusyError if still_open else StoreExistsError):
        store_class(path, "x")
    others[0].close()
    with store_class(path) as store:
        assert_records(store.read_many(), [IMAGE], [7])
        store.verify()


# ---- closing -----------------------------------------------------------------------------------


def test_a_with_statement_closes_the_store(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        store.store_single(IMAGE, 1)
    with pytest.raises(ClosedError):
        store.read_single(0)
    with pytest.raises(RuntimeError), store_class(path, "a") as store:
        raise RuntimeError
    store_class(path, "a").close()  # the lock has been given back


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_closed_store_refuses_everything_but_closing(
    store_class: type[Store], path: Path, mode: Mode
) -> None:
    make(store_class, path)
    store = store_class(path, mode)
    store.close()
    store.close()
    for call in (
        lambda: store.read_single(0),
        store.read_many,
        lambda: store.read_many([]),
        lambda: store[0],
        lambda: store[1:2],
        lambda: store.__getitems__([0]),
        lambda: next(iter(store)),
        lambda: store.iter_batches(2),
        lambda: store.labels,
        lambda: store.store_single(IMAGE, 1),
        lambda: store.store_many([IMAGE], [1]),
        store.compact,
        store.verify,
        store.disk_usage,
        store.__enter__,
    ):
        with pytest.raises(ClosedError, match="closed"):
            call()


def test_a_store_that_is_dropped_gives_its_lock_back(store_class: type[Store], path: Path) -> None:
    store = store_class(path, "x")
    store.store_single(IMAGE, 1)
    del store
    store_class(path, "a").close()


def test_closing_one_reader_leaves_the_others(store_class: type[Store], path: Path) -> None:
    images, labels = make(store_class, path)
    first, second = store_class(path), store_class(path)
    first.close()
    assert_records(second.read_many(), images, labels)
    with store_class(path, "a") as writer:
        writer.store_single(IMAGE, 1)
        assert_records(second.read_many(), images, labels)
    assert_records(second.read_many(), images, labels)
    second.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_opening_and_closing_leaves_no_file_open(store_class: type[Store], path: Path) -> None:
    make(store_class, path)

    modes: list[Mode] = ["r", "a"]

    def open_files() -> int:
        for mode in modes:
            with store_class(path, mode) as store:
                store.read_many()
                store.read_many([5, 0, 3])
        return len([*Path("/proc/self/fd").iterdir()])

    before = open_files()
    assert [open_files() for _ in range(5)] == [before] * 5
