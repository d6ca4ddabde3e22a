"""SQLite: one table with a row per image, its pixels a BLOB, in pages of 8 KiB.

https://www.sqlite.org/intern-v-extern-blob.html: blobs up to 100 kB read faster from the database
than from files, and with pages of 8,192 or 16,384 bytes. https://www.sqlite.org/pragma.html#pragma_synchronous:
FULL, the default, is durable; OFF hands data to the operating system. The standard library's.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader, own_images

FILE = "images.sqlite"
ALL = "SELECT pixels, label FROM images WHERE id >= ? AND id < ? ORDER BY id"
ONE = "SELECT pixels, label FROM images WHERE id = ?"


class SqlitePeerReader(PeerReader):
    """An open database."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._database = sqlite3.connect(f"{(path / FILE).absolute().as_uri()}?mode=ro", uri=True)

    def _arrays(self, rows: list[tuple[bytes, int]]) -> tuple[Image, Labels]:
        pixels, labels = zip(*rows, strict=True)
        return own_images(pixels, self.shape), np.array(labels, np.int64)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._arrays(self._database.execute(ALL, (start, stop)).fetchall())

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        execute = self._database.execute
        return self._arrays([execute(ONE, (i,)).fetchone() for i in ids.tolist()])

    def read_single(self, image_id: int) -> tuple[Image, int]:
        pixels, label = self._database.execute(ONE, (image_id,)).fetchone()
        return own_images([pixels], self.shape)[0], label

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for pixels, label in self._database.execute("SELECT pixels, label FROM images ORDER BY id"):
            yield own_images([pixels], self.shape)[0], label

    def close(self) -> None:
        self._database.close()


class SqlitePeer(Peer):
    """One database, written in one transaction."""

    reader = SqlitePeerReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        database = sqlite3.connect(path / FILE)
        try:
            database.execute("PRAGMA page_size = 8192")
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            with database:  # one transaction
                database.execute(
                    "CREATE TABLE images (id INTEGER PRIMARY KEY, label INTEGER, pixels BLOB)"
                )
                rows = zip(range(len(images)), labels.tolist(), images, strict=True)
                database.executemany("INSERT INTO images VALUES (?, ?, ?)", rows)
        finally:
            database.close()


ROWS = (SqlitePeer("peer-sqlite"),)
