"""The stores of this project, as contenders."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from storage import Store

from .base import Contender, Image, ImageIds, Labels, Openable, Opened, Shape


class StoreContender(Openable):
    """One of this project's stores."""

    operations = Contender.operations | {
        *("read_batch", "epoch", "iterate", "parallel_read", "append"),
        *("commits_store", "commits_open", "commits_read"),
    }

    def __init__(self, store_class: type[Store]) -> None:
        self.name = store_class.format
        self.store_class = store_class

    def create(self, path: Path, durable: bool) -> None:
        self.store_class(path, "x", durable=durable).close()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        with self.store_class(path, "a", durable=durable) as store:
            store.store_single(image, label)

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with self.store_class(path, "x", durable=durable) as store:
            store.store_many(images, labels)

    def append(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        """Append `images` to the store at `path`."""
        with self.store_class(path, "a", durable=durable) as store:
            store.store_many(images, labels)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        with self.store_class(path) as store:
            return store.read_single(image_id)

    def read_many(self, path: Path, shape: Shape) -> tuple[Image, Labels]:
        with self.store_class(path) as store:
            images, labels = store.read_many()
        assert isinstance(images, np.ndarray)
        return images, labels

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Image, Labels]:
        with self.store_class(path) as store:
            images, labels = store.read_many(ids)
        assert isinstance(images, np.ndarray)
        return images, labels

    def open(self, path: Path, shape: Shape = ()) -> Store:
        return self.store_class(path)

    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        return map(opened.__getitem__, range(stop))
