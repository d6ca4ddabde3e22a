"""WebDataset: one shard, `images.tar`, with a `.npy` and a `.cls` for each image, read in order.

https://github.com/webdataset/webdataset: `TarWriter` writes, `to_tuple` and `map_tuple` read and
decode, and `batched` collates; shards of the recommended size, a gigabyte, would hold all images
here. `decode` does the same as the `map_tuple` here, but would unpickle too. The format has no random
access. webdataset 1.0 to 1.x.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import webdataset

from benchmarks.contenders.base import Image, Labels, Shape

from .base import IN_ORDER, Peer, PeerReader, require_in_order

FILE = "images.tar"


class WebdatasetReader(PeerReader):
    """A pipeline over the shard, which opens it for each pass."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        url = f"file:{(path / FILE).absolute()}"
        # One shard has no order to shuffle, and a pass over few images would count as empty.
        data = webdataset.WebDataset(url, shardshuffle=False, empty_check=False)
        self._data = data.to_tuple("npy", "cls").map_tuple(_decoded, int)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        require_in_order(start)
        images, labels = next(iter(self._data.batched(stop)))
        return np.asarray(images), np.asarray(labels)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        yield from self._data


def _decoded(data: bytes) -> Image:
    image: Image = np.load(io.BytesIO(data), allow_pickle=False)
    return image


class WebdatasetPeer(Peer):
    """One shard."""

    operations = IN_ORDER
    reader = WebdatasetReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with webdataset.TarWriter(str(path / FILE)) as writer:
            for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                writer.write({"__key__": f"{i:08}", "npy": image, "cls": label})


ROWS = (WebdatasetPeer("peer-webdataset"),)
