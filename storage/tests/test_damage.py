"""Damage is found: what is read is what was stored, or an error that names it."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import lmdb
import numpy as np
import pytest

from .. import (
    STORES,
    CorruptRecordError,
    CorruptStoreError,
    Hdf5Store,
    LmdbStore,
    PngStore,
    StorageError,
    Store,
)
from . import raw
from .children import in_child
from .samples import (
    Image,
    assert_records,
    each_store,
    labels_for,
    make,
    pictures,
)
from .trials import Trials

each_format = pytest.mark.parametrize("name", raw.PUTTERS)

SCATTERED = [5, 0, 3, 2, 1, 4, 2, 0, 3, 5, 1, 4]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def assert_found(store: Store, image_id: int, intact: list[Image]) -> None:
    """Every way to read the damaged record is refused, `verify` names it, others are read."""
    for read in (
        lambda: store.read_single(image_id),
        store.read_many,
        lambda: store.read_many(SCATTERED),
        lambda: store.read_many([image_id]),
        lambda: [*store],
    ):
        with pytest.raises(CorruptStoreError) as caught:
            read()
        assert str(store.path) in str(caught.value)
        assert "\n" not in str(caught.value)
    for i, image in enumerate(intact):
        if i != image_id:
            np.testing.assert_array_equal(store.read_single(i)[0], image, strict=True)
    with pytest.raises(CorruptStoreError) as caught:
        store.verify()
    assert any(f"image {image_id} " in problem for problem in caught.value.problems)


# ---- one record, in files that are otherwise consistent ----------------------------------------


def flip_pixel(record: raw.Record) -> raw.Record:
    image = record.image.copy()
    image.flat[-1] ^= 1
    return record._replace(image=image)


CHANGES: dict[str, Callable[[raw.Record], raw.Record]] = {
    "pixel": flip_pixel,
    "label": lambda record: record._replace(label=record.label ^ 1),
    "label's sign": lambda record: record._replace(label=-record.label),
    "checksum": lambda record: record._replace(checksum=record.checksum ^ 2**63),
    "lines and columns": lambda record: record._replace(
        image=record.image.reshape(record.image.shape[1::-1] + record.image.shape[2:])
    ),
}


@each_format
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("image_id", [0, 2, 5])
def test_a_record_that_changed_is_found(name: str, path: Path, change: str, image_id: int) -> None:
    """The tables' own checksums are right: it is the record's that finds it."""
    images, labels = [*pictures(6)], labels_for(6).tolist()
    records = raw.records(images, labels)
    records[image_id] = CHANGES[change](records[image_id])
    path.mkdir()
    raw.write(name, path, records, [4, 2])
    with STORES[name](path) as store:
        assert_found(store, image_id, images)
    with STORES[name](path, verify=False) as unchecked:
        unchecked.read_many([image_id])
        with pytest.raises(CorruptStoreError):
            unchecked.verify()
        unchecked.read_many([image_id])


@each_format
def test_a_plane_that_became_one_channel_is_found(name: str, path: Path) -> None:
    images, labels = [*pictures(6, (5, 4))], labels_for(6).tolist()
    records = raw.records(images, labels)
    records[3] = records[3]._replace(image=images[3][..., np.newaxis])
    path.mkdir()
    raw.write(name, path, records, [4, 2])
    with STORES[name](path) as store:
        assert_found(store, 3, images)


@each_format
@pytest.mark.parametrize("pair", [(0, 1), (1, 4)], ids=["one commit", "two commits"])
def test_records_that_changed_places_are_found(
    name: str, path: Path, pair: tuple[int, int]
) -> None:
    """Image, label and checksum of each are whole, and belong to another id."""
    images, labels = [*pictures(6)], labels_for(6).tolist()
    records = raw.records(images, labels)
    one, other = pair
    records[one], records[other] = records[other], records[one]
    path.mkdir()
    raw.write(name, path, records, [3, 3])
    with STORES[name](path) as store:
        for image_id in pair:
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
        with pytest.raises(CorruptRecordError):
            store.read_many()
        with pytest.raises(CorruptStoreError) as caught:
            store.verify()
        for image_id in pair:
            assert any(f"image {image_id} " in problem for problem in caught.value.problems)


@each_format
def test_a_label_that_changed_is_found_when_labels_are_read_alone(name: str, path: Path) -> None:
    """By the tables' own checksums: those of the records are over the pixels too."""
    before, after = 0x0123456789ABCDEF, 0x0123456789ABCDED
    with STORES[name](path, "x") as store:
        store.store_many(pictures(3), [1, before, 3])
        store.store_many(pictures(3), [4, 5, 6])
    for file in path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            for form in (lambda label: label.to_bytes(8, "little"), lambda label: b"%d" % label):
                data = data.replace(form(before), form(after))
            file.write_bytes(data)
    with STORES[name](path, verify=False) as unchecked:
        assert unchecked.labels.tolist() == [1, after, 3, 4, 5, 6]
    with STORES[name](path) as store:
        for read in (lambda: store.labels, store.verify, lambda: store.read_single(1)):
            with pytest.raises(CorruptStoreError):
                read()


