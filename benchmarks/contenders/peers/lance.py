"""Lance: a dataset of one fragment, pixels as a fixed-size binary column, file version 2.0.

https://lancedb.github.io/lance/guide/read_and_write/ shows `write_dataset`, and `take` for random
rows in any order, repeats included. Version 2.0 of the files reads and stores this column faster
than the default, 2.1 (by measurement). pylance 14.
"""

from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader
from .tables import own_columns, record_batch

FOLDER = "images.lance"
BATCH = 256
"""Images that are read at a time for one by one."""


class LanceReader(PeerReader):
    """An open dataset."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._data = lance.dataset(path / FOLDER)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return own_columns(self._data.to_table(offset=start, limit=stop - start), self.shape)

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return own_columns(self._data.take(ids), self.shape)

    def read_single(self, image_id: int) -> tuple[Image, int]:
        images, labels = self.read_many(np.array([image_id]))
        return images[0], int(labels[0])

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for batch in self._data.to_batches(batch_size=BATCH):
            images, labels = own_columns(batch, self.shape)
            # A copy each: a view would keep its whole batch.
            yield from zip(map(np.copy, images), labels.tolist(), strict=True)


class LancePeer(Peer):
    """One dataset, written in one commit."""

    reader = LanceReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        table = pa.Table.from_batches([record_batch(images, labels)])
        lance.write_dataset(table, path / FOLDER, data_storage_version="2.0")


ROWS = (LancePeer("peer-lance"),)
