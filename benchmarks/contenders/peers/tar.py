"""tar, by the standard library: `images.tar`, with `labels.npy` and a member for each image.

A member holds raw pixels or, of pictures, the file. The labels are the last member.
https://docs.python.org/3/library/tarfile.html: `addfile` writes, `extractfile` reads a member at any
place, and opening for that reads all headers, since a tar has no index.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.contenders.base import Image, Labels

from .archives import Archive, FileArchive, PixelArchive, members, saved_labels
from .base import FilePeer, Peer

FILE = "images.tar"


class Tar(Archive):
    """An open archive, with the headers of its members."""

    def open(self, path: Path) -> None:
        self._tar = tarfile.open(path / FILE, "r:")  # noqa: SIM115  # `close` closes it
        self._members = self._tar.getmembers()
        self._labels = saved_labels(self.cell(-1))

    def cell(self, i: int) -> bytes:
        file = self._tar.extractfile(self._members[i])
        assert file is not None, "the benchmark wrote it as a file"
        return file.read()

    def close(self) -> None:
        self._tar.close()


class TarReader(Tar, PixelArchive):
    """An open archive of pixels."""


class TarFileReader(Tar, FileArchive):
    """An open archive of files."""


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
    with tarfile.open(path / FILE, "w:") as tar:
        for name, data in members(cells, labels):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


ROWS = (TarPeer("peer-tar", TarFiles),)
