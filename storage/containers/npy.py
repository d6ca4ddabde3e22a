"""NPY: one file of NumPy's own format, `images.npy`.

    image = np.load("images.npy", mmap_mode="r")[i]  # of (N, H, W) or (N, H, W, C) uint8

Where shapes differ, or cells are PNGs, it holds one row of all cells, and `index.npy` tells where each
is:

    cell = np.load("images.npy", mmap_mode="r")[start : start + size]
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
        # NumPy leaves room for a shape to grow in place, and fills up to a multiple of 64 bytes.
        return npy_heading(np.dtype(np.uint8), shape)
