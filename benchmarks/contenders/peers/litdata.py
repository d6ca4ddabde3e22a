"""LitData: `optimize` into chunks of 64 MB, and `StreamingDataset` to read in order.

https://github.com/Lightning-AI/litData: "Optimize datasets for fast streaming". `optimize` starts its
worker by fork, so that the images need not be sent to it. Reading at random would load a chunk for
nearly every image. Its index may ask for unpickling: read only what this benchmark has just written.
Of pictures, a sample has the file's bytes. litdata 0.2.76 to 0.2.x, with PyTorch.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import litdata
import numpy as np

from benchmarks.contenders.base import Image, Labels, Shape

from .base import IN_ORDER, FilePeer, InOrderFileReader, Peer, PeerReader, require_in_order

CACHES = "DATA_OPTIMIZER_CACHE_FOLDER", "DATA_OPTIMIZER_DATA_CACHE_FOLDER"


class LitdataReader(PeerReader):
    """An open dataset."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._data = litdata.StreamingDataset(str(path))

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        images, labels = np.empty((stop, *self.shape), np.uint8), np.empty(stop, np.int64)
        require_in_order(start)
        for i, (image, label) in enumerate(islice(self, stop)):
            images[i], labels[i] = image, label
        return images, labels

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for sample in self._data:
            yield sample["image"], int(sample["label"])


class LitdataPeer(Peer):
    """A folder of chunks, written by one worker."""

    operations = IN_ORDER
    reader = LitdataReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        def sample(i: int) -> dict[str, Any]:
            return {"image": images[i], "label": int(labels[i])}

        _optimize(path, sample, len(images))


class LitdataFileReader(InOrderFileReader):
    """An open dataset of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._data = litdata.StreamingDataset(str(path))

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        return ((sample["image"], sample["label"]) for sample in self._data)


class LitdataFiles(FilePeer):
    """A folder of chunks of files."""

    operations = IN_ORDER
    reader = LitdataFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        coming = iter(files)  # the worker is given the numbers in their order

        def sample(i: int) -> dict[str, Any]:
            return {"image": next(coming), "label": int(labels[i])}

        _optimize(path, sample, len(labels))


def _optimize(path: Path, sample: Callable[[int], dict[str, Any]], n: int) -> None:
    # It first removes its cache folders, by default /tmp/chunks and /tmp/data, whosever they are.
    with TemporaryDirectory(prefix="litdata-", dir=path.parent) as cache:
        os.environ |= {name: str(Path(cache, name)) for name in CACHES}
        litdata.optimize(
            fn=sample,
            inputs=[*range(n)],
            output_dir=str(path),
            num_workers=1,
            chunk_bytes="64MB",
            start_method="fork",
            keep_data_ordered=True,
            verbose=False,
        )


ROWS = (LitdataPeer("peer-litdata", LitdataFiles),)
