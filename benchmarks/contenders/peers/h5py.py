"""h5py: one file, `images.h5`, with data sets `images` and `labels`.

`peer-h5py`: `create_dataset(data=...)`, as https://docs.h5py.org/en/stable/quick.html shows it, which
is contiguous. `peer-h5py-default`: `chunks=True`, where h5py guesses chunks, as
https://docs.h5py.org/en/stable/high/dataset.html#chunked-storage shows for a data set that is to grow.
Lists of ids must be sorted and unique there ("Fancy indexing"), so a batch is put into the caller's
order by the inverse of `np.unique`. h5py 3.14 to 3.x, as in the project's requirements.
"""

from pathlib import Path

import h5py
import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

FILE = "images.h5"


class H5pyReader(PeerReader):
    """An open file."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._file = h5py.File(path / FILE, "r")
        self._images, self._labels = self._file["images"], self._file["labels"]

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._images[start:stop], self._labels[start:stop]

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        unique, places = np.unique(ids, return_inverse=True)
        return self._images[unique][places], self._labels[unique][places]

    def read_single(self, image_id: int) -> tuple[Image, int]:
        return self._images[image_id], int(self._labels[image_id])

    def close(self) -> None:
        self._file.close()


class H5pyPeer(Peer):
    """One file; the settings are `create_dataset`'s."""

    reader = H5pyReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with h5py.File(path / FILE, "w") as file:
            file.create_dataset("images", data=images, **self.settings)
            file.create_dataset("labels", data=labels, **self.settings)


ROWS = (H5pyPeer("peer-h5py"), H5pyPeer("peer-h5py-default", chunks=True))
