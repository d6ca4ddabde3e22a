"""TensorStore: two arrays in zarr's format 3, without compression, in chunks of a megabyte.

https://google.github.io/tensorstore/driver/zarr3/index.html gives the metadata, where codecs must be
named or else the driver chooses them, and https://google.github.io/tensorstore/python/indexing.html
the indexing by an array of ids. Chunks are those of `zarr.py`, so the two libraries compare.
tensorstore 0.1.86 to 0.1.x.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
from numpy.typing import NDArray

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

CHUNK_BYTES = 2**20
CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}]


def _spec(path: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": f"file://{path.absolute()}/"}  # no other path will do


class TensorstoreReader(PeerReader):
    """The two open arrays."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        # Asked for together: the library opens them at the same time.
        opening = [
            tensorstore.open(_spec(path / name), read=True, open=True)
            for name in ("images", "labels")
        ]
        self._images, self._labels = (opened.result() for opened in opening)

    def _read(self, chosen: slice | ImageIds) -> tuple[Image, Labels]:
        images, labels = self._images[chosen].read(), self._labels[chosen].read()
        return images.result(), labels.result()

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._read(slice(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._read(ids)


class TensorstorePeer(Peer):
    """Two arrays."""

    reader = TensorstoreReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        _write(path / "images", images, durable)
        _write(path / "labels", labels, durable)


def _write(path: Path, array: NDArray[Any], durable: bool) -> None:
    chunk = max(1, min(len(array), CHUNK_BYTES // array[0].nbytes))
    grid = {"name": "regular", "configuration": {"chunk_shape": [chunk, *array.shape[1:]]}}
    metadata = {
        "shape": array.shape,
        "data_type": np.dtype(array.dtype).name,
        "chunk_grid": grid,
        "codecs": CODECS,
    }
    context = {"file_io_sync": durable}  # by default it syncs each chunk
    spec = _spec(path) | {"metadata": metadata, "context": context}
    made = tensorstore.open(spec, create=True).result()
    made.write(array).result()


ROWS = (TensorstorePeer("peer-tensorstore"),)
