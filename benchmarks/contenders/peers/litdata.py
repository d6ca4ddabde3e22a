"""LitData: `optimize` into chunks of 64 MB, and `StreamingDataset` to read in order.

https://github.com/Lightning-AI/litData: "Optimize datasets for fast streaming". `optimize` starts its
worker by fork, so that the images need not be sent to it. Reading at random would load a chunk for
nearly every image. Its index may ask for unpickling: read only what this benchmark has just written.
litdata 0.2.76 to 0.2.x, with PyTorch.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import litdata
import numpy as np

from benchmarks.contenders.base import Image, Labels, Shape

from .base import IN_ORDER, Peer, PeerReader, require_in_order

CACHES = ("DATA_OPTIMIZER_CACHE_FOLDER", "DATA_OPTIMIZER_DATA_CACHE_FOLDER")


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

        # It first removes its cache folders, by default /tmp/chunks and /tmp/data, whosever they are.
        with TemporaryDirectory(prefix="litdata-", dir=path.parent) as cache:
            for name in CACHES:
                os.environ[name] = str(Path(cache, name))
            litdata.optimize(
                fn=sample,
                inputs=[*range(len(images))],
                output_dir=str(path),
                num_workers=1,
                chunk_bytes="64MB",
                start_method="fork",
                verbose=False,
            )


ROWS = (LitdataPeer("peer-litdata"),)
