"""Raw: a cell is the unchanged pixels, uint8 in C order.

image = np.frombuffer(cell, np.uint8).reshape(shape)
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

from .._checksum import Shape
from .base import Cell, Cells, Payload


class RawPayload(Payload):
    """The unchanged pixels."""

    is_raw = True

    def encode(self, image: NDArray[np.uint8]) -> Cell:
        return image.reshape(-1)

    def encode_many(self, images: NDArray[np.uint8]) -> Cells:
        return images.reshape(len(images), -1)

    def decode(self, cell: Cell, image: NDArray[np.uint8]) -> None:
        image.reshape(-1)[:] = np.frombuffer(cell, np.uint8)

    def check_size(self, shape: Shape, size: int) -> None:
        if prod(shape) != size:
            raise ValueError(f"{size} bytes cannot be the pixels of {shape}")
