"""Memory for large arrays: the same for each round, whatever ran before.

For a large array, the C library takes memory from the system, which clears it page by page, or uses
again what an earlier array left. Which of the two depends on all that was freed before (glibc raises
`M_MMAP_THRESHOLD` as it goes), so reading ten thousand images was up to half as long again in some
runs as in others. With fixed bounds, arrays above `LARGE` always come from the system, as in a fresh
process, and smaller ones, such as batches, use memory again, as in a long one.
"""

import ctypes

LARGE = 2**20
KEPT = 2**26
"""Bytes that were freed and that the process keeps."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's `malloc.h`."""


def fix_bounds() -> None:
    """Fix the bounds for the rest of the process; other C libraries than glibc have none."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)
