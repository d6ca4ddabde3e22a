"""tar, by the standard library: `images.tar`, with `labels.npy` and a member for each image.

A member holds raw pixels or, of pictures, the file. The labels are the last member.
https://docs.python.org/3/library/tarfile.html: `addfile` writes, `extractfile` reads a member at any
place, and opening for that reads all headers, since a tar has no index.
"""

import io
import tarfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader, own_images

FILE = "images.tar"
LABELS = "labels.npy"


class Archive:
    """An open archive, with the headers of its members and its labels."""

    def open(self, path: Path) -> None:
        self._tar = tarfile.open(path / FILE, "r:")  # noqa: SIM115  # `close` closes it
        *self._members, last = self._tar.getmembers()
        self._labels = np.load(io.BytesIO(self._cell(last)), allow_pickle=False)

    def _cell(self, member: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(member)
        assert file is not None, "the benchmark wrote it as a file"
        return file.read()

    def cells(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        return [self._cell(self._members[i]) for i in ids.tolist()], self._labels[ids]

    def close(self) -> None:
        self._tar.close()


class TarReader(Archive, PeerReader):
    """An open archive of pixels."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self.open(path)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self.read_many(np.arange(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        cells, labels = self.cells(ids)
        return own_images(cells, self.shape), labels


class TarFileReader(Archive, FileReader):
    """An open archive of files."""

    read_many = Archive.cells

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open(path)


class TarFiles(FilePeer):
    """One archive of files."""

    reader = TarFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        write(path, files, labels)


class TarPeer(Peer):
    """One archive of pixels."""

    reader = TarReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        write(path, (image.tobytes() for image in images), labels)


def write(path: Path, cells: Iterable[bytes], labels: Labels) -> None:
    """Write an archive of one member for each cell."""
    encoded = io.BytesIO()
    np.save(encoded, labels, allow_pickle=False)
    members = chain(enumerate(cells), [(LABELS, encoded.getvalue())])
    with tarfile.open(path / FILE, "w:") as tar:
        for name, data in members:
            member = tarfile.TarInfo(str(name))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


ROWS = (TarPeer("peer-tar", TarFiles),)
