"""Arrow IPC: one file, `images.arrow`, of one record batch, mapped.

https://arrow.apache.org/docs/python/ipc.html#efficiently-writing-and-reading-arrow-data recommends
`memory_map` and the file format for random access without copies. The pixels are a fixed-size
binary column, whose second buffer NumPy views. Two batches would be two buffers. Of pictures, the
files are a column of large binaries, in batches, which are written one by one. pyarrow 26.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, MappedReader, Peer
from .tables import FILES, file_tables, record_batch

FILE = "images.arrow"


class ArrowReader(MappedReader):
    """A mapped file, and its two columns as arrays."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._source = pa.memory_map(str(path / FILE))
        batch = pa.ipc.open_file(self._source).get_batch(0)
        pixels = np.frombuffer(batch["image"].buffers()[1], np.uint8)
        self._images = pixels.reshape(batch.num_rows, *shape)
        self._labels = batch["label"].to_numpy()

    def close(self) -> None:
        super().close()
        self._source.close()


class ArrowPeer(Peer):
    """One file of one record batch."""

    reader = ArrowReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        batch = record_batch(images, labels)
        with pa.OSFile(str(path / FILE), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
            file.write_batch(batch)


class ArrowFileReader(FileReader):
    """A mapped file of files; its columns are views of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._source = pa.memory_map(str(path / FILE))
        table = pa.ipc.open_file(self._source).read_all()
        self._files, self._labels = table["image"], table["label"].to_numpy()

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        return [self._files[i].as_py() for i in ids.tolist()], self._labels[ids]

    def run(self, start: int, stop: int) -> tuple[list[bytes], Labels]:
        return self._files[start:stop].to_pylist(), self._labels[start:stop].copy()

    def close(self) -> None:
        del self._files, self._labels
        self._source.close()


class ArrowFiles(FilePeer):
    """One file of batches of files."""

    reader = ArrowFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        with pa.OSFile(str(path / FILE), "wb") as sink, pa.ipc.new_file(sink, FILES) as file:
            for batch in file_tables(files, labels):
                file.write_batch(batch)


ROWS = (ArrowPeer("peer-arrow", ArrowFiles),)
