"""The interface of a contender: its operations, of which every row but a peer has four."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Protocol, Self, overload

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Images, PictureOptions

Image = NDArray[np.uint8]
Read = Image | list[Image]
"""What was read: one array, or a list of images of several shapes."""
Labels = NDArray[np.int64]
Shape = tuple[int, ...]
ImageIds = NDArray[np.int64]
PILLOW = f"Pillow {version('pillow')}"
DECODER = f"simplejpeg {version('simplejpeg')}, else {PILLOW}"
"""What decodes the files of pictures: `storage.images.decoding`."""


class Contender(ABC):
    """One way of storing images. Every operation opens the store, does its work and closes it.

    name: its name in rows and in `--backend`
    variant: what its operations read, if not images; see `Undecoded`
    keeps_files: whether it keeps a picture's file as it is, and so decodes only what it reads
    operations: those it takes part in, by the names of the benchmarks without `test_`
    """

    name: str
    variant: str = ""
    keeps_files: bool = False
    operations: ClassVar[frozenset[str]] = frozenset(
        ("store_single", "store_many", "read_single", "read_many")
    )

    def holds(self, images: Images) -> bool:
        """Whether a store can hold such images; by default RGB images of one shape."""
        return images.dtype != object and images.shape[3:] == (3,)

    def for_pictures(self, options: PictureOptions) -> "Contender | None":
        """The row for a folder of pictures that are read with `options`; None if there is none.

        Such a row is given arrays (n,) of `PictureFile`s, and single ones, instead of pixels.
        """
        return None

    @property
    def decoder(self) -> str:
        """The library that decodes pictures, with its version."""
        return DECODER

    @abstractmethod
    def create(self, path: Path, durable: bool) -> None:
        """Make an empty store at `path`, which does not exist."""

    @abstractmethod
    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        """Store one image, (H, W, C), in an empty store."""

    @abstractmethod
    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        """Create a store at `path` and store `images` in it."""

    @abstractmethod
    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        """Read one image and its label; formats that do not store `shape`, (H, W, C), need it."""

    @abstractmethod
    def read_many(self, path: Path, shape: Shape) -> tuple[Read, Labels]:
        """Read all images and their labels, in order: as one array of `shape`, (n, H, W, C), or,
        if their shapes differ and `shape` is (n,), as a list.
        """

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        """Read the images `ids` that `store_many` stored; `shape` is that of all images.

        It is used only for checks, so it need not be fast.
        """
        found = [self.read_single(path, i, shape[1:]) for i in ids.tolist()]
        return np.stack([image for image, _ in found]), np.array([label for _, label in found])

    def prepare_read_single(  # noqa: B027  # most contenders need nothing
        self, path: Path, images: Images, labels: Labels, ids: Sequence[int]
    ) -> None:
        """Add the files that `read_single` needs for the images `ids` to a store of `images`."""

    def durability(self, durable: bool) -> str:
        """The promise of a storing call, as text for the record."""
        return "durable" if durable else "buffered"


class Opened(Protocol):
    """A store that is open for reading. It can be pickled, for another process to open it too."""

    def read_many(self, ids: ImageIds, /) -> tuple[object, Labels]:
        """Read the images `ids` in their order; ids may repeat."""

    @overload
    def __getitem__(self, key: int, /) -> tuple[Image, int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[object, Labels]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Openable(Contender):
    """A contender whose stores can stay open, as in training."""

    @abstractmethod
    def open(self, path: Path, shape: Shape) -> Opened:
        """Open a store for reading; formats that do not store `shape`, (H, W, C), need it."""

    @abstractmethod
    def one_by_one(self, opened: Opened, stop: int) -> Iterator[tuple[Image, int]]:
        """The first `stop` images with their labels, in order."""
