"""MosaicML Streaming (MDS): shards of raw pixels and labels, uncompressed.

https://docs.mosaicml.com/projects/streaming/en/stable/: `MDSWriter` with a column `ndarray` of a
fixed type and shape, which is stored as its bytes; `LocalDataset`, which has random access to shards
on this machine. Of pictures, the files are a column `bytes`. mosaicml-streaming 0.13 needs NumPy below
2.2, and so an environment of its own: `mds-requirements.txt`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from streaming import LocalDataset, MDSWriter

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader


class MdsReader(PeerReader):
    """An open dataset."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._data = LocalDataset(str(path))

    def _arrays(self, ids: ImageIds) -> tuple[Image, Labels]:
        images, labels = np.empty((len(ids), *self.shape), np.uint8), np.empty(len(ids), np.int64)
        for place, i in enumerate(ids.tolist()):
            sample = self._data[i]
            images[place], labels[place] = sample["image"], sample["label"]
        return images, labels

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._arrays(np.arange(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._arrays(ids)

    def read_single(self, image_id: int) -> tuple[Image, int]:
        sample = self._data[image_id]
        return sample["image"].copy(), int(sample["label"])


class MdsPeer(Peer):
    """A folder of shards."""

    reader = MdsReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        _write(path, f"ndarray:uint8:{','.join(map(str, images.shape[1:]))}", images, labels)


class MdsFileReader(FileReader):
    """An open dataset of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._data = LocalDataset(str(path))

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        samples = [self._data[i] for i in ids.tolist()]
        labels = np.array([sample["label"] for sample in samples], np.int64)
        return [sample["image"] for sample in samples], labels


class MdsFiles(FilePeer):
    """A folder of shards of files."""

    reader = MdsFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        _write(path, "bytes", files, labels)


def _write(path: Path, kind: str, cells: Iterable[Image | bytes], labels: Labels) -> None:
    columns = {"image": kind, "label": "int64"}
    with MDSWriter(out=str(path), columns=columns) as writer:
        for cell, label in zip(cells, labels, strict=True):
            writer.write({"image": cell, "label": label})


ROWS = (MdsPeer("peer-mds", MdsFiles),)
