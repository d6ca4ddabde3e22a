"""The data set of a run: the images and labels that are stored."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetOptionError

Images: TypeAlias = NDArray[Any]  # most contenders hold, and declare, only the first of the two
"""uint8 images of one shape, (n, H, W[, C]), or an object array (n,) of a folder's `PictureFile`s."""


def mean_bytes(images: Images) -> float:
    """Bytes of pixels of one image, on average."""
    if images.dtype != object:
        return images.nbytes / len(images)
    return float(sum(image.nbytes for image in images) / len(images))


@dataclass(frozen=True)
class Dataset:
    """Images and labels in a fixed order, in read-only arrays.

    name: "cifar10", "standin", "pictures", or the name of the user's directory or archive
    identity: results can be compared only if this is equal. It is "cifar10-" and the start of the
        official archive's sha256; "sha256:" and the digest of a user's batches or pictures; or the
        stand-in's version, seed and image size
    images: (N, H, W, C) uint8, or an array (N,) of a user's `PictureFile`s
    labels: (N,) int64
    note: one line on why the stand-in replaced CIFAR-10, or ""
    full_count: how many images the whole set has, if `images` is only its beginning
    is_folder: whether it is a folder of pictures, each of which is taken once
    remarks: what such a folder holds, in lines for the terminal; they name files and are not saved
    """

    name: str
    identity: str
    images: Images
    labels: NDArray[np.int64]
    note: str = ""
    full_count: int | None = None
    is_folder: bool = False
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # All stores and rounds use views of these arrays; a write would affect them all.
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    @property
    def capacity(self) -> int:
        """The largest cutoff: the whole set twice over, as the tutorial doubles CIFAR-10."""
        return len(self.images) if self.is_folder else 2 * (self.full_count or len(self.images))

    def take(self, n: int) -> tuple[Images, NDArray[np.int64]]:
        """The first n images, as in `images`, and labels, (n,) int64, of the set repeated once.

        They are views if n <= N, else copies. Raises DatasetOptionError if n is too large.

        n: 0 to `capacity`, or to the limit that the set was loaded with if that is less
        """
        loaded = len(self.images)
        partial = self.full_count is not None and loaded < self.full_count
        most = loaded if partial else self.capacity
        if not 0 <= n <= most:
            reason = "it was loaded with a smaller limit" if partial else "that is its capacity"
            raise DatasetOptionError(
                f"{self.name}: {n} images were asked for, not 0 to {most}; {reason}"
            )
        if n <= loaded:
            return self.images[:n], self.labels[:n]
        again = n - loaded
        return (
            np.concatenate((self.images, self.images[:again])),
            np.concatenate((self.labels, self.labels[:again])),
        )
