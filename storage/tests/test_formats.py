"""What lies on disk is what each module says, seen and made by the plain libraries of `raw`."""

import csv
import errno
import os
import pickle
import pickletools
import re
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest

from .. import STORES, CorruptRecordError, Hdf5Store, LmdbStore, PngStore, Store, StoreIOError
from .._hdf5 import Hdf5Part, Room
from .._records import make_batch
from . import raw
from .samples import (
    INT64_LIMITS,
    SHAPES,
    Image,
    assert_records,
    each_store,
    labels_for,
    mixed_pictures,
    pictures,
)

each_format = pytest.mark.parametrize("name", raw.READERS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def content() -> tuple[list[Image], list[int], list[int]]:
    """Images, labels and the sizes of the commits: one shape, then many, then one."""
    images = [*pictures(7), *mixed_pictures(), *pictures(1, (6, 5), seed=9)]
    labels = [*labels_for(len(images) - 2).tolist(), *INT64_LIMITS]
    return images, labels, [3, 4, len(SHAPES), 1]


def assert_same_records(found: raw.Records, expected: raw.Records) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image, strict=True)
        assert (one.label, one.checksum) == (other.label, other.checksum)


# ---- both directions ---------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize("compacted", [False, True], ids=["as stored", "compacted"])
def test_the_plain_library_reads_what_the_store_wrote(
    name: str, path: Path, compacted: bool
) -> None:
    images, labels, sizes = content()
    with STORES[name](path, "x") as store:
        start = 0
        for n in sizes:
            store.store_many(images[start : start + n], labels[start : start + n])
            start += n
        if compacted:
            store.compact()
    assert_same_records(raw.READERS[name](path), raw.records(images, labels))


@each_format
def test_the_store_reads_what_the_plain_library_wrote(name: str, path: Path) -> None:
    images, labels, sizes = content()
    path.mkdir()
    raw.write(name, path, raw.records(images, labels), sizes)
    order = np.random.default_rng(4).integers(0, len(images), 50)
    with STORES[name](path) as store:
        assert_records(store.read_many(), images, labels)
        picked = [images[i] for i in order], [labels[i] for i in order]
        assert_records(store.read_many(order), *picked)
        assert store.labels.tolist() == labels
        store.verify()
    with STORES[name](path, "a") as store:
        assert store.store_single(images[0], 5) == len(images)
        store.compact()
        assert_records(store.read_many(), [*images, images[0]], [*labels, 5])
        store.verify()
    expected = raw.records([*images, images[0]], [*labels, 5])
    assert_same_records(raw.READERS[name](path), expected)


@each_format
def test_a_record_with_the_checksum_of_another_id_is_refused(name: str, path: Path) -> None:
    """Written by hand, whole and consistent, but for the ids in two checksums."""
    images, labels, sizes = content()
    path.mkdir()
    records = raw.records(images, labels)
    records[1:3] = [
        record._replace(checksum=raw.checksum(other, record.label, record.image))
        for record, other in zip(records[1:3], (2, 1), strict=True)
    ]
    raw.write(name, path, records, sizes)
    with STORES[name](path) as store:
        for image_id in (1, 2):
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
        store.read_single(0)
    with STORES[name](path, verify=False) as store:
        assert_records(store.read_many(), images, labels)


# ---- png ---------------------------------------------------------------------------------------


def test_png_folders_are_what_image_folder_expects(path: Path) -> None:
    """A metadata.csv per folder; file_name first, relative, beside the file; then the label."""
    images, labels, sizes = content()
    with PngStore(path, "x") as store:
        store.store_many(images[:5], labels[:5])
        store.store_many(images[5:], labels[5:])
    tables = sorted(path.rglob("metadata.csv"))
    assert [table.parent.name for table in tables] == [
        "000000000000-000000000005",
        f"000000000005-{len(images):012d}",
    ]
    found: list[int] = []
    for table in tables:
        assert table.read_bytes().count(b"\r") == 0
        with table.open(newline="") as file:
            rows = csv.DictReader(file)
            assert rows.fieldnames is not None
            assert rows.fieldnames[:2] == ["file_name", "label"]
            listed = {row["file_name"]: int(row["label"]) for row in rows}
        assert {file.name for file in table.parent.iterdir()} == {"metadata.csv", *listed}
        found += listed.values()
    assert found == labels
    assert len(sizes) == 4


def test_png_files_have_the_colour_type_of_their_channels(path: Path) -> None:
    images = [
        pictures(1, shape)[0] for shape in ((3, 4), (3, 4, 1), (3, 4, 2), (3, 4, 3), (3, 4, 4))
    ]
    with PngStore(path, "x") as store:
        store.store_many(images, range(5))
    files = [file.read_bytes() for file in sorted(path.rglob("*.png"))]
    assert [data[:8] for data in files] == [b"\x89PNG\r\n\x1a\n"] * 5
    assert [data[25] for data in files] == [0, 0, 4, 2, 6]


# ---- lmdb --------------------------------------------------------------------------------------


