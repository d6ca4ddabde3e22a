"""NPY: one file of NumPy's own format, `images.npy`.

    images = np.load("images.npy", mmap_mode="r")
    image = images[i]  # of (N, H, W) or (N, H, W, C) uint8
    cell = images[start : start + size]

If shapes differ or cells are PNGs, it is one row of all cells; `index.npy` tells where each is.
"""

import numpy as np

from .._checksum import Shape
from .._index import npy_heading
from .flat import FlatContainer


class NpyContainer(FlatContainer):
    """Cells in a .npy file."""

    file = "images.npy"

    @staticmethod
    def heading(shape: Shape) -> bytes:
        # NumPy leaves room for a longer shape, and pads to a multiple of 64 bytes.
        return npy_heading(np.dtype(np.uint8), shape)
