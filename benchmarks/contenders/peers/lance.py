"""Lance: a dataset of one fragment, pixels as a fixed-size binary column, file version 2.0.

https://lancedb.github.io/lance/guide/read_and_write/ shows `write_dataset`, and `take` for random
rows in any order, repeats included. Version 2.0 of the files reads and stores this column faster
than the default, 2.1 (by measurement). Of pictures, the files are a blob column
(https://lancedb.github.io/lance/guide/blob/, which needs file version 2.2; small ones lie in the
data file), which `read_blobs` reads whole. pylance 14.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader
from .tables import BATCH, file_tables, own_columns, record_batch

FOLDER = "images.lance"


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


class LanceFileReader(FileReader):
    """An open dataset of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._data = lance.dataset(path / FOLDER)

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        chosen, place = np.unique(ids, return_inverse=True)  # a repeated id would be read again
        found = self._data.read_blobs("image", indices=chosen.tolist(), preserve_order=True)
        labels = self._data.take(ids, columns=["label"])["label"].to_numpy()
        return [found[i][1] for i in place.tolist()], labels.copy()

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        for batch in self._data.to_batches(batch_size=BATCH, blob_handling="all_binary"):
            yield from zip(batch["image"].to_pylist(), batch["label"].to_pylist(), strict=True)


class LanceFiles(FilePeer):
    """One dataset of files."""

    reader = LanceFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        schema = pa.schema([lance.blob_field("image"), pa.field("label", pa.int64())])
        batches = file_tables(files, labels, schema, lance.blob_array)
        lance.write_dataset(batches, path / FOLDER, schema, data_storage_version="2.2")


ROWS = (LancePeer("peer-lance", LanceFiles),)
