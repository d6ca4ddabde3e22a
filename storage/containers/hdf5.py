"""HDF5: one file with one contiguous data set, `images.h5`.

    with h5py.File("images.h5") as file:
        image = file["images"][i]  # of (N, H, W) or (N, H, W, C) uint8

If shapes differ or cells are PNGs, it is one row of all cells; `index.npy` tells where each is:

    with h5py.File("images.h5") as file:
        cell = file["images"][start : start + size]

libhdf5 makes the structure of the file. The data begin at the same offset for every shape, so they
are written as they come. They are read without libhdf5, which takes 0.3 ms to parse a file.
"""

import io
from functools import lru_cache

import h5py

from .._checksum import Shape
from .._errors import BusyError
from .._files import Folder
from .._index import Index
from .flat import FlatContainer

FLAGS_AT, OPEN_FOR_WRITING = 11, b"\1"
"""Where libhdf5 marks a file as open (File Format Specification, superblock version 2)."""


class Memory(io.BytesIO):
    """Takes what libhdf5 writes, without room for the data; libhdf5 has crashed on a full disk."""

    # Not a Python function: libhdf5 would swallow the exception of a signal handler.
    truncate = int  # type: ignore[assignment]  # it is called with the length alone


class Hdf5Container(FlatContainer):
    """Cells in an HDF5 file."""

    file = "images.h5"

    @staticmethod
    @lru_cache(maxsize=64)
    def heading(shape: Shape) -> bytes:
        """What libhdf5 writes for one data set, without the data; its metadata carry checksums."""
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        plan.set_obj_track_times(False)
        memory, aligned = Memory(), {"alignment_threshold": 1, "alignment_interval": 64}
        with h5py.File(memory, "w", libver="v108", **aligned) as file:
            space = h5py.h5s.create_simple(shape)
            made = h5py.h5d.create(file.id, b"images", h5py.h5t.STD_U8LE, space, plan)
            start = made.get_offset()
        return memory.getvalue().ljust(start, b"\0")

    def check(self, folder: Folder, index: Index) -> None:
        file = folder.open(self.file)
        if file.read(1, FLAGS_AT) == OPEN_FOR_WRITING:
            text = "a program has it open for writing, or was killed while it had"
            advice = "close it there, or clear the mark with h5clear -s, and verify again"
            raise BusyError(f"{file.path}: {text}; {advice}")
        super().check(folder, index)
