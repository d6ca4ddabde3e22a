"""ZIP, by the standard library: `images.zip`, uncompressed, with `labels.npy` and a member for each image.

A member holds raw pixels or, of pictures, the file; StyleGAN's data sets are such archives
(https://github.com/NVlabs/stylegan3#preparing-datasets). https://docs.python.org/3/library/zipfile.html:
`ZIP_STORED` is the default, `read` gives a member at any place and checks its CRC-32, and opening
reads the directory at the end of the archive. Python 3.11 to 3.14.
"""

from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

from benchmarks.contenders.base import Image, Labels

from .archives import LABELS, Archive, FileArchive, PixelArchive, members, saved_labels
from .base import FilePeer, Peer

FILE = "images.zip"


class Zip(Archive):
    """An open archive, with its directory."""

    def open(self, path: Path) -> None:
        self._zip = ZipFile(path / FILE)
        self._labels = saved_labels(self._zip.read(LABELS))

    def cell(self, i: int) -> bytes:
        return self._zip.read(str(i))

    def close(self) -> None:
        self._zip.close()


class ZipReader(Zip, PixelArchive):
    """An open archive of pixels."""


class ZipFileReader(Zip, FileArchive):
    """An open archive of files."""


class ZipFiles(FilePeer):
    """One archive of files."""

    reader = ZipFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        write(path, files, labels)


class ZipPeer(Peer):
    """One archive of pixels."""

    reader = ZipReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        write(path, (image.tobytes() for image in images), labels)


def write(path: Path, cells: Iterable[bytes], labels: Labels) -> None:
    """Write an archive of one member for each cell."""
    with ZipFile(path / FILE, "w") as file:
        for name, data in members(cells, labels):
            file.writestr(name, data)


ROWS = (ZipPeer("peer-zip", ZipFiles),)