def blocks(path: Path) -> dict[int, bytes]:
    with lmdb.open(str(path), readonly=True) as environment, environment.begin() as transaction:
        return {int.from_bytes(key, "big"): value for key, value in transaction.cursor()}


def test_lmdb_blocks_hold_what_fits_in_128_kib(path: Path) -> None:
    with LmdbStore(path, "x") as store:
        store.store_many(pictures(50, (32, 32, 3)), range(50))  # 3,088 bytes each with its row
        store.store_many(pictures(2, (200, 200, 3)), range(2))  # larger than a block
    found = blocks(path)
    assert [*found] == [0, 42, 50, 51]
    assert all(len(found[first]) < 2**17 for first in (0, 42))


def test_lmdb_compaction_fills_blocks(path: Path) -> None:
    with LmdbStore(path, "x") as store:
        for image in pictures(50, (32, 32, 3)):
            store.store_single(image, 1)
        assert len(blocks_of(store)) == 50
        store.compact()
    assert [*blocks(path)] == [0, 42]


def blocks_of(store: LmdbStore) -> list[int]:
    """The blocks of a store that is open here: LMDB lets a process open a file only once."""
    with store._environment.transaction() as transaction:
        return [int.from_bytes(key, "big") for key, _ in transaction.cursor()]


# ---- hdf5 --------------------------------------------------------------------------------------


def test_hdf5_data_sets_are_contiguous_and_of_the_documented_types(path: Path) -> None:
    with Hdf5Store(path, "x") as store:
        store.store_many(pictures(4), range(4))
        store.store_many(mixed_pictures(), range(len(SHAPES)))
    expected = [
        {"images": "|u1", "labels": "<i8", "checksums": "<u8", "table_checksum": "<u8"},
        {"pixels": "|u1", "offsets": "<i8", "shapes": "<i8", "labels": "<i8"}
        | {"checksums": "<u8", "table_checksum": "<u8"},
    ]
    for file_path, types in zip(sorted(path.glob("*.h5")), expected, strict=True):
        with h5py.File(file_path) as file:
            assert {name: data_set.dtype.str for name, data_set in file.items()} == types
            for data_set in file.values():
                assert data_set.chunks is None
                assert data_set.compression is None
                assert not data_set.external


def parts(path: Path) -> list[str]:
    return sorted(file.stem for file in path.glob("*.h5"))


def test_hdf5_small_commits_share_files(path: Path) -> None:
    images, labels = pictures(400), labels_for(400)
    lengths = []
    with Hdf5Store(path, "x", durable=False) as store:
        for i in range(400):
            store.store_single(images[i], int(labels[i]))
            if i in (0, 1, 17, 80, 399):
                with Hdf5Store(path) as reader:
                    lengths.append(len(reader))
                    assert_records(reader.read_many(), images[: i + 1], labels[: i + 1])
    assert lengths == [1, 2, 18, 81, 400]
    # Files of 1, 16, 64 and 256 rows, and the last, of which 63 rows are taken.
    spans = [(0, 1), (1, 17), (17, 81), (81, 337), (337, 400)]
    assert parts(path) == [f"{first:012d}-{stop:012d}" for first, stop in spans]
    assert_same_records(raw.read_hdf5(path), raw.records([*images], labels.tolist()))
    with Hdf5Store(path, "a") as store:  # reopened, it goes on in the same file
        store.store_many(images[:2], [1, 2])
        store.verify()
    assert parts(path)[-1] == f"{337:012d}-{402:012d}"


def test_hdf5_room_is_for_one_shape_and_for_what_fits(path: Path) -> None:
    batches = [pictures(n, shape) for n, shape in ((1, (5, 4)), (1, (5, 4)), (15, (5, 4)))]
    batches += [pictures(1, (4, 5)), pictures(60, (5, 4)), pictures(2, (5, 4)), pictures(1, (5, 4))]
    with Hdf5Store(path, "x") as store:
        for batch in batches:
            store.store_many(batch, range(len(batch)))
        images = [image for batch in batches for image in batch]
        labels = [label for batch in batches for label in range(len(batch))]
        assert_records(store.read_many(), images, labels)
    assert [name.split("-")[0].lstrip("0") for name in parts(path)] == ["", "1", "17", "18", "78"]
    assert_same_records(raw.read_hdf5(path), raw.records(images, labels))


def test_hdf5_a_reader_keeps_what_it_saw_while_the_file_is_filled(path: Path) -> None:
    images, labels = pictures(40), labels_for(40)
    with Hdf5Store(path, "x") as store:
        for i in range(3):
            store.store_single(images[i], int(labels[i]))
        with Hdf5Store(path) as early, Hdf5Store(path) as late:
            assert_records(early.read_many(), images[:3], labels[:3])
            for i in range(3, 40):
                store.store_single(images[i], int(labels[i]))
            for reader in (early, late):
                assert len(reader) == 3
                assert_records(reader.read_many(), images[:3], labels[:3])
                assert reader.labels.tolist() == labels[:3].tolist()
                reader.verify()