@each_format
def test_compacting_makes_no_damage_right(name: str, path: Path) -> None:
    """By giving what is damaged a new checksum, which would fit."""
    records = raw.records([*pictures(6)], labels_for(6).tolist())
    records[2] = records[2]._replace(label=77)
    path.mkdir()
    raw.write(name, path, records, [3, 3])
    with STORES[name](path, "a") as store:
        with suppress(CorruptStoreError):  # or the checksum is kept as it is, and still wrong
            store.compact()
        with pytest.raises(CorruptRecordError):
            store.read_single(2)


# ---- files -------------------------------------------------------------------------------------


@each_store
def test_a_missing_file_is_found(store_class: type[Store], path: Path, tmp_path: Path) -> None:
    """Each file in turn; nothing counts the commits, so without the last one the store is shorter."""
    images, labels = make(store_class, path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and "lock" not in file.name)
    assert len(files) > 1

    def read() -> str:
        with suppress(StorageError), store_class(path) as store:
            store.verify()
            assert_records(store.read_many(), images[:3], labels[:3])
            return "the first commit"
        return "refused"

    found = []
    for file in files:
        file.rename(tmp_path / "aside")
        found.append(in_child(read))
        (tmp_path / "aside").rename(file)
    assert found.count("the first commit") <= 1
    with store_class(path) as store:
        store.verify()


def assert_named(store: Store, *names: str) -> None:
    """`verify` has a problem that names each."""
    with pytest.raises(CorruptStoreError) as caught:
        store.verify()
    for name in names:
        assert any(name in problem for problem in caught.value.problems), caught.value.problems


def first_part(path: Path) -> Path:
    return min(part for part in path.iterdir() if part.name[0] == "0")


def test_png_files_that_changed_names_are_found(path: Path) -> None:
    images, _ = make(PngStore, path)
    one, other = sorted(first_part(path).glob("*.png"))[:2]
    aside = path / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    with PngStore(path) as store:
        for image_id in (0, 1):
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
        np.testing.assert_array_equal(store.read_single(2)[0], images[2])
        assert_named(store, "image 0 ", "image 1 ")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda file: file.unlink(), "000000000001.png"),
        (lambda file: file.write_bytes(file.read_bytes()[:-30]), "image 1 "),
        (lambda file: file.write_bytes(b""), "image 1 "),
        (lambda file: file.write_bytes(b"GIF89a"), "image 1 "),
        (
            lambda file: (
                file.rename(file.parents[2] / "x"),
                file.symlink_to(file.parents[2] / "x"),
            ),
            "000000000001.png",
        ),
        (lambda file: file.with_name("000000000099.png").write_bytes(b""), "000000000099.png"),
        (lambda file: file.with_name("metadata.csv").write_bytes(b""), "metadata.csv"),
        (lambda file: file.with_name("metadata.csv").unlink(), "metadata.csv"),
    ],
    ids=["missing", "short", "empty", "no PNG", "link", "extra", "no table", "table missing"],
)
def test_verify_names_the_png_file_that_is_wrong(
    path: Path, damage: Callable[[Path], object], named: str
) -> None:
    make(PngStore, path)
    damage(first_part(path) / "000000000001.png")
    with PngStore(path) as store:
        assert_named(store, named)


