"""NPY: one file of NumPy's own format, `images.npy`.

    image = np.load("images.npy", mmap_mode="r")[i]  # of (N, H, W) or (N, H, W, C) uint8

Where shapes differ, or cells are PNGs, it holds one row of all cells, and `index.npy` tells where each
is:

    cell = np.load("images.npy", mmap_mode="r")[start : start + size]
"""

import io

import numpy as np

from .._checksum import Shape
from .flat import FlatContainer


class NpyContainer(FlatContainer):
    """Cells in a .npy file."""

    file = "images.npy"

    def start(self) -> int:
        # NumPy leaves room for a shape to grow in place, and fills up to a multiple of 64 bytes.
        return len(self.heading((1,)))

    def heading(self, shape: Shape) -> bytes:
        file = io.BytesIO()
        what = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, what)
        return file.getvalue()