def test_hdf5_rows_that_were_never_committed_are_not_seen(path: Path) -> None:
    """A writer that is killed before it renames the file leaves them."""
    images, labels = pictures(8), [*range(8)]
    with Hdf5Store(path, "x") as store:
        store.store_single(images[0], 0)
        store.store_single(images[1], 1)
        room = Room(Hdf5Part(path, store._names[-1]))
        room.write(make_batch(2, images[5:8], [5, 6, 7]), durable=False)
    with Hdf5Store(path) as store:
        store.verify()
        assert_records(store.read_many(), images[:2], labels[:2])
    with Hdf5Store(path, "a") as store:
        store.store_many(images[2:4], labels[2:4])
        store.verify()
        assert_records(store.read_many(), images[:4], labels[:4])


@pytest.mark.parametrize("failing", [1, 2])  # the sync of the file, that of the folder
def test_hdf5_a_commit_into_room_that_cannot_be_synced_is_undone(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    images, labels = pictures(6), [*range(6)]
    genuine, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EIO, "Input/output error")
        genuine(descriptor)

    with Hdf5Store(path, "x") as store:
        store.store_single(images[0], 0)
        store.store_single(images[1], 1)
        before = parts(path)
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(StoreIOError):
            store.store_many(images[4:], [8, 9])
        assert parts(path) == before
        assert len(store) == 2
        store.store_many(images[2:5], labels[2:5])
        store.verify()
        assert_records(store.read_many(), images[:5], labels[:5])


@pytest.mark.parametrize("how", ["compressed", "big-endian", "external", "one row short"])
def test_hdf5_refuses_data_sets_of_another_kind(path: Path, how: str) -> None:
    images, labels = [*pictures(4)], [1, 2, 3, 4]
    path.mkdir()
    raw.write("hdf5", path, raw.records(images, labels), [4])
    (file_path,) = path.glob("*.h5")
    with h5py.File(file_path, "a") as file:
        data = file["images"][()]
        del file["images"]
        if how == "compressed":
            file.create_dataset("images", data=data, compression="gzip")
        elif how == "big-endian":
            file["images"] = data
            del file["labels"]
            file["labels"] = np.array(labels, ">i8")
        elif how == "external":
            outside = [(path.parent / "outside", 0, data.nbytes)]
            file.create_dataset("images", data=data, external=outside)
        else:
            file["images"] = data[:3]
    with Hdf5Store(path) as store:
        for read in (store.read_many, lambda: store.read_single(0), lambda: store.labels):
            with pytest.raises(OSError, match=re.escape(str(file_path))):
                read()


# ---- labels alone, no pickle -------------------------------------------------------------------


def test_png_labels_are_read_without_the_pixels(path: Path) -> None:
    with PngStore(path, "x") as store:
        store.store_many(pictures(3), [5, 6, 7])
    for file in path.rglob("*.png"):
        file.unlink()
    with PngStore(path) as store:
        assert store.labels.tolist() == [5, 6, 7]


def test_lmdb_labels_are_read_without_the_pixels(path: Path) -> None:
    with LmdbStore(path, "x") as store:
        store.store_many(pictures(3), [5, 6, 7])
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        value = transaction.get(bytes(8), b"")
        transaction.put(bytes(8), value[: 40 + 16 * 3] + bytes(len(value) - 40 - 16 * 3))
    with LmdbStore(path) as store:
        assert store.labels.tolist() == [5, 6, 7]
        with pytest.raises(CorruptRecordError):
            store.read_many()


def test_hdf5_labels_are_read_without_the_pixels(path: Path) -> None:
    with Hdf5Store(path, "x") as store:
        store.store_many(pictures(3), [5, 6, 7])
    (file_path,) = path.glob("*.h5")
    with h5py.File(file_path, "a") as file:
        file["images"][...] = 0
    with Hdf5Store(path) as store:
        assert store.labels.tolist() == [5, 6, 7]
        with pytest.raises(CorruptRecordError):
            store.read_many()


def pickles_in(data: bytes) -> list[int]:
    """Where a pickle of protocol 2 or later begins that can be taken apart to its end."""
    starts = []
    for match in re.finditer(rb"\x80[\x02-\x05]", data):
        try:
            for _ in pickletools.genops(data[match.start() :]):
                pass
        except (ValueError, IndexError):
            continue
        starts.append(match.start())
    return starts


def test_a_pickle_would_be_found() -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickles_in(b"store" + pickle.dumps((pictures(1), 3), protocol) + b"more") == [5]


@each_store
def test_no_stored_byte_is_a_pickle(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pickled(*_arguments: object, **_options: object) -> None:
        raise AssertionError("pickled")

    for function in ("dump", "dumps", "Pickler", "_dump", "_dumps"):
        monkeypatch.setattr(pickle, function, pickled)
    images, labels, _ = content()
    with store_class(path, "x") as store:
        store.store_many(images, labels)
        store.store_single(images[0], 3)
        store.compact()
    for file in path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert pickles_in(data) == []
            with pytest.raises(Exception):  # noqa: B017, PT011  # no pickle: of many kinds
                pickle.loads(data)
