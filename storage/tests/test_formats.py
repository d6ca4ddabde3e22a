"""What lies on disk is what each module says, seen and made by the plain libraries of `raw`."""

import ast
import csv
import inspect
import io
import pickle
import pickletools
import re
import textwrap
from contextlib import suppress
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from PIL import Image as Pillow

from .. import STORES, CorruptRecordError, CorruptStoreError, Hdf5Store, LmdbStore, PngStore, Store
from .. import _index as index_module
from ..containers import files, hdf5, npy
from ..containers import lmdb as lmdb_container
from . import raw
from .samples import (
    INT64_LIMITS,
    SHAPES,
    Image,
    assert_image,
    assert_records,
    each_store,
    labels_for,
    mixed_pictures,
    pictures,
)


def content() -> tuple[list[Image], list[int], list[int]]:
    """Images, labels and the sizes of the commits: one shape, then many, then one."""
    images = [*pictures(7), *mixed_pictures(), *pictures(1, (6, 5), seed=9)]
    labels = [*labels_for(len(images) - 2).tolist(), *INT64_LIMITS]
    return images, labels, [3, 4, len(SHAPES), 1]


def store_all(store: Store, images: list[Image], labels: list[int], sizes: list[int]) -> None:
    """In calls of so many images."""
    for ids in raw.commit_ids(sizes):
        store.store_many(images[ids.start : ids.stop], labels[ids.start : ids.stop])


def assert_same_records(found: raw.Records, expected: raw.Records) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image, strict=True)
        assert (one.label, one.checksum) == (other.label, other.checksum)


def only_part(store: Path) -> Path:
    (ids,) = raw.places(store)
    return raw.folder_of(store, ids)


# ---- both directions ---------------------------------------------------------------------------


def test_every_store_is_read_and_written_by_plain_libraries() -> None:
    assert raw.STORES.keys() == STORES.keys()


@each_store
@pytest.mark.parametrize("compacted", [False, True], ids=["as stored", "compacted"])
def test_the_plain_library_reads_what_the_store_wrote(
    store_class: type[Store], path: Path, compacted: bool
) -> None:
    images, labels, sizes = content()
    with store_class(path, "x") as store:
        store_all(store, images, labels, sizes)
        if compacted:
            store.compact()
    expected = raw.commit_ids([len(images)] if compacted else sizes)
    assert raw.places(path) == expected
    assert_same_records(raw.read(store_class.format, path), raw.records(images, labels))


@each_store
def test_the_store_reads_what_the_plain_library_wrote(store_class: type[Store], path: Path) -> None:
    images, labels, sizes = content()
    raw.write(store_class.format, path, raw.records(images, labels), sizes)
    order = np.random.default_rng(4).integers(0, len(images), 50)
    with store_class(path) as store:
        assert_records(store.read_many(), images, labels)
        picked = [images[i] for i in order], [labels[i] for i in order]
        assert_records(store.read_many(order), *picked)
        assert store.labels.tolist() == labels
        store.verify()
    with store_class(path, "a") as store:
        assert store.store_single(images[0], 5) == len(images)
        store.compact()
        assert_records(store.read_many(), [*images, images[0]], [*labels, 5])
        store.verify()
    expected = raw.records([*images, images[0]], [*labels, 5])
    assert_same_records(raw.read(store_class.format, path), expected)


@each_store
def test_a_record_with_the_checksum_of_another_id_is_refused(
    store_class: type[Store], path: Path
) -> None:
    """Written by hand: all is whole and consistent, except the ids in two checksums."""
    images, labels, sizes = content()
    records = raw.records(images, labels)
    records[1:3] = [
        record._replace(checksum=raw.checksum(other, record.label, record.image))
        for record, other in zip(records[1:3], (2, 1), strict=True)
    ]
    raw.write(store_class.format, path, records, sizes)
    with store_class(path) as store:
        for image_id in (1, 2):
            with pytest.raises(CorruptRecordError, match=f"image {image_id} "):
                store.read_single(image_id)
        store.read_single(0)
    with store_class(path, verify=False) as store:
        assert_records(store.read_many(), images, labels)


# ---- what the docstrings show ------------------------------------------------------------------

CONTAINERS = {
    raw.FILES: files,
    raw.FILES_ENCODED: files,
    raw.LMDB: lmdb_container,
    raw.HDF5: hdf5,
    raw.NPY: npy,
}
"""The modules whose docstrings tell how containers are read."""

LIBRARIES: dict[str, object] = {
    "csv": csv,
    "h5py": h5py,
    "io": io,
    "lmdb": lmdb,
    "np": np,
    "Image": Pillow,
}


