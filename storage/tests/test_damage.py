"""Damage is found: what is read is what was stored, or an error that names it."""

import os
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image as Pillow

from .. import (
    STORES,
    CorruptRecordError,
    CorruptStoreError,
    PngStore,
    StorageError,
    Store,
)
from .._catalog import LARGE_PART
from .._part import PartName
from .._registry import NpyStore
from ..containers.files import FilesContainer
from . import raw
from .children import in_child
from .samples import (
    Image,
    assert_records,
    each_store,
    labels_for,
    make,
    mixed_pictures,
    pictures,
)
from .trials import Trials

SCATTERED = [5, 0, 3, 2, 1, 4, 2, 0, 3, 5, 1, 4]


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


@each_store
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("image_id", [0, 2, 5])
def test_a_record_that_changed_is_found(
    store_class: type[Store], path: Path, change: str, image_id: int
) -> None:
    """The tables' own checksums are right: it is the record's that finds it."""
    images, labels = [*pictures(6)], labels_for(6).tolist()
    records = raw.records(images, labels)
    records[image_id] = CHANGES[change](records[image_id])
    raw.write(store_class.format, path, records, [4, 2])
    with store_class(path) as store:
        assert_found(store, image_id, images)
    with store_class(path, verify=False) as unchecked:
        unchecked.read_many([image_id])
        with pytest.raises(CorruptStoreError):
            unchecked.verify()
        unchecked.read_many([image_id])


@each_store
def test_a_plane_that_became_one_channel_is_found(store_class: type[Store], path: Path) -> None:
    images, labels = [*pictures(6, (5, 4))], labels_for(6).tolist()
    records = raw.records(images, labels)
    records[3] = records[3]._replace(image=images[3][..., np.newaxis])
    raw.write(store_class.format, path, records, [4, 2])
    with store_class(path) as store:
        assert_found(store, 3, images)


@each_store
@pytest.mark.parametrize("pair", [(0, 1), (1, 4)], ids=["one commit", "two commits"])
def test_records_that_changed_places_are_found(
    store_class: type[Store], path: Path, pair: tuple[int, int]
) -> None:
    """Image, label and checksum of each are whole, and belong to another id."""
    images, labels = [*pictures(6)], labels_for(6).tolist()
    records = raw.records(images, labels)
    one, other = pair
    records[one], records[other] = records[other], records[one]
    raw.write(store_class.format, path, records, [3, 3])
    with store_class(path) as store:
        for image_id in pair:
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
        with pytest.raises(CorruptRecordError):
            store.read_many()
        with pytest.raises(CorruptStoreError) as caught:
            store.verify()
        for image_id in pair:
            assert any(f"image {image_id} " in problem for problem in caught.value.problems)


@each_store
def test_a_label_that_changed_is_found_when_labels_are_read_alone(
    store_class: type[Store], path: Path
) -> None:
    """The tables' own checksums find it: those of the records are over the pixels too."""
    before, after = 0x0123456789ABCDEF, 0x0123456789ABCDED
    with store_class(path, "x") as store:
        store.store_many(pictures(3), [1, before, 3])
        store.store_many(pictures(3), [4, 5, 6])
    for file in path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            for form in (lambda label: label.to_bytes(8, "little"), lambda label: b"%d" % label):
                data = data.replace(form(before), form(after))
            file.write_bytes(data)
    with store_class(path, verify=False) as unchecked:
        assert unchecked.labels.tolist() == [1, after, 3, 4, 5, 6]
    with store_class(path) as store:
        for read in (lambda: store.labels, store.verify, lambda: store.read_single(1)):
            with pytest.raises(CorruptStoreError):
                read()


