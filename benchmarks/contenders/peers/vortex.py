"""Vortex: one file, `images.vortex`, pixels as fixed-size lists, mapped.

https://docs.vortex.dev/api/python/ shows `vortex.io.write` and `vortex.open(...).scan(...)`; its
`memory_map` is for local files. `scan` takes indices that are sorted, here also unique, so a batch is
put into the caller's order afterwards. Vortex has no fixed-size binary. vortex-data 0.93.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import vortex

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader
from .tables import own_columns

FILE = "images.vortex"
BATCH = 256
"""Images that are read at a time for one by one."""


class VortexReader(PeerReader):
    """An open file."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._file = vortex.open(str(path / FILE), memory_map=True)

    def _rows(self, ids: ImageIds) -> tuple[Image, Labels]:
        """The rows `ids`, which are sorted and unique."""
        found = self._file.scan(indices=vortex.array(pa.array(ids, pa.uint64())))
        return own_columns(found.read_all().to_arrow_table(), self.shape)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        if start:
            return self._rows(np.arange(start, stop))
        return own_columns(self._file.scan(limit=stop).read_all().to_arrow_table(), self.shape)

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        unique, places = np.unique(ids, return_inverse=True)
        images, labels = self._rows(unique)
        return images[places], labels[places]

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for array in self._file.scan(batch_size=BATCH):
            images, labels = own_columns(array.to_arrow_table(), self.shape)
            # A copy each: a view would keep its whole batch.
            yield from zip(map(np.copy, images), labels.tolist(), strict=True)

    def close(self) -> None:
        del self._file  # it has no call to close it


class VortexPeer(Peer):
    """One file of a table of two columns."""

    reader = VortexReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        pixels = pa.FixedSizeListArray.from_arrays(images.reshape(-1), images[0].size)
        vortex.io.write(pa.table({"image": pixels, "label": labels}), str(path / FILE))


ROWS = (VortexPeer("peer-vortex"),)
