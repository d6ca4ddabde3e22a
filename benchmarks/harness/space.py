"""The space on the disk that the stores of a run take, and whether there is so much."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import FILE_PER_IMAGE, STORE_ROWS, TWINS

from .options import MOST_COMMITS
from .protocol import MIN_ROUNDS, STRETCH

FILES_PER_SECOND, PNG_BYTES_PER_SECOND = 20_000, 2**29
"""PNG files are not stored faster than this on the file systems measured, by files and by pixels."""
CLUSTER = 4096
"""The least space that a file system allocates for a file, in bytes."""


@dataclass(frozen=True)
class Space:
    """What stores take on a disk."""

    bytes: int = 0
    files: int = 0

    def __add__(self, other: "Space") -> "Space":
        return Space(self.bytes + other.bytes, self.files + other.files)


def check_space(
    directory: Path,
    rows: tuple[str, ...],
    cutoffs: tuple[int, ...],
    image_bytes: int,
    round_budget: float,
) -> None:
    """Raise pytest.UsageError if the stores of a run will not fit in `directory`; see `space`."""
    if why := lacking(directory, space(rows, cutoffs, image_bytes, round_budget)):
        raise pytest.UsageError(f"{why}; choose another directory or smaller --cutoff")


def lacking(directory: Path, needed: Space) -> str:
    """What `directory` lacks for the stores of a run, or ""."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < needed.bytes:
        return (
            f"--store-dir: {directory} has {free / 1e6:,.0f} MB free, and the stores of this run"
            f" take up to {needed.bytes / 1e6:,.0f} MB"
        )
    if status.f_files and status.f_favail < needed.files:
        return (
            f"--store-dir: {directory} has room for {status.f_favail:,} more files, and the PNG"
            f" stores of this run take up to {needed.files:,}"
        )
    return ""


def space(
    rows: tuple[str, ...], cutoffs: tuple[int, ...], image_bytes: int, round_budget: float
) -> Space:
    """The most that the stores of a run take.

    Each row keeps two stores per cutoff, and two of small commits. A row with a file per image also
    keeps the stores of its storing rounds until the end: those of `MIN_ROUNDS` and a warm-up, and
    as many as the budget has time for, twice, since `append` needs new stores. A small commit takes
    three clusters there. A peer may take twice the pixels.
    """
    png_rows = len(FILE_PER_IMAGE.intersection(rows))
    at_least = MIN_ROUNDS + 1
    rate = min(FILES_PER_SECOND, PNG_BYTES_PER_SECOND / image_bytes)
    in_time = 2 * int(rate * round_budget * STRETCH)
    stored = sum(at_least * n + in_time for n in cutoffs)
    commits = min(cutoffs[-1], MOST_COMMITS)
    images = len(rows) * sum(cutoffs) + png_rows * stored + cutoffs[-1]
    stores = (STORE_ROWS.keys() | TWINS.keys()) & set(rows)
    images += (sum(cutoffs) + 2 * commits) * len(stores)
    images += 3 * commits * at_least * len(FILE_PER_IMAGE & stores)
    images += (sum(cutoffs) + cutoffs[-1]) * len(PEERS.keys() & rows)
    per_image = -(-image_bytes // CLUSTER) * CLUSTER + 128
    return Space(
        images * per_image + 64 * CLUSTER * len(rows) * len(cutoffs),
        png_rows * (sum(cutoffs) + stored) + 3 * commits * at_least * bool(png_rows),
    )
