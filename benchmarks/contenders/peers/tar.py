"""tar, by the standard library: `images.tar`, with `labels.npy` and a member of raw pixels an image.

https://docs.python.org/3/library/tarfile.html: `addfile` writes, `extractfile` reads a member at any
place, and opening for that reads all headers, since a tar has no index.
"""

import io
import tarfile
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader, own_images

FILE = "images.tar"
LABELS = "labels.npy"


class TarReader(PeerReader):
    """An open archive, and the headers of its members."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._tar = tarfile.open(path / FILE, "r:")  # noqa: SIM115  # `close` closes it
        first, *self._members = self._tar.getmembers()
        self._labels = np.load(io.BytesIO(self._bytes(first)), allow_pickle=False)

    def _bytes(self, member: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(member)
        assert file is not None, "the benchmark wrote it as a file"
        return file.read()

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        cells = [self._bytes(member) for member in self._members[start:stop]]
        return own_images(cells, self.shape), self._labels[start:stop].copy()

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        cells = [self._bytes(self._members[i]) for i in ids.tolist()]
        return own_images(cells, self.shape), self._labels[ids]

    def close(self) -> None:
        self._tar.close()


class TarPeer(Peer):
    """One archive."""

    reader = TarReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        encoded = io.BytesIO()
        np.save(encoded, labels, allow_pickle=False)
        with tarfile.open(path / FILE, "w:") as tar:
            _add(tar, LABELS, encoded.getvalue())
            for i, image in enumerate(images):
                _add(tar, f"{i:08}.raw", image.tobytes())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


ROWS = (TarPeer("peer-tar"),)