def run_lines_of(module: ModuleType, given: dict[str, object]) -> dict[str, object]:
    """The names that there are when a docstring's statements have run, each that can.

    Some are for images of one shape and others for those of several, as the text beside them says.
    """
    names = LIBRARIES | given
    for lines in re.findall(r"(?:^    .*\n)+", f"{inspect.getdoc(module)}\n", re.MULTILINE):
        with suppress(SyntaxError):  # a table
            for statement in ast.parse(textwrap.dedent(lines)).body:
                code = compile(ast.Module([statement], []), module.__name__, "exec")
                with suppress(NameError, KeyError):
                    exec(code, names)  # our own docstring
    return names


def image_by_the_lines(name: str, i: int) -> Image:
    """Image `i` of the part in whose folder we are, as the docstrings tell to read it."""
    container, payload = raw.STORES[name]
    names: Any = run_lines_of(index_module, {"i": i})
    columns = ["height", "width", "channels"]
    height, width, channels = (
        (names[column] for column in columns) if names["height"] else names["table"][columns][i]
    )
    shape = (height, width, channels) if channels else (height, width)
    one_shape = "start" not in names
    if one_shape:
        names |= {"start": i * prod(shape), "size": prod(shape)}
    names = run_lines_of(CONTAINERS[container], names)
    if "image" in names and (one_shape or "cell" not in names):
        return np.array(names["image"]).reshape(shape)
    return payload.decode(bytes(names["cell"]), shape).copy()


DOCUMENTED = {
    "lines and columns": [*pictures(4, (6, 5))],
    "and channels": [*pictures(4, (6, 5, 3))],
    "one channel": [*pictures(4, (6, 5, 1))],
    "shapes that differ": mixed_pictures()[:5],
    "shapes of as many bytes": [*pictures(2, (4, 5)), *pictures(2, (5, 4))],
}


@each_store
@pytest.mark.parametrize("shapes", DOCUMENTED)
def test_the_lines_of_the_docstrings_read_every_image(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch, shapes: str
) -> None:
    images = DOCUMENTED[shapes]
    with store_class(path, "x") as store:
        store.store_many(images, range(len(images)))
    monkeypatch.chdir(only_part(path))
    for i, image in enumerate(images):
        assert_image(image_by_the_lines(store_class.format, i), image)


