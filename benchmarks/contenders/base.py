"""The interface of a contender: the four operations that every row has."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Images

Image = NDArray[np.uint8]
Read = Image | list[Image]
"""What was read: one array, or a list of images of several shapes."""
Labels = NDArray[np.int64]
Shape = tuple[int, ...]
ImageIds = NDArray[np.int64]


class Contender(ABC):
    """One way of storing images. Every operation opens the store, does its work and closes it.

    name: its name in rows and in `--backend`
    """

    name: str

    def holds(self, images: Images) -> bool:
        """Whether a store can hold such images; by default RGB images of one shape."""
        return images.dtype != object and images.shape[3:] == (3,)

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
