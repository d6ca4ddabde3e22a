"""LMDB as most projects use it: a key for each image, its value the label and the raw pixels.

https://lmdb.readthedocs.io/en/release/: one write transaction; `readonly`, `lock=False` and
`readahead=False` for random reads of a large file that nobody changes; `buffers=True` to read without
a copy; `Cursor.getmulti` for many keys at a time. lmdb 3.0 to 3.x, as in the project's requirements.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import lmdb
import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

LABEL_BYTES = 8
MAP_SLACK = 2**24


def _key(image_id: int) -> bytes:
    return b"%08d" % image_id


class LmdbReader(PeerReader):
    """An open environment with one read transaction."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
        self._transaction = self._environment.begin(buffers=True)

    def _arrays(self, values: Iterable[memoryview], n: int) -> tuple[Image, Labels]:
        images, labels = np.empty((n, *self.shape), np.uint8), np.empty(n, np.int64)
        record = images[0].nbytes + LABEL_BYTES
        joined = np.frombuffer(b"".join(values), np.uint8).reshape(n, record)
        images.reshape(n, -1)[:] = joined[:, LABEL_BYTES:]
        labels.view(np.uint8).reshape(n, LABEL_BYTES)[:] = joined[:, :LABEL_BYTES]
        return images, labels

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        with self._transaction.cursor() as cursor:
            cursor.set_key(_key(start))
            values = islice(cursor.iternext(keys=False, values=True), stop - start)
            return self._arrays(values, stop - start)

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        with self._transaction.cursor() as cursor:
            found = cursor.getmulti([_key(i) for i in ids.tolist()])
        return self._arrays((value for _, value in found), len(ids))

    def _record(self, value: memoryview) -> tuple[Image, int]:
        image = np.frombuffer(value, np.uint8, offset=LABEL_BYTES).reshape(self.shape).copy()
        return image, int.from_bytes(value[:LABEL_BYTES], sys.byteorder, signed=True)

    def read_single(self, image_id: int) -> tuple[Image, int]:
        value = self._transaction.get(_key(image_id))
        assert value is not None, "the benchmark reads what it stored"
        return self._record(value)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        with self._transaction.cursor() as cursor:
            yield from map(self._record, cursor.iternext(keys=False, values=True))

    def close(self) -> None:
        self._transaction.abort()
        self._environment.close()


class LmdbPeer(Peer):
    """One environment, written in one transaction."""

    reader = LmdbReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        size = 2 * images.nbytes + MAP_SLACK
        with (
            lmdb.open(str(path), map_size=size, sync=durable) as environment,
            environment.begin(write=True) as transaction,
        ):
            for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                value = label.to_bytes(LABEL_BYTES, sys.byteorder, signed=True) + image.tobytes()
                transaction.put(_key(i), value, append=True)


ROWS = (LmdbPeer("peer-lmdb"),)
