"""The limits, a floor for every table: one plain file, with nothing between it and the arrays.

`limit` holds the labels of all images as int64, then their pixels. The labels come first because of
how processors copy: NumPy's large arrays begin 16 bytes into a page, and copying to there from the
start of a page takes a third longer than from other offsets. Of pictures, whose shapes may differ, it
holds pixels alone, and a file `index` has their labels, places and shapes.

`limit-encoded` holds the files of pictures end to end, and `index` their labels, places and sizes. A
picture is decoded after it was read, so this is the floor for all that keeps files.

They have no checksums and no way to append, so they are no stores.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Images, PictureOptions, decoded

from .base import Contender, Image, ImageIds, Labels, Read, Shape
from .encoded import FileReader, FileRow, together
from .syncing import sync, sync_tree, write_synced

LABEL_BYTES = 8
LABEL, OFFSET, SHAPE = 0, 1, slice(2, 5)
"""The columns of an index of pixels, int64; a grey image has no channels, written as 0."""
COLUMNS, ENTRY_BYTES = 5, 40
PLACE_COLUMNS, PLACE_BYTES = 3, 24
"""Of an entry in an index of files: label, offset and size, int64."""


class Limit(Contender):
    """One plain file in its own directory, and of pictures another with their places in it."""

    name = "limit"

    def holds(self, images: Images) -> bool:
        return images.dtype != object

    def for_pictures(self, options: PictureOptions) -> "PictureLimit":
        return PictureLimit()

    def create(self, path: Path, durable: bool) -> None:
        path.mkdir()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        self._write(path, image[np.newaxis], np.array([label], np.int64), durable)

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self._write(path, images, labels, durable)
        if durable:
            sync(path.parent)

    def _write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with (path / "raw").open("wb") as file:
            file.write(labels.data)
            if durable:
                file.flush()
                write_synced(file.fileno(), [images.data])
            else:
                file.write(images.data)
        if durable:
            sync(path)

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


class PictureLimit(Contender):
    """The limit of pictures."""

    name = Limit.name

    def create(self, path: Path, durable: bool) -> None:
        path.mkdir()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        images = np.empty(1, object)
        images[0] = image
        self._write(path, images, np.array([label]), durable)

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self._write(path, images, labels, durable)

    def _write(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        index, at = np.zeros((len(labels), COLUMNS), np.int64), 0
        index[:, LABEL] = labels

        def pieces() -> Iterator[memoryview]:
            nonlocal at
            for entry, image in zip(index, decoded(images), strict=True):
                entry[OFFSET], entry[SHAPE] = at, (*image.shape, 0)[:3]
                at += image.nbytes
                yield image.data

        with (path / "raw").open("wb", buffering=0) as file:
            if durable:
                write_synced(file.fileno(), pieces())
            else:
                for piece in pieces():
                    file.write(piece)
        index.tofile(path / "index")
        if durable:
            sync_tree(path)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        entry = np.fromfile(path / "index", np.int64, COLUMNS, offset=image_id * ENTRY_BYTES)
        with (path / "raw").open("rb", buffering=0) as file:
            file.seek(entry[OFFSET])
            image = np.empty(_shape(entry), np.uint8)
            file.readinto(image.data)
            return image, int(entry[LABEL])

    def read_many(self, path: Path, shape: Shape) -> tuple[Read, Labels]:
        index = np.fromfile(path / "index", np.int64).reshape(-1, COLUMNS)
        labels = index[:, LABEL].copy()
        with (path / "raw").open("rb", buffering=0) as file:
            images = [np.empty(_shape(entry), np.uint8) for entry in index]
            if len({image.shape for image in images}) == 1:
                array = np.empty((len(images), *images[0].shape), np.uint8)
                file.readinto(array.data)
                return array, labels
            for image in images:
                file.readinto(image.data)
        return images, labels

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        found = [self.read_single(path, i, shape) for i in ids.tolist()]
        return together([image for image, _ in found]), np.array([label for _, label in found])


def _shape(entry: NDArray[np.int64]) -> Sequence[int]:
    height, width, channels = entry[SHAPE].tolist()
    return (height, width, channels) if channels else (height, width)


class EncodedLimitReader(FileReader):
    """The open file; its index is read when several files are first asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._number = os.open(path / "files", os.O_RDONLY)

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        return np.fromfile(self.path / "index", np.int64).reshape(-1, PLACE_COLUMNS)

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        if len(ids) == 1:  # as with `PictureLimit`, one entry is enough
            at = int(ids[0]) * PLACE_BYTES
            entries = np.fromfile(self.path / "index", np.int64, PLACE_COLUMNS, offset=at)[None]
        else:
            entries = self._index[ids]
        places = entries[:, 1:].tolist()
        files = [os.pread(self._number, size, offset) for offset, size in places]
        return files, entries[:, LABEL].copy()

    def close(self) -> None:
        os.close(self._number)


class EncodedLimit(FileRow):
    """One plain file of the files of pictures, and another with their places in it."""

    reader = EncodedLimitReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        with (path / "files").open("wb", buffering=0) as file:
            sizes = [file.write(data) for data in files]
        offsets = [0, *accumulate(sizes[:-1])]
        np.column_stack([labels, offsets, sizes]).tofile(path / "index")
