"""Every row does the same work: what it stores, it reads back equal, as the same kind of array."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.contenders.base import Contender
from benchmarks.contenders.rows import DEFAULT_STORES, FILE_PER_IMAGE, ROWS, STORE_ROWS
from benchmarks.harness.workspace import ids_read_singly
from storage import STORES, disk_usage

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 4, 3), np.uint8)
# A labels file of bytes, or a float on the way, would change some of these.
LABELS = np.array([0, 9, 255, 256, -1, -129, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), 7])
SHAPE = IMAGES.shape[1:]

each_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def assert_own_array(found: object, expected: NDArray[np.uint8]) -> None:
    """Equal, of the same type, and the caller's to change: a copy is part of every row's work."""
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert found.flags.writeable
    assert found.flags.c_contiguous


def test_the_rows_are_the_stores_the_limit_and_the_tutorials_three_ways() -> None:
    assert [*STORE_ROWS] == [*STORES]
    assert [*ROWS] == [*STORES, "limit", "article-png", "article-lmdb", "article-hdf5"]
    assert [row.name for row in ROWS.values()] == [*ROWS]
    assert {*DEFAULT_STORES} <= {*STORE_ROWS}


@each_row
@pytest.mark.parametrize("durable", [True, False])
def test_many_images_come_back_as_they_were(row: Contender, durable: bool, tmp_path: Path) -> None:
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable)
    images, labels = row.read_many(tmp_path / "store", IMAGES.shape)
    assert_own_array(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS, strict=True)


@each_row
def test_the_rows_with_a_file_per_image_are_known(row: Contender, tmp_path: Path) -> None:
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    assert (disk_usage(tmp_path / "store").files >= len(IMAGES)) == (row.name in FILE_PER_IMAGE)


@each_row
def test_some_of_many_images_are_read_as_they_were_stored(row: Contender, tmp_path: Path) -> None:
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    before = sorted(tmp_path.rglob("*"))
    ids = np.array([0, 5, 11])
    images, labels = row.read_some(tmp_path / "store", ids, IMAGES.shape)
    np.testing.assert_array_equal(images, IMAGES[ids], strict=True)
    np.testing.assert_array_equal(labels, LABELS[ids], strict=True)
    assert sorted(tmp_path.rglob("*")) == before


@each_row
@pytest.mark.parametrize("label", [3, 256, -1, 2**63 - 1, -(2**63)])
def test_one_image_comes_back_as_it_was(row: Contender, label: int, tmp_path: Path) -> None:
    row.create(tmp_path / "store", durable=False)
    row.store_single(tmp_path / "store", IMAGES[0], label, durable=False)
    image, found = row.read_single(tmp_path / "store", 0, SHAPE)
    assert_own_array(image, IMAGES[0])
    assert found == label


@each_row
def test_what_a_reading_benchmark_needs_is_made_in_one_store(
    row: Contender, tmp_path: Path
) -> None:
    ids = ids_read_singly(len(IMAGES))
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    row.prepare_read_single(tmp_path / "store", IMAGES, LABELS, ids)
    images, labels = row.read_many(tmp_path / "store", IMAGES.shape)
    assert_own_array(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS, strict=True)
    for image_id in ids:
        image, label = row.read_single(tmp_path / "store", image_id, SHAPE)
        assert_own_array(image, IMAGES[image_id])
        assert label == LABELS[image_id]


@each_row
def test_reading_leaves_nothing_open(row: Contender, tmp_path: Path) -> None:
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    row.prepare_read_single(tmp_path / "store", IMAGES, LABELS, [0])
    row.read_many(tmp_path / "store", IMAGES.shape)
    row.read_single(tmp_path / "store", 0, SHAPE)
    store = (tmp_path / "store").resolve()
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list a process's open files")
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.is_relative_to(store)] == []


@pytest.mark.parametrize("name", [*STORES, "limit"])
def test_the_stores_and_the_limit_make_the_same_promise(name: str) -> None:
    assert ROWS[name].durability(True) == "durable"
    assert ROWS[name].durability(False) == "buffered"


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("article-png", "as the tutorial: not synced"),
        ("article-lmdb", "as the tutorial: synced"),
        ("article-hdf5", "as the tutorial: not synced"),
    ],
)
def test_the_tutorials_ways_say_what_they_did_whatever_was_asked(name: str, promise: str) -> None:
    assert ROWS[name].durability(True) == ROWS[name].durability(False) == promise