@each_store
def test_the_lines_of_the_indexs_docstring_read_the_labels(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, _ = content()
    with store_class(path, "x") as store:
        store.store_many(images, labels)
    monkeypatch.chdir(only_part(path))
    np.testing.assert_array_equal(run_lines_of(index_module, {})["labels"], labels)


def test_the_lines_of_the_files_docstring_read_the_labels(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, _ = content()
    with PngStore(path, "x") as store:
        store.store_many(images, labels)
    monkeypatch.chdir(only_part(path))
    assert [run_lines_of(files, {"i": i})["label"] for i in range(len(labels))] == labels


# ---- the index ---------------------------------------------------------------------------------


@each_store
def test_an_index_has_columns_for_what_differs_alone(store_class: type[Store], path: Path) -> None:
    always = {"label": "<i8", "checksum": "<u8"}
    shapes = dict.fromkeys(("height", "width", "channels"), "<i8")
    places = dict.fromkeys(("offset", "size"), "<i8")
    with store_class(path, "x") as store:
        store.store_many(pictures(3, (4, 5)), range(3))
        store.store_many([*pictures(1, (4, 5)), *pictures(1, (5, 4))], range(2))
    is_raw = raw.STORES[store_class.format][1] is raw.RAW
    expected = [always if is_raw else always | shapes | places, always | shapes | places]
    for ids, types in zip(raw.places(path), expected, strict=True):
        table = np.load(raw.folder_of(path, ids) / "index.npy")
        assert {field: table.dtype[field].str for field in table.dtype.names} == types
        assert len(table) == len(ids)


@each_store
def test_labels_are_read_without_the_images(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        store.store_many(pictures(3), [5, 6, 7])
    for file in only_part(path).iterdir():
        if file.name != "index.npy":
            file.unlink()
    with store_class(path) as store:
        assert store.labels.tolist() == [5, 6, 7]
        with pytest.raises(CorruptStoreError):
            store.read_many()


# ---- png ---------------------------------------------------------------------------------------


def test_png_folders_are_what_image_folder_expects(path: Path) -> None:
    """A metadata.csv per folder; file_name relative, beside the file; the label; the id."""
    images, labels, _ = content()
    with PngStore(path, "x") as store:
        store_all(store, images, labels, [5, len(images) - 5])
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
            assert rows.fieldnames == ["file_name", "label", "id"]
            listed = {row["file_name"]: int(row["label"]) for row in rows}
        assert [*listed] == sorted(listed)  # in the order of ids
        own = {"metadata.csv", "index.npy"}
        assert {file.name for file in table.parent.iterdir()} == own | {*listed}
        found += listed.values()
    assert found == labels


def test_png_files_have_the_colour_type_of_their_channels(path: Path) -> None:
    images = [
        pictures(1, shape)[0] for shape in ((3, 4), (3, 4, 1), (3, 4, 2), (3, 4, 3), (3, 4, 4))
    ]
    with PngStore(path, "x") as store:
        store.store_many(images, range(5))
    cells = [file.read_bytes() for file in sorted(path.rglob("*.png"))]
    assert [data[:8] for data in cells] == [b"\x89PNG\r\n\x1a\n"] * 5
    assert [data[25] for data in cells] == [0, 0, 4, 2, 6]


# ---- lmdb --------------------------------------------------------------------------------------


def blocks(part: Path) -> dict[int, bytes]:
    with (
        lmdb.open(str(part / "data.mdb"), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return {int.from_bytes(key, "big"): value for key, value in transaction.cursor()}


def test_lmdb_blocks_hold_what_fits_in_128_kib(path: Path) -> None:
    with LmdbStore(path, "x") as store:
        store.store_many(pictures(50, (32, 32, 3)), range(50))
        store.store_many(pictures(2, (300, 200, 3)), range(2))  # larger than a block
    small, large = (blocks(raw.folder_of(path, ids)) for ids in raw.places(path))
    assert {row: len(value) for row, value in small.items()} == {0: 42 * 3072, 42: 8 * 3072}
    assert {row: len(value) for row, value in large.items()} == {0: 180_000, 1: 180_000}


def test_lmdb_compaction_fills_blocks_by_half_or_more(path: Path) -> None:
    with LmdbStore(path, "x", durable=False) as store:
        for image in pictures(50, (32, 32, 3)):
            store.store_single(image, 1)
        store.compact()
    *full, _ = map(len, blocks(only_part(path)).values())
    assert full
    assert all(2**16 < length <= 2**17 for length in full)


@pytest.mark.parametrize("name", ["lmdb", "lmdb-png"])
def test_lmdb_files_may_be_open_here_by_other_means(name: str, path: Path) -> None:
    """LMDB allows a process one environment on a file."""
    images = [*pictures(3), *pictures(3, (100, 100, 3))]
    with STORES[name](path, "x") as store:
        store_all(store, images, [*range(6)], [3, 3])
    files = [str(file) for file in path.glob("*/data.mdb")]
    opened = [lmdb.open(file, subdir=False, readonly=True, lock=False) for file in files]
    with STORES[name](path) as store:
        assert_records(store.read_many(), images, range(6))
        assert_records(
            store.read_many([5, 0, 4, 1] * 5),
            [images[i] for i in [5, 0, 4, 1] * 5],
            [5, 0, 4, 1] * 5,
        )
        store.verify()
    for environment in opened:
        environment.close()


def test_lmdb_takes_no_new_file_for_one_just_closed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """py-lmdb forgets an inode after the file is closed, when one of another thread may have it."""
    module = pytest.importorskip("lmdb._envid")
    genuine = module.env_keys
    images, other = pictures(3), str(tmp_path / "other")
    with lmdb.open(other, subdir=False, lock=False):
        keys = genuine(other, False)
        with monkeypatch.context() as patch, LmdbStore(path, "x") as store:
            patch.setattr(module, "env_keys", lambda *file: keys if genuine(*file) else ())
            store.store_many(images, range(3))
    with LmdbStore(path) as store:
        assert_records(store.read_many(), images, range(3))
        store.verify()


# ---- hdf5, npy ---------------------------------------------------------------------------------


def data_set(part: Path) -> Image:
    """The whole of the file's array, by the library of its format."""
    if (part / "images.npy").exists():
        return np.load(part / "images.npy")  # type: ignore[no-any-return]  # it is one
    with h5py.File(part / "images.h5") as file:
        assert [*file] == ["images"]
        images = file["images"]
        assert (images.chunks, images.compression, images.external) == (None, None, None)
        return images[()]  # type: ignore[no-any-return]  # it is an array


@pytest.mark.parametrize("name", ["hdf5", "npy"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)], ids=str)
def test_a_data_set_is_exactly_as_long_as_its_part(
    name: str, path: Path, shape: tuple[int, ...]
) -> None:
    """And the file ends with it, and begins with little else."""
    images = pictures(40, shape)
    with STORES[name](path, "x", durable=False) as store:
        store_all(store, [*images], [*range(40)], [3, *[1] * 20, 17])
    sizes = [file.stat().st_size for file in sorted(path.glob("*/images.*"))]
    for ids, size in zip(raw.places(path), sizes, strict=True):
        found = data_set(raw.folder_of(path, ids))
        np.testing.assert_array_equal(found, images[ids.start : ids.stop], strict=True)
        assert size <= found.nbytes + 1024


@pytest.mark.parametrize("name", ["hdf5", "npy", "hdf5-png"])
def test_a_data_set_of_cells_that_differ_is_one_row(name: str, path: Path) -> None:
    with STORES[name](path, "x") as store:
        store.store_many(mixed_pictures(), range(len(SHAPES)))
    part = only_part(path)
    found = data_set(part)
    assert found.dtype == np.uint8
    assert found.shape == (raw.read_index(part).trailer.cell_bytes,)


@pytest.mark.parametrize("how", ["compressed", "another type", "external", "one row short"])
def test_a_data_set_that_became_another_is_never_read_wrong(path: Path, how: str) -> None:
    images, labels = pictures(4), [1, 2, 3, 4]
    with Hdf5Store(path, "x") as store:
        store.store_many(images, labels)
    file_path = only_part(path) / "images.h5"
    with h5py.File(file_path, "a") as file:
        data = file["images"][()]
        del file["images"]
        if how == "compressed":
            file.create_dataset("images", data=data, compression="gzip")
        elif how == "another type":
            file["images"] = data.astype(">u2")
        elif how == "external":
            outside = [(path.parent / "outside", 0, data.nbytes)]
            file.create_dataset("images", data=data, external=outside)
        else:
            file["images"] = data[:3]
    named = re.escape(str(file_path))
    with Hdf5Store(path) as store:
        with pytest.raises(CorruptStoreError, match=named):
            store.verify()
        assert store.labels.tolist() == labels
        for ids in (range(4), [0], [3, 1, 2, 0] * 4):
            with suppress(CorruptStoreError):
                assert_records(store.read_many(ids), images[[*ids]], [labels[i] for i in ids])


# ---- small commits -----------------------------------------------------------------------------


@each_store
def test_sixteen_small_parts_of_a_kind_become_one(store_class: type[Store], path: Path) -> None:
    images, labels = pictures(300), labels_for(300)
    expected = {15: [1] * 15, 16: [16], 17: [16, 1], 48: [16, 16, 16]}
    with store_class(path, "x", durable=False) as store, store_class(path) as empty:
        readers = [(empty, 0)]
        for n, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), 1):
            store.store_single(image, label)
            assert len(raw.places(path)) < 32
            if n in expected:
                assert raw.places(path) == raw.commit_ids(expected[n])
            if n in (1, 15, 16, 17, 48, 255, 256, 300):
                readers.append((store_class(path), n))
        for reader, n in readers:  # what each saw is in other parts now
            assert reader.labels.tolist() == labels[:n].tolist()
            if n:
                assert_records(reader.read_many(), images[:n], labels[:n])
                order = np.random.default_rng(n).permutation(n)
                assert_records(reader.read_many(order), images[order], labels[order])
            reader.verify()
            reader.close()
    assert_same_records(raw.read(store_class.format, path), raw.records([*images], labels.tolist()))


@each_store
def test_small_parts_of_several_shapes_become_one(store_class: type[Store], path: Path) -> None:
    images = [*mixed_pictures(), *mixed_pictures(seed=50)]
    with store_class(path, "x", durable=False) as store:
        for label, image in enumerate(images):
            store.store_single(image, label)
        assert raw.places(path) == [range(16)]
        assert_records(store.read_many(), images, range(16))
    assert_same_records(raw.read(store_class.format, path), raw.records(images, [*range(16)]))


@each_store
def test_a_part_that_is_not_small_is_not_written_again(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage._catalog.FOLD_BYTES", 1_000)
    with store_class(path, "x", durable=False) as store:
        for n in (*[1] * 16, *[30] * 20):
            store.store_many(pictures(n), range(n))
        assert raw.places(path) == raw.commit_ids([16, *[30] * 20])
        store.compact()
        assert raw.places(path) == [range(616)]


# ---- no pickle ---------------------------------------------------------------------------------


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
