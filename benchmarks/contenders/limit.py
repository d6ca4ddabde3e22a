"""The limit, a floor for every table: one plain file, with nothing between it and the arrays.

It holds the labels of all images as int64, then their pixels. It has no checksums, no index and no
way to append, so it is not a store.

The labels come first because of how processors copy: NumPy's large arrays begin 16 bytes into a
page, and copying to there from the start of a page takes a third longer than from other offsets.
"""

import os
import sys
from math import prod
from pathlib import Path

import numpy as np

from benchmarks.datasets import Images

from .base import Contender, Image, Labels, Shape

LABEL_BYTES = 8


class Limit(Contender):
    """One plain file in its own directory."""

    name = "limit"

    def holds(self, images: Images) -> bool:
        return images.dtype != object

    def create(self, path: Path, durable: bool) -> None:
        path.mkdir()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        self._write(path, image[np.newaxis], np.array([label], np.int64), durable)

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self._write(path, images, labels, durable)
        if durable:
            _sync_folder(path.parent)

    def _write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with (path / "raw").open("wb") as file:
            file.write(labels.data)
            file.write(images.data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if durable:
            _sync_folder(path)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        with (path / "raw").open("rb", buffering=0) as file:
            image = np.empty(shape, np.uint8)
            n = os.fstat(file.fileno()).st_size // (image.nbytes + LABEL_BYTES)
            file.seek(image_id * LABEL_BYTES)
            label = int.from_bytes(file.read(LABEL_BYTES), sys.byteorder, signed=True)
            file.seek(n * LABEL_BYTES + image_id * image.nbytes)
            file.readinto(image.data)
            return image, label

    def read_many(self, path: Path, shape: Shape) -> tuple[Image, Labels]:
        with (path / "raw").open("rb", buffering=0) as file:
            labels = np.fromfile(file, np.int64, shape[0])
            return np.fromfile(file, np.uint8, prod(shape)).reshape(shape), labels


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
