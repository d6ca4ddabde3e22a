"""tar, by the standard library: `images.tar`, with `labels.npy` and a member for each image.

A member holds raw pixels or, of pictures, the file. The labels are the last member.

https://docs.python.org/3/library/tarfile.html: `addfile` writes, `extractfile` reads a member at any
place, and opening for that reads all headers, since a tar has no index.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader, own_images

FILE = "images.tar"
LABELS = "labels.npy"


class Archive:
    """An open archive, the headers of its members, and its labels."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path / FILE, "r:")  # noqa: SIM115  # `close` closes it
        *self.members, last = self._tar.getmembers()
        self.labels = np.load(io.BytesIO(self.read(last)), allow_pickle=False)
        self.close = self._tar.close

    def read(self, member: tarfile.TarInfo) -> bytes:
        """The bytes of a member."""
        file = self._tar.extractfile(member)
        assert file is not None, "the benchmark wrote it as a file"
        return file.read()

    def read_many(self, ids: ImageIds) -> list[bytes]:
        """The bytes of the members `ids`."""
        return [self.read(self.members[i]) for i in ids.tolist()]


class TarReader(PeerReader):
    """An open archive of pixels."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._archive = Archive(path)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self.read_many(np.arange(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return own_images(self._archive.read_many(ids), self.shape), self._archive.labels[ids]

    def close(self) -> None:
        self._archive.close()


class TarFileReader(FileReader):
    """An open archive of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._archive = Archive(path)

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        return self._archive.read_many(ids), self._archive.labels[ids]

    def close(self) -> None:
        self._archive.close()


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
    with tarfile.open(path / FILE, "w:") as tar:
        for i, data in enumerate(cells):
            _add(tar, f"{i:08}", data)
        _add(tar, LABELS, encoded.getvalue())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


ROWS = (TarPeer("peer-tar", TarFiles),)