@each_store
def test_compacting_makes_no_damage_right(store_class: type[Store], path: Path) -> None:
    """It would, if it gave what is damaged a new checksum, which would fit."""
    records = raw.records([*pictures(6)], labels_for(6).tolist())
    records[2] = records[2]._replace(label=77)
    raw.write(store_class.format, path, records, [3, 3])
    with store_class(path, "a") as store:
        with suppress(CorruptStoreError):  # or the checksum is kept as it is, and still wrong
            store.compact()
        with pytest.raises(CorruptRecordError):
            store.read_single(2)


# ---- files -------------------------------------------------------------------------------------


@each_store
def test_a_missing_file_is_found(store_class: type[Store], path: Path, tmp_path: Path) -> None:
    """Each file in turn."""
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
    return raw.folder_of(path, raw.places(path)[0])


def assert_part_is_refused(store_class: type[Store], path: Path, images: Image) -> None:
    """Each way to read one of the first three of six images says which these are; others go on."""
    part = first_part(path)
    reads: list[Callable[[Store], object]] = [
        Store.read_many,
        lambda store: store.read_single(1),
        lambda store: store.read_many(SCATTERED),
        lambda store: store.read_many([5, 2]),
    ]
    for read in reads:
        with (
            store_class(path) as store,
            pytest.raises(CorruptStoreError, match=part.name) as caught,
        ):
            read(store)
        assert "images 0 to 2" in str(caught.value)
        assert "\n" not in str(caught.value)
    with store_class(path) as store:
        np.testing.assert_array_equal(store.read_many([5, 3, 4])[0], images[[5, 3, 4]])
        np.testing.assert_array_equal(store.read_single(4)[0], images[4])
        assert_named(store, "images 0 to 2")


CUTS = [0, 50, 200, -1]


