"""The stores of this project, as contenders."""

from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.datasets import Images, PictureFile, PictureOptions, decoded
from storage import EncodedStore, Store

from .base import Contender, Image, ImageIds, Labels, Openable, Opened, Read, Shape
from .encoded import FileReader


class StoreContender(Openable):
    """One of this project's stores."""

    operations = Contender.operations | {
        *("read_batch", "epoch", "iterate", "parallel_read", "append", "loader"),
        *("commits_store", "commits_open", "commits_read"),
    }

    def __init__(self, store_class: type[Store]) -> None:
        self.name = store_class.format
        self.store_class = store_class
        self.keeps_files = issubclass(store_class, EncodedStore)
        self.made_with: Mapping[str, Any] = {}  # what a new store is given

    def holds(self, images: Images) -> bool:
        return True

    def for_pictures(self, options: PictureOptions) -> Self:
        made = copy(self)
        if self.keeps_files:
            made.made_with = {
                "image_mode": options.mode,
                "orientation": options.orientation,
                "max_pixels": options.max_pixels,
            }
        return made

    def new(self, path: Path, durable: bool) -> Store:
        """Make an empty store and open it."""
        return self.store_class(path, "x", durable=durable, **self.made_with)

    def create(self, path: Path, durable: bool) -> None:
        self.new(path, durable).close()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        with self.store_class(path, "a", durable=durable) as store:
            put_one(store, image, label)

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        with self.new(path, durable) as store:
            put(store, images, labels)

    def append(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        """Append `images` to the store at `path`."""
        with self.store_class(path, "a", durable=durable) as store:
            put(store, images, labels)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        with self.store_class(path) as store:
            return store.read_single(image_id)

    def read_many(self, path: Path, shape: Shape) -> tuple[Read, Labels]:
        with self.store_class(path) as store:
            return store.read_many()

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        with self.store_class(path) as store:
            return store.read_many(ids)

    def open(self, path: Path, shape: Shape = ()) -> Store:
        return self.store_class(path)

    def open_files(self, path: Path) -> FileReader:
        """Open a store of files, to read their bytes."""
        return StoredFiles(self.store_class, path)

    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        return map(opened.__getitem__, range(stop))


class Twin(StoreContender):
    """A store under another name; `copied` is its own."""

    def __init__(self, contender: StoreContender) -> None:
        super().__init__(contender.store_class)
        self.copied = contender.name
        self.name = f"{contender.name}-twin"


class StoredFiles(FileReader):
    """An open store of files."""

    def __init__(self, store_class: type[Store], path: Path) -> None:
        super().__init__(path)
        store = store_class(path)
        assert isinstance(store, EncodedStore), f"{store_class.format} keeps no files"
        self._store = store

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (type(self._store), self.path)

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        files = self._store.read_files(ids)
        return [file.data for file in files], np.array([file.label for file in files])

    def close(self) -> None:
        self._store.close()


def put(store: Store, images: Images, labels: Labels) -> None:
    """Store images; of an array of pictures, their files, or what is decoded of them."""
    if images.dtype != object:
        store.store_many(images, labels)
    elif isinstance(store, EncodedStore):
        store.store_files((picture.path for picture in images), labels)
    else:
        store.store_many(decoded(images), labels)


def put_one(store: Store, image: Image | PictureFile, label: int) -> None:
    """Store one image or picture."""
    if not isinstance(image, PictureFile):
        store.store_single(image, label)
    elif isinstance(store, EncodedStore):
        store.store_files([image.path], [label])
    else:
        store.store_single(image.decode(), label)