def test_a_table_row_cannot_name_a_file_elsewhere(
    path: Path, tmp_path: Path, trials: Trials
) -> None:
    make(PngStore, path)
    table = first_part(path) / "metadata.csv"
    (first_part(path) / "000000000001.png").rename(tmp_path / "000000000001.png")
    for name in ("../../000000000001.png", str(tmp_path / "000000000001.png")):
        changed = table.read_bytes().replace(b"000000000001.png", name.encode())
        table.write_bytes(changed)
        with PngStore(path) as store, pytest.raises(CorruptStoreError):
            store.read_many()
        trials.count("hostile files", PngStore.format, "refused")


REPLACEMENTS: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda part, aside: part.symlink_to(aside),
    "pipe": lambda part, _: os.mkfifo(part),
    "folder or file": lambda part, _: part.mkdir() if part.suffix else part.touch(),
}


@pytest.mark.parametrize("store_class", [PngStore, Hdf5Store])
@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_a_part_that_is_a_link_or_another_kind_of_file_is_refused(
    store_class: type[Store], path: Path, tmp_path: Path, trials: Trials, replacement: str
) -> None:
    make(store_class, path)
    part = first_part(path)
    part.rename(tmp_path / "aside")
    REPLACEMENTS[replacement](part, tmp_path / "aside")
    with store_class(path) as store:
        for read in (store.read_many, lambda: store.read_single(0), lambda: store.labels):
            with pytest.raises(CorruptStoreError, match=part.name):
                read()
            trials.count("hostile files", store_class.format, "refused")
        assert_named(store, part.name)


