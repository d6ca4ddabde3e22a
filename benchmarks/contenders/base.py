"""A way of storing images, as the four operations that all that is compared have."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Labels = NDArray[np.int64]
Shape = tuple[int, ...]
ImageIds = NDArray[np.int64]


class Contender(ABC):
    """One way of storing images. Every operation opens, does its work and closes.

    name: how rows and `--backend` call it
    """

    name: str

    @abstractmethod
    def create(self, path: Path, durable: bool) -> None:
        """Make an empty store at `path`, which does not exist."""

    @abstractmethod
    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        """Store one image, (H, W, C), in an empty store."""

    @abstractmethod
    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        """Create a store at `path` and store `images`, (n, H, W, C), in it."""

    @abstractmethod
    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        """Read one image and its label; `shape`, (H, W, C), is for those that do not store it."""

    @abstractmethod
    def read_many(self, path: Path, shape: Shape) -> tuple[Image, Labels]:
        """Read all images as one array of `shape`, (n, H, W, C), and their labels, in order."""

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Image, Labels]:
        """Read the images `ids` of what `store_many` has stored, `shape` being that of all.

        For checking, so that it need not be fast.
        """
        found = [self.read_single(path, i, shape[1:]) for i in ids.tolist()]
        return np.stack([image for image, _ in found]), np.array([label for _, label in found])

    def prepare_read_single(  # noqa: B027  # most need nothing
        self, path: Path, images: Image, labels: Labels, ids: Sequence[int]
    ) -> None:
        """Add to a store of `images` what `read_single` needs to read the images `ids`."""

    def durability(self, durable: bool) -> str:
        """What a storing call promises, for the record."""
        return "durable" if durable else "buffered"
