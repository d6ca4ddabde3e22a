"""NumPy's own format: `images.npy` and `labels.npy`, mapped.

https://numpy.org/doc/stable/reference/generated/numpy.load.html recommends `mmap_mode` to read small
parts of large files without reading the whole. NumPy 2.1 to 2.x, as in the project's requirements.
"""

from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader


class NpyReader(PeerReader):
    """Two mapped arrays."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        # As plain arrays: each view of a `memmap` runs Python code.
        self._images = np.asarray(np.load(path / "images.npy", mmap_mode="r"))
        self._labels = np.asarray(np.load(path / "labels.npy", mmap_mode="r"))

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._images[start:stop].copy(), self._labels[start:stop].copy()

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._images[ids], self._labels[ids]

    def read_single(self, image_id: int) -> tuple[Image, int]:
        return self._images[image_id].copy(), int(self._labels[image_id])

    def close(self) -> None:
        del self._images, self._labels


class NpyPeer(Peer):
    """Two files, written by `numpy.save`."""

    reader = NpyReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        np.save(path / "images.npy", images, allow_pickle=False)
        np.save(path / "labels.npy", labels, allow_pickle=False)


ROWS = (NpyPeer("peer-npy"),)
