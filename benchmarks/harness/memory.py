"""Memory for arrays: from the same source in each round, and at another place in each sweep.

For a large array, the C library takes memory from the system, which clears it page by page, or uses
again what an earlier array left. Which of the two depends on all that was freed before (glibc raises
`M_MMAP_THRESHOLD` as it goes), so reading ten thousand images was up to half as long again in some
runs as in others. With fixed bounds, arrays above `LARGE` always come from the system, as in a fresh
process, and smaller ones, such as batches, use memory again, as in a long one.

The system draws addresses when a process starts, and large arrays then keep their place within 2 MiB.
Reading a file into an array takes up to a fifth longer in one place than in another. So the sweeps of
a run would agree with each other, and not with those of the next run.
"""

import ctypes
import mmap

import numpy as np

LARGE = 2**20
KEPT = 2**26
"""Bytes that were freed and that the process keeps."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's `malloc.h`."""
HUGE_PAGE = 2**21
GAP = 2**26
"""More bytes than a gap among a process's mappings has, but for the one in which the next come."""


def fix_bounds() -> None:
    """Fix the bounds for the rest of the process; other C libraries than glibc have none."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)


class Places:
    """Where the arrays that are made from now on lie: elsewhere after each `move`.

    What moves them are addresses, and a small array, which nobody uses.
    """

    def __init__(self) -> None:
        self._chance = np.random.default_rng()
        self._addresses: mmap.mmap | None = None
        self._small = b""

    def move(self) -> None:
        """Draw other places."""
        self.close()
        pages = int(self._chance.integers(HUGE_PAGE // mmap.PAGESIZE))
        # Its pages are never touched, so it takes no memory.
        size = GAP + pages * mmap.PAGESIZE
        self._addresses = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
        self._small = bytes(int(self._chance.integers(LARGE // 2)))

    def close(self) -> None:
        """Give back what they take."""
        if self._addresses is not None:
            self._addresses.close()
        self._addresses, self._small = None, b""
