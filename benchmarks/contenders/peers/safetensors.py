"""safetensors: `images.safetensors`, read by slices; a random batch from a map of the file.

https://huggingface.co/docs/safetensors/index shows `safe_open` with `get_slice` for parts of a
tensor, which takes slices only. So a batch is gathered from a map of the file, whose header the
same page documents: eight bytes of its length, then JSON with each tensor's place. safetensors 0.8
to 0.x.
"""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

FILE = "images.safetensors"
LENGTH_BYTES = 8
DTYPES = {"U8": np.uint8, "I64": np.int64}


class SafetensorsReader(PeerReader):
    """An open file, which is mapped when the first batch is read."""

    _mapped: tuple[Image, Labels] | None = None

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._file = safe_open(path / FILE, framework="numpy")

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        images = self._file.get_slice("images")[start:stop]
        return images, self._file.get_slice("labels")[start:stop]

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        if self._mapped is None:
            self._mapped = _map(self.path / FILE)
        images, labels = self._mapped
        return images[ids], labels[ids]

    def close(self) -> None:
        self._mapped = None
        self._file.__exit__(None, None, None)


def _map(path: Path) -> tuple[Image, Labels]:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = LENGTH_BYTES + int.from_bytes(mapped[:LENGTH_BYTES], "little")
    header = json.loads(mapped[LENGTH_BYTES:start])

    def tensor(name: str) -> NDArray[Any]:
        found = header[name]
        first, last = (start + offset for offset in found["data_offsets"])
        data = np.frombuffer(memoryview(mapped)[first:last], DTYPES[found["dtype"]])
        return data.reshape(found["shape"])

    return tensor("images"), tensor("labels")


class SafetensorsPeer(Peer):
    """One file of two tensors."""

    reader = SafetensorsReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        save_file({"images": images, "labels": labels}, path / FILE)


ROWS = (SafetensorsPeer("peer-safetensors"),)
