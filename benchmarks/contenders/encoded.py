"""Rows that keep the files of pictures as they are: two ways of reading each, decoded or not.

To add one, write a `FileReader` and a `FileRow`. Every row but `files` decodes by this project's
decoder, so that rows differ by their storage alone.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from copy import copy
from itertools import count, islice
from math import prod
from pathlib import Path
from typing import ClassVar, Protocol, Self, overload

import numpy as np

from benchmarks.datasets import Images, PictureOptions
from benchmarks.results.recorded import OF_FILES
from storage.payloads.base import in_threads, new_images

from .base import Image, ImageIds, Labels, Openable, Opened, Read, Shape
from .syncing import sync_tree

READING = frozenset(("read_single", "read_many", "read_batch", "epoch", "iterate", "parallel_read"))


class InOrder(Opened):
    """An open store that can be read one by one."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Image, int]]: ...


class FileReader(InOrder):
    """An open store of files, which reads their bytes."""

    def __init__(self, path: Path) -> None:
        """Open the store at `path`."""
        self.path = path

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)  # the other process opens the store itself

    @abstractmethod
    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        """The files `ids` in that order, and their labels."""

    def run(self, start: int, stop: int) -> tuple[list[bytes], Labels]:
        """The files `start` to `stop` - 1, and their labels."""
        return self.read_many(np.arange(start, stop))

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        """A pass over the files and their labels, from the first; it is given up before its end."""
        for i in count():
            (data,), (label,) = self.read_many(np.array([i]))
            yield data, int(label)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        """The same, as arrays (n,) of the bytes."""
        return ((np.frombuffer(data, np.uint8), label) for data, label in self.one_by_one())

    @overload
    def __getitem__(self, key: int, /) -> tuple[Image, int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[list[bytes], Labels]: ...
    def __getitem__(self, key: int | slice, /) -> tuple[Image | list[bytes], int | Labels]:
        """One file as an array (n,) of its bytes, or the files of a slice with a stop."""
        if isinstance(key, slice):
            return self.run(key.start or 0, key.stop)
        (data,), (label,) = self.read_many(np.array([key]))
        return np.frombuffer(data, np.uint8), int(label)

    def close(self) -> None:
        """Close what is open; what a library has no call for is left to its destructor."""


class Decoded(InOrder):
    """An open store of files, which are decoded as they are read."""

    def __init__(self, files: FileReader, options: PictureOptions) -> None:
        self._files, self._options, self._payload = files, options, options.payload

    def read_many(self, ids: ImageIds, /) -> tuple[Read, Labels]:
        return self._decode(*self._files.read_many(ids))

    def _decode(self, files: list[bytes], labels: Labels) -> tuple[Read, Labels]:
        # As the stores do it: threads for large images, and memory for all of them beforehand.
        payload = self._payload
        shapes = [payload.shape_of(data, payload.info_of(data), whole=False) for data in files]
        images = new_images(shapes)

        def decode(i: int) -> None:
            if (image := payload.image(files[i], shapes[i], images[i])) is not images[i]:
                images[i] = image

        in_threads(decode, range(len(files)), sum(map(prod, shapes)) // len(files))
        return images, labels

    @overload
    def __getitem__(self, key: int, /) -> tuple[Image, int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Read, Labels]: ...
    def __getitem__(self, key: int | slice, /) -> tuple[Read, int | Labels]:
        if isinstance(key, slice):
            return self._decode(*self._files[key])
        data, label = self._files[key]
        return self._options.decode(data.tobytes()), label

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        return ((self._options.decode(data), label) for data, label in self._files.one_by_one())

    def close(self) -> None:
        self._files.close()


def together(images: list[Image]) -> Read:
    """One array of the images if their shapes are equal, as stores return, else the list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


class FileKeeper(Protocol):
    """A row that keeps files, with what is needed to read them undecoded."""

    name: str

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None: ...
    def open_files(self, path: Path) -> FileReader: ...


class ReadByOpening(Openable):
    """A row that reads by opening its store, and asking that."""

    @abstractmethod
    def open(self, path: Path, shape: Shape = ()) -> "InOrder": ...

    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        assert isinstance(opened, InOrder), opened
        return islice(opened, stop)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        with self.open(path, shape) as opened:
            return opened[image_id]

    def read_many(self, path: Path, shape: Shape) -> tuple[Read, Labels]:
        with self.open(path, ()) as opened:
            return opened[0 : shape[0]]  # type: ignore[return-value]  # images or bytes, of its own reader

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        with self.open(path, shape) as opened:
            return opened.read_many(ids)  # type: ignore[return-value]  # as above


class FileRow(ReadByOpening):
    """A row for pictures only, which keeps their files. Each store has its own folder."""

    keeps_files = True
    operations = READING | {"store_single", "store_many"}
    reader: ClassVar[type[FileReader]]

    def __init__(self, name: str) -> None:
        self.name = name
        self.options = PictureOptions()

    def holds(self, images: Images) -> bool:
        return False

    def for_pictures(self, options: PictureOptions) -> Self:
        made = copy(self)
        made.options = options
        return made

    @abstractmethod
    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        """Store files in the empty folder `path`; `store_many` syncs them."""

    def create(self, path: Path, durable: bool) -> None:
        path.mkdir()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        images = np.empty(1, object)
        images[0] = image
        self._store(path, images, np.array([label]), durable)

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self._store(path, images, labels, durable)

    def _store(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        self.write(path, (image.read() for image in images), labels)
        if durable:
            self.sync(path)

    def sync(self, path: Path) -> None:
        """Wait until a new store is on the disk."""
        sync_tree(path)

    def open_files(self, path: Path) -> FileReader:
        return self.reader(path)

    def open(self, path: Path, shape: Shape = ()) -> InOrder:
        return Decoded(self.open_files(path), self.options)


class Undecoded(ReadByOpening):
    """Another way of reading a row that keeps files: their bytes, which is all that storage does."""

    variant = OF_FILES
    keeps_files = True

    def __init__(self, row: FileKeeper) -> None:
        self.name, self._row = row.name, row

    def create(self, path: Path, durable: bool) -> None:
        raise NotImplementedError(f"{self.name} {OF_FILES} only reads")

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        raise NotImplementedError(f"{self.name} {OF_FILES} only reads")

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        self._row.store_many(path, images, labels, durable)

    def open(self, path: Path, shape: Shape = ()) -> FileReader:
        return self._row.open_files(path)
