"""Parquet: one file, `images.parquet`.

`peer-parquet`: row groups of 1,000 images, no dictionary and no compression, since few pixel strings
repeat (https://arrow.apache.org/docs/python/parquet.html, "Finer-grained Reading and Writing" and
"Compression, Encoding, and File Compatibility"). `peer-parquet-default`: `write_table` as it is: one
row group of up to 1,048,576 rows, dictionaries, Snappy.

A row group is the least that can be read: a random batch reads each that it needs, once. Of
pictures, the files are a column of large binaries, in row groups of 100. pyarrow 26.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from . import tables
from .base import FilePeer, Peer, PeerReader
from .tables import RowGroups, own_columns, own_files, record_batch

FILE = "images.parquet"
ROW_GROUP = 1_000
TUNED: dict[str, Any] = {"use_dictionary": False, "compression": "none"}


class ParquetReader(PeerReader):
    """An open file of pixels."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._groups = RowGroups(path / FILE)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return own_columns(self._groups.run(start, stop), self.shape)

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return own_columns(self._groups.take(ids), self.shape)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for batch in self._groups.file.iter_batches(tables.BATCH):
            images, labels = own_columns(batch, self.shape)
            # A copy each: a view would keep its whole batch.
            yield from zip(map(np.copy, images), labels.tolist(), strict=True)

    def close(self) -> None:
        self._groups.file.close()


class ParquetFileReader(FileReader):
    """An open file of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._groups = RowGroups(path / FILE)

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        return own_files(self._groups.take(ids))

    def run(self, start: int, stop: int) -> tuple[list[bytes], Labels]:
        return own_files(self._groups.run(start, stop))

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        for batch in self._groups.file.iter_batches(tables.FILES_AT_ONCE):
            yield from zip(batch["image"].to_pylist(), batch["label"].to_pylist(), strict=True)

    def close(self) -> None:
        self._groups.file.close()


class ParquetFiles(FilePeer):
    """One file of files, tuned."""

    reader = ParquetFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        with pq.ParquetWriter(path / FILE, tables.FILES, **TUNED) as writer:
            for batch in tables.file_tables(files, labels):
                writer.write_batch(batch)


class ParquetPeer(Peer):
    """One file; the settings are `write_table`'s."""

    reader = ParquetReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        table = pa.Table.from_batches([record_batch(images, labels)])
        pq.write_table(table, path / FILE, **self.settings)


ROWS = (
    ParquetPeer("peer-parquet", ParquetFiles, row_group_size=ROW_GROUP, **TUNED),
    ParquetPeer("peer-parquet-default"),
)