def cut(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


INDEX_DAMAGE: dict[str, Callable[[Path], object]] = {
    **{f"cut at {length}": partial(cut, length=length) for length in CUTS},
    "lengthened to a tebibyte": lambda file: os.truncate(file, 2**40),
    "lengthened": lambda file: file.write_bytes(file.read_bytes() + bytes(8)),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "its end": lambda file: flip(file, -20),
    "the last digest": lambda file: flip(file, -1),
}


@each_store
@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_a_part_whose_index_is_damaged_is_refused_by_its_ids(
    store_class: type[Store], path: Path, damage: str
) -> None:
    images, _ = make(store_class, path)
    INDEX_DAMAGE[damage](first_part(path) / raw.INDEX)
    assert_part_is_refused(store_class, path, images)
    with store_class(path) as store, pytest.raises(CorruptStoreError, match="images 0 to 2"):
        store.labels  # noqa: B018  # read for its error


@each_store
@pytest.mark.parametrize("length", [0, 5_000])
def test_a_large_index_that_is_cut_off_while_it_is_open_is_told(
    store_class: type[Store], path: Path, length: int
) -> None:
    """One image is read from it where it lies, and more through a map."""
    n = 10_000
    with store_class(path, "x", durable=False) as store:
        store.store_many(pictures(n, (1, 1)), range(n))
    (part,) = path.glob("0*")
    whole = (part / raw.INDEX).read_bytes()
    reads: list[Callable[[Store], object]] = [
        lambda store: store.read_single(n - 1),
        lambda store: store.labels,
        lambda store: store.read_many([n - 1, 0] * 9),
    ]
    for read in reads:
        with store_class(path) as store:
            store._ready().part(PartName(0, n))  # which stays open
            os.truncate(part / raw.INDEX, length)
            with pytest.raises(CorruptStoreError, match=re.escape(str(part))):
                read(store)
        (part / raw.INDEX).write_bytes(whole)


def test_damage_to_the_index_of_a_very_large_part_leaves_the_others(path: Path) -> None:
    n = LARGE_PART + 1
    images = pictures(3, (1, 1))
    with NpyStore(path, "x", durable=False) as store:
        store.store_many(images, range(3))
        store.store_many(np.zeros((n, 1, 1), np.uint8), np.zeros(n, np.int64))
    with open(raw.folder_of(path, range(3, 3 + n)) / raw.INDEX, "r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(bytes([255]))
    with NpyStore(path) as store:
        assert_records(store.read_many([0, 1, 2]), images, range(3))
        with pytest.raises(CorruptStoreError, match=f"images 3 to {n + 2}"):
            store.read_single(3)


@each_store
def test_a_damaged_record_leaves_the_others_of_its_block(
    store_class: type[Store], path: Path
) -> None:
    """It is the first image's: where another lies must not depend on it."""
    images = mixed_pictures()
    with store_class(path, "x") as store:
        store.store_many(images, range(len(images)))
    (part,) = path.glob("0*")
    for column in ("height", "offset"):
        index = raw.read_index(part)
        index.table[column][0] += 1
        raw.write_index(part, index)
        for verify in (True, False):
            with store_class(path, verify=verify) as store:
                for i in range(1, len(images)):
                    np.testing.assert_array_equal(store.read_single(i)[0], images[i], strict=True)
                ids = [3, 7, 2, 1]
                assert_records(store.read_many(ids), [images[i] for i in ids], ids)
        index.table[column][0] -= 1
        raw.write_index(part, index)


@each_store
def test_a_part_whose_index_is_missing_is_refused(store_class: type[Store], path: Path) -> None:
    make(store_class, path)
    (first_part(path) / raw.INDEX).unlink()
    with store_class(path) as store:
        for read in (store.read_many, lambda: store.read_single(0), lambda: store.labels):
            with pytest.raises(CorruptStoreError, match=re.escape(str(first_part(path)))):
                read()
        assert_named(store, "images 0 to 2")
        store.read_single(5)


each_store_of_one_file = pytest.mark.parametrize(
    "store_class", [store for store in STORES.values() if store.container.file]
)


def cells_of(part: Path) -> Path:
    """The one file of a part that holds its images."""
    (file,) = (file for file in part.iterdir() if file.name != raw.INDEX)
    return file


@each_store_of_one_file
@pytest.mark.parametrize("length", [*CUTS, 4096, 8192])
def test_a_part_whose_file_is_cut_off_is_refused_by_its_ids(
    store_class: type[Store], path: Path, length: int
) -> None:
    images, _ = make(store_class, path, shape=(50, 50, 3))
    cut(cells_of(first_part(path)), length)
    in_child(lambda: assert_part_is_refused(store_class, path, images))


def read_and_verify(store_class: type[Store], path: Path, images: Image) -> None:
    """Each way to read six images gives all of them; `verify` names the first three."""
    for ids in ([0, 1, 2, 3, 4, 5], SCATTERED, [1]):
        with store_class(path) as store:
            np.testing.assert_array_equal(store.read_many(ids)[0], images[ids])
    with store_class(path) as store:
        assert_named(store, "images 0 to 2")


@pytest.mark.parametrize("name", ["lmdb", "lmdb-png"])
@pytest.mark.parametrize("damage", ["bit", "zeros"])
def test_pages_that_lmdb_cannot_trust_are_not_shown_to_it(
    name: str, path: Path, damage: str
) -> None:
    """Each page of a tree, as the index tells where they are. The cells are read without LMDB."""
    images, _ = make(STORES[name], path, shape=(50, 50, 3))
    file = cells_of(first_part(path))
    whole = file.read_bytes()
    index = raw.read_index(first_part(path))
    trusted = index.pairs[index.trailer.blocks :].tolist()
    pages = [at for start, length in trusted for at in range(start, start + length, 4096)]
    assert len(pages) >= 3
    for page in pages:
        data = bytearray(whole)
        if damage == "bit":
            data[page + 13] ^= 4
        else:
            data[page : page + 4096] = bytes(4096)
        if data != whole:
            file.write_bytes(data)
            in_child(lambda: read_and_verify(STORES[name], path, images))


@each_store
def test_parts_that_changed_names_are_refused(store_class: type[Store], path: Path) -> None:
    images, _ = make(store_class, path)
    raw.exchange(path, range(3), range(3, 6))
    with store_class(path) as store:
        for image_id in range(len(images)):
            with pytest.raises(CorruptStoreError, match=f"images {image_id // 3 * 3} to "):
                store.read_single(image_id)
        assert_named(store, "images 0 to 2", "images 3 to 5")


@each_store
def test_files_that_changed_parts_are_found(store_class: type[Store], path: Path) -> None:
    """All but the index, which stays."""
    images, _ = make(store_class, path)
    first, second = (raw.folder_of(path, ids) for ids in raw.places(path))
    raw.swap_paths(first, second)
    raw.swap_paths(first / raw.INDEX, second / raw.INDEX)
    with store_class(path) as store:
        for image_id in range(len(images)):
            with pytest.raises(
                CorruptStoreError, match=rf"image {image_id} |images 0|images 3|\.png|\.image"
            ):
                store.read_single(image_id)


def test_png_files_that_changed_names_are_found(path: Path) -> None:
    images, _ = make(PngStore, path)
    raw.swap_paths(*sorted(first_part(path).glob("*.png"))[:2])
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
        (lambda file: cut(file, -30), "image 1 "),
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
        (lambda file: flip(file.with_name("metadata.csv"), -2), "metadata.csv"),
    ],
    ids=["missing", "short", "empty", "no PNG", "link", "extra", "no table", "lost table", "label"],
)
def test_verify_names_the_png_file_that_is_wrong(
    path: Path, damage: Callable[[Path], object], named: str
) -> None:
    make(PngStore, path)
    damage(first_part(path) / "000000000001.png")
    with PngStore(path) as store:
        assert_named(store, named)


