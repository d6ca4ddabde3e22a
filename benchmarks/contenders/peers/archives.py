"""What the peers share that keep images as members of an archive, and their labels as one more."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import PeerReader, own_images

LABELS = "labels.npy"


class Archive(ABC):
    """An open archive."""

    _labels: Labels

    @abstractmethod
    def open(self, path: Path) -> None:
        """Open the archive in the folder `path`, and read its labels."""

    @abstractmethod
    def cell(self, i: int) -> bytes:
        """What the member of image `i` holds."""

    def cells(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        return [self.cell(i) for i in ids.tolist()], self._labels[ids]


class PixelArchive(Archive, PeerReader):
    """An open archive of pixels."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self.open(path)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self.read_many(np.arange(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        cells, labels = self.cells(ids)
        return own_images(cells, self.shape), labels


class FileArchive(Archive, FileReader):
    """An open archive of files."""

    read_many = Archive.cells

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open(path)


def members(cells: Iterable[bytes], labels: Labels) -> Iterator[tuple[str, bytes]]:
    """The name of each member, and what it holds; the labels come last."""
    saved = io.BytesIO()
    np.save(saved, labels, allow_pickle=False)
    return chain(((str(i), cell) for i, cell in enumerate(cells)), [(LABELS, saved.getvalue())])


def saved_labels(data: bytes) -> Labels:
    """The labels that `members` gave."""
    labels: Labels = np.load(io.BytesIO(data), allow_pickle=False)
    return labels
