"""Parquet: one file, `images.parquet`.

`peer-parquet`: row groups of 1,000 images, no dictionary and no compression, since few pixel strings
repeat (https://arrow.apache.org/docs/python/parquet.html, "Finer-grained Reading and Writing" and
"Compression, Encoding, and File Compatibility"). `peer-parquet-default`: `write_table` as it is: one
row group of up to 1,048,576 rows, dictionaries, Snappy.

A row group is the least that the reader reads, so a random batch reads each group that it needs,
once. One image at a time is read by `iter_batches`. Of pictures, the files are a column of large
binaries, in row groups of 100. pyarrow 26.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader
from .tables import FILES, RowGroups, file_tables, own_columns, record_batch

FILE = "images.parquet"
ROW_GROUP = 1_000
TUNED: dict[str, Any] = {
    "row_group_size": ROW_GROUP,
    "use_dictionary": False,
    "compression": "none",
}
BATCH = 256
"""Images that are decoded at a time for reading one by one."""


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
        for batch in self._groups.file.iter_batches(BATCH):
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
        table = self._groups.take(ids)
        return table["image"].to_pylist(), np.array(table["label"].to_numpy())

    def close(self) -> None:
        self._groups.file.close()


class ParquetFiles(FilePeer):
    """One file of files, tuned."""

    reader = ParquetFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        settings = {name: value for name, value in TUNED.items() if name != "row_group_size"}
        with pq.ParquetWriter(path / FILE, FILES, **settings) as writer:
            for batch in file_tables(files, labels):
                writer.write_batch(batch)


class ParquetPeer(Peer):
    """One file; the settings are `write_table`'s."""

    reader = ParquetReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        table = pa.Table.from_batches([record_batch(images, labels)])
        pq.write_table(table, path / FILE, **self.settings)


ROWS = (ParquetPeer("peer-parquet", ParquetFiles, **TUNED), ParquetPeer("peer-parquet-default"))
