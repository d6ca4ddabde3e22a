"""Raw: a cell is the unchanged pixels, uint8 in C order.

image = np.frombuffer(cell, np.uint8).reshape(shape)
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from .._checksum import Shape
from .base import Cell, Cells, Payload


class RawPayload(Payload):
    """The unchanged pixels."""

    is_raw = True

    def encode(self, images: NDArray[np.uint8]) -> Cells:
        return images.reshape(len(images), -1)

    def decode(self, cells: Sequence[Cell], images: NDArray[np.uint8]) -> None:
        for cell, image in zip(cells, images, strict=True):
            self.check_size(image.shape, len(cell))
            image.data.cast("B")[:] = cell

    def check_size(self, shape: Shape, size: int) -> None:
        if prod(shape) != size:
            raise ValueError(f"{size} bytes cannot be the pixels of {shape}")