def test_a_table_that_claims_more_than_there_can_be_is_not_read(path: Path) -> None:
    make(PngStore, path)
    os.truncate(first_part(path) / "metadata.csv", 2**42)
    with PngStore(path) as store:
        assert_named(store, "metadata.csv")


class FilesOfPixels(NpyStore):
    """A container that has no more than it must, beside pixels."""

    container = FilesContainer(".raw")


@pytest.mark.parametrize("length", [0, 59, 61])
def test_a_cell_of_a_wrong_length_is_found(path: Path, length: int) -> None:
    images, _ = make(FilesOfPixels, path)
    os.truncate(first_part(path) / "000000000001.raw", length)
    with FilesOfPixels(path) as store:
        assert_found(store, 1, [*images])
        with pytest.raises(CorruptRecordError, match=f"image 1 is damaged.*{length} bytes"):
            store.read_many()


def test_a_png_that_another_tool_has_compressed_anew_is_read(path: Path) -> None:
    """The checksum is of the pixels."""
    images, _ = make(PngStore, path)
    file = first_part(path) / "000000000001.png"
    with Pillow.open(file) as picture:
        picture.load()
        picture.save(file, compress_level=0)
    with PngStore(path) as store:
        np.testing.assert_array_equal(store.read_single(1)[0], images[1])
        store.verify()


@pytest.mark.parametrize("name", ["npy", "hdf5", "hdf5-png"])
def test_verify_finds_a_heading_that_other_readers_need(name: str, path: Path) -> None:
    """Here the images are read without it."""
    images, labels = make(STORES[name], path)
    file = cells_of(first_part(path))
    whole = file.read_bytes()
    for at in range(raw.read_index(first_part(path)).pairs[0, 1]):
        flip(file, at)
        with STORES[name](path) as store:
            with pytest.raises(StorageError, match=re.escape(str(file))):
                store.verify()
            assert_records(store.read_many(), images, labels)
        file.write_bytes(whole)


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
    "link": lambda entry, aside: entry.symlink_to(aside),
    "pipe": lambda entry, _: os.mkfifo(entry),
    "folder or file": lambda entry, _: entry.mkdir() if entry.suffix else entry.touch(),
}