@pytest.mark.parametrize("store_class", [PngStore, Hdf5Store])
def test_a_part_that_is_missing_before_others_is_refused(
    store_class: type[Store], path: Path, tmp_path: Path
) -> None:
    make(store_class, path)
    with store_class(path) as opened:
        first_part(path).rename(tmp_path / "aside")
        with pytest.raises(CorruptStoreError, match="images 0 to 2 are missing"):
            store_class(path)
        with pytest.raises(CorruptStoreError):
            opened.read_many()


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("store_class", [PngStore, Hdf5Store])
def test_a_listing_torn_by_a_writer_is_made_again(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """A long directory is listed in pieces: a later name may be seen and an earlier one not."""
    images, labels = make(store_class, path)
    parts = sorted(name for name in os.listdir(path) if re.match(r"\d{12}-", name))
    torn = [name for name in os.listdir(path) if name != parts[place]]
    genuine = os.listdir
    listings: list[list[str]] = []

    def listdir(folder: Path) -> list[str]:
        listings.append(genuine(folder) if listings else torn)
        return listings[-1]

    monkeypatch.setattr(os, "listdir", listdir)
    with store_class(path) as store:
        assert_records(store.read_many(), images, labels)
    assert len(listings) == 2


@pytest.mark.parametrize("store_class", STORES.values())
def test_the_loss_of_what_was_stored_last_is_found(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    (count,) = path.glob("count-*")
    held = int(count.name.removeprefix("count-"))
    count.rename(path / f"count-{held + 2:012d}")  # as if two more had been there once
    said = f"images {held} to {held + 1} are missing"
    with pytest.raises(CorruptStoreError, match=said):
        store_class(path)
    with pytest.raises(CorruptStoreError, match=said):
        store_class(path, "a")


@pytest.mark.parametrize("store_class", STORES.values())
def test_a_count_that_lags_behind_is_good_and_the_next_writer_mends_it(
    store_class: type[Store], path: Path
) -> None:
    """So it does where a writer was killed between a commit and the renaming."""
    images, labels = make(store_class, path)
    (count,) = path.glob("count-*")
    count.rename(path / "count-000000000001")
    with store_class(path) as store:
        store.verify()
        assert_records(store.read_many(), images, labels)
    with store_class(path, "a") as store:
        assert [file.name for file in path.glob("count-*")] == [f"count-{len(images):012d}"]
        store.store_single(images[0], 7)
        store.verify()
    assert [file.name for file in path.glob("count-*")] == [f"count-{len(images) + 1:012d}"]


@pytest.mark.parametrize("store_class", STORES.values())
def test_verify_finds_a_count_that_is_missing_or_there_twice(
    store_class: type[Store], path: Path
) -> None:
    make(store_class, path)
    (count,) = path.glob("count-*")
    (path / "count-000000000001").touch()
    with store_class(path) as store, pytest.raises(CorruptStoreError, match="has 2 files named"):
        store.verify()
    (path / "count-000000000001").unlink()
    count.unlink()
    with store_class(path) as store, pytest.raises(CorruptStoreError, match="has 0 files named"):
        store.verify()


@pytest.mark.parametrize("length", [0, 100, 4096, 8192, 12288])
def test_a_truncated_lmdb_file_is_refused(path: Path, length: int) -> None:
    make(LmdbStore, path, n=40, shape=(32, 32, 3))
    data = path / "data.mdb"
    data.write_bytes(data.read_bytes()[:length])

    def read() -> None:
        for mode in ("r", "a"):
            with pytest.raises(CorruptStoreError):
                LmdbStore(path, "r" if mode == "r" else "a")

    in_child(read)


def test_an_lmdb_file_that_is_a_link_is_refused(path: Path, tmp_path: Path, trials: Trials) -> None:
    make(LmdbStore, path)
    (path / "data.mdb").rename(tmp_path / "aside")
    (path / "data.mdb").symlink_to(tmp_path / "aside")
    with pytest.raises(CorruptStoreError, match=r"data\.mdb"):
        LmdbStore(path)
    trials.count("hostile files", LmdbStore.format, "refused")


def drop(key: bytes) -> Callable[[lmdb.Transaction], object]:
    return lambda transaction: transaction.delete(key)


def swap(transaction: lmdb.Transaction) -> None:
    one, other = (bytes(transaction.get(bytes([*bytes(7), first]), b"")) for first in (0, 3))
    transaction.put(bytes(8), other)
    transaction.put(bytes([*bytes(7), 3]), one)


def lie_about(offset: int, field: bytes) -> Callable[[lmdb.Transaction], object]:
    def change(transaction: lmdb.Transaction) -> None:
        value = bytes(transaction.get(bytes(8), b""))
        transaction.put(bytes(8), value[:offset] + field + value[offset + len(field) :])

    return change


@pytest.mark.parametrize(
    "damage",
    [
        drop(bytes(8)),
        swap,
        lambda transaction: transaction.put(bytes(9), b"foreign"),
        lambda transaction: transaction.put(bytes(8), b""),
        lie_about(24, b"\xff\xff\xff\xff"),
        lie_about(28, b"\xff\xff\xff\xff" * 3),
        lie_about(36, bytes(4)),
        lie_about(36, b"\x05\0\0\0"),
    ],
    ids=["missing", "swapped", "foreign", "empty", "count", "sides", "plane", "channels"],
)
def test_an_lmdb_block_that_is_wrong_is_refused(
    path: Path, damage: Callable[[lmdb.Transaction], object]
) -> None:
    make(LmdbStore, path)
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        damage(transaction)
    reads: list[Callable[[Store], object]] = [
        Store.read_many,
        lambda store: store.read_many(SCATTERED),
        lambda store: store.labels,
        Store.verify,
    ]
    for read in reads:
        for verify in (True, False):
            with pytest.raises(CorruptStoreError), LmdbStore(path, verify=verify) as store:
                read(store)


@pytest.mark.parametrize("length", [0, 100, 1000, -1])
def test_a_truncated_hdf5_file_is_refused(path: Path, length: int) -> None:
    make(Hdf5Store, path)
    part = first_part(path)
    part.write_bytes(part.read_bytes()[:length])
    with Hdf5Store(path) as store:
        for read in (store.read_many, lambda: store.read_single(0), lambda: store.labels):
            with pytest.raises(CorruptStoreError, match=part.name):
                read()
        assert_named(store, part.name)


def test_hdf5_files_that_changed_names_are_found(path: Path) -> None:
    images, _ = make(Hdf5Store, path)
    one, other = sorted(path.glob("*.h5"))
    aside = path / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    with Hdf5Store(path) as store:
        for image_id in range(len(images)):
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
