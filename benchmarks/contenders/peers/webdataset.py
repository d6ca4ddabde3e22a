"""WebDataset: one shard, `images.tar`, with a `.npy` and a `.cls` for each image, read in order.

https://github.com/webdataset/webdataset: `TarWriter` writes, `to_tuple` and `map_tuple` read and
decode, and `batched` collates; shards of the recommended size, a gigabyte, would hold all images
here. `decode` does the same as the `map_tuple` here, but would unpickle too. The format has no random
access. Of pictures, a file is a `.img`, as it is. webdataset 1.0 to 1.x.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import webdataset

from benchmarks.contenders.base import Image, Labels, Shape

from .base import IN_ORDER, FilePeer, InOrderFileReader, Peer, PeerReader, require_in_order

FILE = "images.tar"


class WebdatasetReader(PeerReader):
    """A pipeline over the shard, which opens it for each pass."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._data = _pipeline(path, "npy", _decoded)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        require_in_order(start)
        images, labels = next(iter(self._data.batched(stop)))
        return np.asarray(images), np.asarray(labels)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        yield from self._data


class WebdatasetFileReader(InOrderFileReader):
    """A pipeline over a shard of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._data = _pipeline(path, "img", bytes)

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        return iter(self._data)


def _pipeline(path: Path, column: str, decode: Callable[[bytes], Any]) -> webdataset.WebDataset:
    """What `column` holds, decoded, and the labels, in order."""
    url = f"file:{(path / FILE).absolute()}"
    # One shard has no order to shuffle, and a pass over few images would count as empty.
    data = webdataset.WebDataset(url, shardshuffle=False, empty_check=False)
    return data.to_tuple(column, "cls").map_tuple(decode, int)


def _decoded(data: bytes) -> Image:
    image: Image = np.load(io.BytesIO(data), allow_pickle=False)
    return image


class WebdatasetPeer(Peer):
    """One shard."""

    operations = IN_ORDER
    reader = WebdatasetReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        _write(path, "npy", images, labels)


class WebdatasetFiles(FilePeer):
    """One shard of files."""

    operations = IN_ORDER
    reader = WebdatasetFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        _write(path, "img", files, labels)


def _write(path: Path, column: str, cells: Iterable[Image | bytes], labels: Labels) -> None:
    with webdataset.TarWriter(str(path / FILE)) as writer:
        for i, (cell, label) in enumerate(zip(cells, labels.tolist(), strict=True)):
            writer.write({"__key__": f"{i:08}", column: cell, "cls": label})


ROWS = (WebdatasetPeer("peer-webdataset", WebdatasetFiles),)
