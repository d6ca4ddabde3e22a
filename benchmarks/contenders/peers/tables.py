"""What the peers that use pyarrow share: columns of images and of files, and Parquet's row groups."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

FILES = pa.schema({"image": pa.large_binary(), "label": pa.int64()})
BATCH = 256
"""Images that are read at a time for one by one."""
FILES_AT_ONCE = 100
"""Files in a batch, which is held in memory while it is written."""


def record_batch(images: Image, labels: Labels) -> pa.RecordBatch:
    """The images and their labels as Arrow's columns, without a copy."""
    kind = pa.binary(images[0].nbytes)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, len(images), [None, pa.py_buffer(images)])
    return pa.record_batch({"image": column, "label": pa.array(labels)})


def own_columns(table: pa.Table | pa.RecordBatch, shape: Shape) -> tuple[Image, Labels]:
    """A table's images, of `shape`, (H, W, C), as an own array, and its labels as another."""
    column = table["image"]
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    images = np.empty((len(column), *shape), np.uint8)
    flat = images.reshape(len(column), -1)
    at = 0
    for chunk in chunks:
        if pa.types.is_fixed_size_list(chunk.type):
            pixels = chunk.flatten().to_numpy()
        else:
            pixels = np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * flat.shape[1] :]
        size = len(chunk) * flat.shape[1]
        flat[at : at + len(chunk)] = pixels[:size].reshape(len(chunk), -1)
        at += len(chunk)
    return images, np.array(table["label"].to_numpy())


def own_files(table: pa.Table) -> tuple[list[bytes], Labels]:
    """A table's files and labels."""
    return table["image"].to_pylist(), np.array(table["label"].to_numpy())


def binaries(files: list[bytes]) -> pa.Array:
    """A column of files."""
    return pa.array(files, pa.large_binary())


def file_tables(
    files: Iterable[bytes],
    labels: Labels,
    schema: pa.Schema = FILES,
    column: Callable[[list[bytes]], pa.Array] = binaries,
) -> Iterator[pa.RecordBatch]:
    """The files, as `column` makes one of them, and their labels as batches of `schema`."""
    coming, start = iter(files), 0
    while some := [*islice(coming, FILES_AT_ONCE)]:
        of_some = pa.array(labels[start : start + len(some)])
        yield pa.record_batch([column(some), of_some], schema=schema)
        start += len(some)


class RowGroups:
    """An open Parquet file, and the number of the first image of each row group."""

    def __init__(self, path: Path) -> None:
        self.file = pq.ParquetFile(path, memory_map=True)
        groups = range(self.file.num_row_groups)
        rows = [self.file.metadata.row_group(group).num_rows for group in groups]
        self._starts = np.cumsum([0, *rows])

    def run(self, start: int, stop: int) -> pa.Table:
        """The rows `start` to `stop` - 1."""
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        table = self.file.read_row_groups([*range(first, last + 1)])
        return table.slice(start - self._starts[first], stop - start)

    def take(self, ids: ImageIds) -> pa.Table:
        """The rows `ids`; each group that has one is read once."""
        groups, group_of = np.unique(
            np.searchsorted(self._starts, ids, side="right") - 1, return_inverse=True
        )
        table = self.file.read_row_groups(groups.tolist())
        sizes = np.diff(self._starts)[groups]
        places = (np.cumsum(sizes) - sizes)[group_of] + ids - self._starts[groups][group_of]
        return table.take(places)
