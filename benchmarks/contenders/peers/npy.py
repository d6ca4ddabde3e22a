"""NumPy's own format: `images.npy` and `labels.npy`, mapped.

https://numpy.org/doc/stable/reference/generated/numpy.load.html recommends `mmap_mode` to read small
parts of large files without reading the whole. NumPy 2.1 to 2.x, as in the project's requirements.
"""

from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, Labels, Shape

from .base import MappedReader, Peer


class NpyReader(MappedReader):
    """Two mapped arrays."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        # As plain arrays: each view of a `memmap` runs Python code.
        self._images = np.asarray(np.load(path / "images.npy", mmap_mode="r"))
        self._labels = np.asarray(np.load(path / "labels.npy", mmap_mode="r"))


class NpyPeer(Peer):
    """Two files, written by `numpy.save`."""

    reader = NpyReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        np.save(path / "images.npy", images, allow_pickle=False)
        np.save(path / "labels.npy", labels, allow_pickle=False)


ROWS = (NpyPeer("peer-npy"),)