@each_store
@pytest.mark.parametrize("inside", [False, True], ids=["part", "files"])
@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_what_is_a_link_or_another_kind_of_file_is_refused(
    store_class: type[Store],
    path: Path,
    tmp_path: Path,
    trials: Trials,
    replacement: str,
    inside: bool,
) -> None:
    """A part, or each file in it; `metadata.csv` is read by none but `verify`."""
    make(store_class, path)
    part = first_part(path)
    for entry in sorted(part.iterdir()) if inside else [part]:
        entry.rename(tmp_path / "aside")
        REPLACEMENTS[replacement](entry, tmp_path / "aside")
        with store_class(path) as store:
            assert_named(store, part.name)
            if entry.name != "metadata.csv":
                with pytest.raises(CorruptStoreError, match=part.name):
                    store.read_many()
            trials.count("hostile files", store_class.format, "refused")
        entry.rmdir() if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (tmp_path / "aside").rename(entry)
    with store_class(path) as store:
        store.verify()


@each_store
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
@each_store
def test_a_listing_torn_by_a_writer_is_made_again(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """A long directory is listed in pieces: a later name may be seen and an earlier one not."""
    images, labels = make(store_class, path)
    part = raw.folder_of(path, raw.places(path)[place]).name
    torn = [name for name in os.listdir(path) if name != part]
    genuine = os.listdir
    listings: list[list[str]] = []

    def listdir(folder: Path) -> list[str]:
        listings.append(genuine(folder) if listings else torn)
        return listings[-1]

    monkeypatch.setattr(os, "listdir", listdir)
    with store_class(path) as store:
        assert_records(store.read_many(), images, labels)
    assert len(listings) == 2


@each_store
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


@each_store
def test_a_count_that_lags_behind_is_good_and_the_next_writer_mends_it(
    store_class: type[Store], path: Path
) -> None:
    """It does so too where a writer was killed between a commit and the renaming."""
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


@each_store
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


# ---- blocks of LMDB whose digests fit ----------------------------------------------------------


def put_block(row: int, value: Callable[[bytes], bytes]) -> Callable[[lmdb.Transaction], object]:
    key = struct.pack(">Q", row)
    return lambda transaction: transaction.put(key, value(bytes(transaction.get(key, b""))))


def swap(transaction: lmdb.Transaction) -> None:
    keys = [struct.pack(">Q", row) for row in (0, 3)]
    values = [bytes(transaction.get(key, b"")) for key in keys]
    for key, value in zip(keys, reversed(values), strict=True):
        transaction.put(key, value)


@pytest.mark.parametrize("name", ["lmdb", "lmdb-png"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda transaction: transaction.delete(struct.pack(">Q", 0)),
        swap,
        put_block(0, lambda _: b""),
        put_block(0, lambda value: value[:-1]),
        put_block(0, lambda value: value + b"\0"),
        put_block(0, lambda value: value[::-1]),
    ],
    ids=["missing", "swapped", "empty", "short", "long", "reversed"],
)
def test_an_lmdb_block_that_is_wrong_is_found(
    name: str, path: Path, damage: Callable[[lmdb.Transaction], object]
) -> None:
    """Written by LMDB itself, in a file that is sound; what was stored may still be in its place."""
    images, labels = [*pictures(6)], [*range(6)]
    raw.write(name, path, raw.records(images, labels), [6])
    file = first_part(path) / "data.mdb"
    with (
        lmdb.open(str(file), subdir=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        damage(transaction)
    raw.trust_all(first_part(path), file)
    with STORES[name](path) as store:
        for ids in (range(6), SCATTERED):
            with suppress(CorruptStoreError):
                assert_records(store.read_many(ids), [images[i] for i in ids], ids)
        with pytest.raises(CorruptStoreError):
            store.verify()
        assert store.labels.tolist() == labels
