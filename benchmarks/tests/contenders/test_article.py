"""What the tutorial's three ways leave on disk, read here without their own functions."""

import csv
import pickle
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.contenders.article import CifarImage
from benchmarks.contenders.rows import ROWS

from .test_contenders import IMAGES, LABELS


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return [*csv.reader(file)]


def records_in(path: Path) -> dict[bytes, bytes]:
    with (
        lmdb.open(str(path), readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return {bytes(key): bytes(value) for key, value in transaction.cursor()}


# ---- PNG files -------------------------------------------------------------------------------


def test_many_pngs_lie_beside_one_file_of_labels(tmp_path: Path) -> None:
    ROWS["article-png"].store_many(tmp_path / "store", IMAGES, LABELS, durable=True)
    folder = tmp_path / "store"
    names = [*(f"{i}.png" for i in range(len(IMAGES))), f"{len(IMAGES)}.csv"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for i, image in enumerate(IMAGES):
        np.testing.assert_array_equal(np.asarray(Pillow.open(folder / f"{i}.png")), image)
    assert rows_of(folder / f"{len(IMAGES)}.csv") == [[str(label)] for label in LABELS]


def test_one_png_has_a_file_of_one_label(tmp_path: Path) -> None:
    ROWS["article-png"].create(tmp_path / "store", durable=True)
    ROWS["article-png"].store_single(tmp_path / "store", IMAGES[0], -7, durable=True)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["0.csv", "0.png"]
    assert rows_of(tmp_path / "store" / "0.csv") == [["-7"]]


# ---- LMDB ------------------------------------------------------------------------------------


def test_each_record_is_a_pickled_object_that_knows_its_size(tmp_path: Path) -> None:
    ROWS["article-lmdb"].store_many(tmp_path / "store", IMAGES, LABELS, durable=True)
    records = records_in(tmp_path / "store")
    assert [*records] == [f"{i:08}".encode() for i in range(len(IMAGES))]
    for value, image, label in zip(records.values(), IMAGES, LABELS, strict=True):
        record = pickle.loads(value)
        assert type(record) is CifarImage
        assert (record.size, record.channels) == ((5, 4), 3)
        assert record.image == image.tobytes()
        assert record.label == label
        np.testing.assert_array_equal(record.get_image(), image, strict=True)


def test_one_record_is_one_too(tmp_path: Path) -> None:
    ROWS["article-lmdb"].create(tmp_path / "store", durable=True)
    ROWS["article-lmdb"].store_single(tmp_path / "store", IMAGES[3], 256, durable=True)
    ((key, value),) = records_in(tmp_path / "store").items()
    assert key == b"00000000"
    assert pickle.loads(value).label == 256


def test_the_map_is_large_enough_for_one_pixel_and_for_one_large_image(tmp_path: Path) -> None:
    row = ROWS["article-lmdb"]
    for side in (1, 2000):
        path = tmp_path / str(side)
        image = np.full((side, side, 3), 7, np.uint8)
        row.create(path, durable=False)
        row.store_single(path, image, 1, durable=False)
        np.testing.assert_array_equal(row.read_single(path, 0, image.shape)[0], image)


# ---- HDF5 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [True, False])
def test_the_data_sets_are_big_endian_images_and_meta(many: bool, tmp_path: Path) -> None:
    row = ROWS["article-hdf5"]
    if many:
        row.store_many(tmp_path / "store", IMAGES, LABELS, durable=True)
    else:
        row.create(tmp_path / "store", durable=True)
        row.store_single(tmp_path / "store", IMAGES[0], int(LABELS[0]), durable=True)
    (path,) = (tmp_path / "store").iterdir()
    assert path.name == (f"{len(IMAGES)}_many.h5" if many else "0.h5")
    with h5py.File(path) as file:
        images, meta = file["images" if many else "image"], file["meta"]
        assert len(file) == 2
        assert images.id.get_type().equal(h5py.h5t.STD_U8BE)
        # Not STD_U8BE as in the tutorial: labels beyond 255 would be changed.
        assert meta.id.get_type().equal(h5py.h5t.STD_I64BE)
        np.testing.assert_array_equal(images[()], IMAGES if many else IMAGES[0])
        np.testing.assert_array_equal(meta[()], LABELS if many else LABELS[0])
