"""The stores of this project, as contenders."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets import Images
from storage import Store

from .base import Contender, Image, ImageIds, Labels, Openable, Opened, Read, Shape


class StoreContender(Openable):
    """One of this project's stores."""

    operations = Contender.operations | {
        *("read_batch", "epoch", "iterate", "parallel_read", "append", "loader"),
        *("commits_store", "commits_open", "commits_read"),
    }

    def __init__(self, store_class: type[Store]) -> None:
        self.name = store_class.format
        self.store_class = store_class

    def holds(self, images: Images) -> bool:
        return True

    def create(self, path: Path, durable: bool) -> None:
        self.store_class(path, "x", durable=durable).close()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        with self.store_class(path, "a", durable=durable) as store:
            store.store_single(image, label)

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        with self.store_class(path, "x", durable=durable) as store:
            store.store_many(given(images), labels)

    def append(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        """Append `images` to the store at `path`."""
        with self.store_class(path, "a", durable=durable) as store:
            store.store_many(given(images), labels)

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

    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        return map(opened.__getitem__, range(stop))


class Twin(StoreContender):
    """A store under another name; `copied` is its own."""

    def __init__(self, contender: StoreContender) -> None:
        super().__init__(contender.store_class)
        self.copied = contender.name
        self.name = f"{contender.name}-twin"


def given(images: Images) -> Image | list[Image]:
    """The images as a store takes them: an array, or a list if their shapes differ."""
    return images.tolist() if images.dtype == object else images
