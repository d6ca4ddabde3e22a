"""HDF5: one file with one contiguous data set, `images.h5`.

    with h5py.File("images.h5") as file:
        image = file["images"][i]  # of (N, H, W) or (N, H, W, C) uint8

Where shapes differ, or cells are PNGs, it is one row of all cells, of which `index.npy` tells where
each is:

    with h5py.File("images.h5") as file:
        cell = file["images"][start : start + size]

libhdf5 makes the structure of the file. Where the data begin does not depend on their shape: they are
written as they come, and read without libhdf5, whose parsing a file takes a third of a millisecond.
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
"""What libhdf5 notes in a file (File Format Specification, superblock version 2)."""


class Memory(io.BytesIO):
    """What libhdf5 writes to, never as long as the data make it; a full disk has made it crash."""

    # Not of Python, so that no exception of a signal is raised where libhdf5 would swallow it.
    truncate = int  # type: ignore[assignment]  # it is called with the length alone


class Hdf5Container(FlatContainer):
    """Cells in an HDF5 file."""

    file = "images.h5"

    @staticmethod
    @lru_cache(maxsize=64)
    def heading(shape: Shape) -> bytes:
        """What libhdf5 writes for one data set, but for the data; its metadata carry checksums."""
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
