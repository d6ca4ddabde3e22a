"""What the peers share: a folder for each store, syncing, and opening to read.

A peer is a module of about a hundred lines: a `PeerReader` and a `Peer` or two, used as the format's
documentation recommends. The module's docstring tells what that is, where the documentation says so,
and for which versions. An operation that a format does not have is left out, not emulated.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, Self, overload

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Openable, Opened, Read, Shape
from benchmarks.contenders.encoded import FileReader, FileRow, together
from benchmarks.contenders.syncing import sync_tree
from benchmarks.datasets import PictureOptions

IN_ORDER = frozenset(("store_many", "read_many", "iterate"))
RANDOM = IN_ORDER | {"read_single", "read_batch", "epoch", "parallel_read"}


class PeerReader(Opened):
    """An open store of a peer. All it returns are the caller's own arrays, as in every row."""

    def __init__(self, path: Path, shape: Shape) -> None:
        """Open the store at `path`, of images of `shape`, (H, W, C)."""
        self.path = path
        self.shape = shape

    def __reduce__(self) -> tuple[type[Self], tuple[Path, Shape]]:
        return type(self), (self.path, self.shape)  # the other process opens the store itself

    @abstractmethod
    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        """The images `start` to `stop` - 1, (n, H, W, C), and their labels; by default all.

        Formats that are read in order have only runs that begin at 0.
        """

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        raise NotImplementedError(f"{type(self).__name__} reads in order only")

    def read_single(self, image_id: int) -> tuple[Image, int]:
        images, labels = self.run(image_id, image_id + 1)
        return images[0], int(labels[0])

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        return map(self.read_single, count())

    @overload
    def __getitem__(self, key: int, /) -> tuple[Image, int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Image, Labels]: ...
    def __getitem__(self, key: int | slice, /) -> tuple[Image, int | Labels]:
        return self.run(key.start, key.stop) if isinstance(key, slice) else self.read_single(key)

    def close(self) -> None:
        """Close what is open; what a library has no call for is left to its destructor."""


class MappedReader(PeerReader):
    """Images and labels as arrays of mapped memory, which a subclass sets."""

    _images: Image
    _labels: Labels

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._images[start:stop].copy(), self._labels[start:stop].copy()

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._images[ids], self._labels[ids]

    def read_single(self, image_id: int) -> tuple[Image, int]:
        return self._images[image_id].copy(), int(self._labels[image_id])

    def close(self) -> None:
        del self._images, self._labels


def require_in_order(start: int) -> None:
    """Raise NotImplementedError for images that a format without random access would look for."""
    if start:
        raise NotImplementedError(f"images from {start} on: they are read in order only")


class Peer(Openable):
    """A format that a user would pick instead. Each store has its own folder."""

    operations = RANDOM
    reader: ClassVar[type[PeerReader]]

    def __init__(self, name: str, files: "type[FilePeer] | None" = None, **settings: Any) -> None:
        """`settings` are what a module's peers differ in; `files` is how it keeps pictures."""
        self.name = name
        self.settings = settings
        self._files = files

    def for_pictures(self, options: PictureOptions) -> "FilePeer | None":
        return self._files(self.name).for_pictures(options) if self._files else None

    @abstractmethod
    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        """Store `images`, (n, H, W, C), in the empty folder `path`.

        durable: whether the library is to sync by itself, if it can; `store_many` syncs everything
        """

    def create(self, path: Path, durable: bool) -> None:
        raise NotImplementedError(f"{self.name} takes no part in store_single")

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        raise NotImplementedError(f"{self.name} takes no part in store_single")

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self.write(path, images, labels, durable)
        if durable:
            sync_tree(path)

    def open(self, path: Path, shape: Shape) -> PeerReader:
        return self.reader(path, shape)

    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        assert isinstance(opened, PeerReader)
        return islice(iter(opened), stop)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        with self.open(path, shape) as opened:
            return opened.read_single(image_id)

    def read_many(self, path: Path, shape: Shape) -> tuple[Image, Labels]:
        with self.open(path, shape[1:]) as opened:
            return opened.run(0, shape[0])

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Image, Labels]:
        if "read_batch" in self.operations:
            with self.open(path, shape[1:]) as opened:
                return opened.read_many(ids)
        images, labels = self.read_many(path, shape)
        return images[ids], labels[ids]


class FilePeer(FileRow):
    """How a peer keeps the files of pictures, as they are."""

    operations = RANDOM

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        if "read_batch" in self.operations:
            return super().read_some(path, ids, shape)
        wanted = {*ids.tolist()}
        # There may be no room for all files, nor for their images.
        with self.open_files(path) as files:
            in_order = zip(range(max(wanted) + 1), files.one_by_one(), strict=False)
            found = {i: file for i, file in in_order if i in wanted}
        images = together([self.options.decode(found[i][0]) for i in ids.tolist()])
        return images, np.array([found[i][1] for i in ids.tolist()], np.int64)


class InOrderFileReader(FileReader):
    """An open store of files that are read in order only."""

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        raise NotImplementedError(f"{type(self).__name__} reads in order only")

    def run(self, start: int, stop: int) -> tuple[list[bytes], Labels]:
        require_in_order(start)
        files, labels = zip(*islice(self.one_by_one(), stop), strict=True)
        return [*files], np.array(labels, np.int64)

    @abstractmethod
    def one_by_one(self) -> Iterator[tuple[bytes, int]]: ...


def own_images(cells: Sequence[bytes], shape: Shape) -> Image:
    """An own array of images of `shape`, (H, W, C), from the pixel bytes of each."""
    return np.frombuffer(bytearray().join(cells), np.uint8).reshape(len(cells), *shape)
