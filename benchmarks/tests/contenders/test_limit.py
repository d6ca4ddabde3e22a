"""The plain file that is the limit of every table."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.limit import Limit
from benchmarks.contenders.syncing import write_synced

from .test_contenders import IMAGES, LABELS


def test_the_file_is_the_labels_and_then_the_pixels_and_nothing_else(tmp_path: Path) -> None:
    Limit().store_many(tmp_path / "store", IMAGES, LABELS, durable=True)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["raw"]
    numbers = b"".join(int(label).to_bytes(8, sys.byteorder, signed=True) for label in LABELS)
    assert (tmp_path / "store" / "raw").read_bytes() == numbers + IMAGES.tobytes()


@pytest.mark.parametrize("step", [1, 1000, 2**23])
def test_the_disk_may_begin_before_all_is_written(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, pieces = list[int](), [b"some", b"", b"bytes" * 500]
    number = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)

    class Library:
        @staticmethod
        def sync_file_range(asked: int, *_: object) -> None:
            assert asked == number
            begun.append(os.fstat(number).st_size)

    monkeypatch.setattr("benchmarks.contenders.syncing.STEP_BYTES", step)
    monkeypatch.setattr("benchmarks.contenders.syncing.libc", Library)
    monkeypatch.setattr(os, "fsync", lambda _: begun.append(-1))
    write_synced(number, map(memoryview, pieces))
    os.close(number)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    *early, last = begun
    assert last == -1
    assert early == {1: [*range(1, 2504)], 1000: [1004, 2004], 2**23: []}[step]


def test_one_image_is_a_file_of_one(tmp_path: Path) -> None:
    Limit().create(tmp_path / "store", durable=True)
    Limit().store_single(tmp_path / "store", IMAGES[0], -2, durable=True)
    number = (-2).to_bytes(8, sys.byteorder, signed=True)
    assert (tmp_path / "store" / "raw").read_bytes() == number + IMAGES[0].tobytes()


def test_what_the_data_set_gives_can_be_stored_without_a_copy(tmp_path: Path) -> None:
    images, labels = IMAGES.copy(), LABELS.copy()
    images.setflags(write=False)
    labels.setflags(write=False)
    Limit().store_many(tmp_path / "store", images[:3], labels[:3], durable=False)
    found, found_labels = Limit().read_many(tmp_path / "store", (3, *IMAGES.shape[1:]))
    np.testing.assert_array_equal(found, IMAGES[:3])
    np.testing.assert_array_equal(found_labels, LABELS[:3])


def test_durable_syncs_the_file_and_every_folder_with_a_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_dev, status.st_ino))

    def identity(path: Path) -> tuple[int, int]:
        return path.stat().st_dev, path.stat().st_ino

    monkeypatch.setattr(os, "fsync", note)
    Limit().store_many(tmp_path / "store", IMAGES, LABELS, durable=True)
    new = [tmp_path / "store" / "raw", tmp_path / "store", tmp_path]
    assert synced == [identity(path) for path in new]
    synced.clear()
    Limit().create(tmp_path / "single", durable=True)
    Limit().store_single(tmp_path / "single", IMAGES[0], 1, durable=True)
    assert synced == [identity(path) for path in (tmp_path / "single" / "raw", tmp_path / "single")]


def test_buffered_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise AssertionError("synced")

    monkeypatch.setattr(os, "fsync", refuse)
    Limit().store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    Limit().create(tmp_path / "single", durable=False)
    Limit().store_single(tmp_path / "single", IMAGES[0], 1, durable=False)
