"""The stores of this project, as contenders."""

from pathlib import Path

import numpy as np

from storage import Store

from .base import Contender, Image, ImageIds, Labels, Shape


class StoreContender(Contender):
    """One of this project's stores."""

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


class Twin(StoreContender):
    """A store under another name; `copied` is its own."""

    def __init__(self, contender: StoreContender) -> None:
        super().__init__(contender.store_class)
        self.copied = contender.name
        self.name = f"{contender.name}-twin"
