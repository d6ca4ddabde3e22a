"""What the gate measures: a bounded part of the suite, without waiting for a disk."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest

from benchmarks.datasets import Dataset
from benchmarks.datasets.batches import BATCH_NAMES
from benchmarks.harness.options import check_space

OPERATIONS = ("store_single", "store_many", "read_single", "read_many", "read_batch")
CUTOFFS = (1, 100, 1_000)
ROUND_BUDGET = 0.05
"""Seconds. More pairs of processes are worth more than more rounds in each."""
PAIRS = 10
"""Of processes, in the screen."""
RAM_DISK = Path("/dev/shm")  # noqa: S108  # what Linux has there is the point
BATCH_IMAGES = 10_000


@dataclass(frozen=True)
class Profile:
    """Which benchmarks, on what.

    rows: of the tables
    keyword: as of pytest's -k, to choose among them; "" for all
    dataset: a directory with as many images as are needed
    store_dir: where stores are made
    """

    rows: tuple[str, ...]
    cutoffs: tuple[int, ...]
    keyword: str
    dataset: Path
    store_dir: Path

    @property
    def choice(self) -> tuple[str, ...]:
        """Arguments of pytest that choose the benchmarks."""
        chosen = f"({' or '.join(OPERATIONS)})"
        return (
            "benchmarks",
            "--ignore=benchmarks/tests",
            *("-p", "no:cacheprovider"),
            *("-k", f"{chosen} and ({self.keyword})" if self.keyword else chosen),
            f"--backend={','.join(self.rows)}",
            f"--cutoff={','.join(map(str, self.cutoffs))}",
            f"--dataset={self.dataset}",
            f"--store-dir={self.store_dir}",
        )

    @property
    def measuring(self) -> tuple[str, ...]:
        """And those that say how they are measured."""
        return (
            *self.choice,
            "--durability=buffered",
            f"--round-budget={ROUND_BUDGET}",
            "--benchmark-enable",
            "--benchmark-quiet",
        )


def write_sample(dataset: Dataset, n: int, folder: Path) -> None:
    """Write the first `n` images to the new directory `folder`, or all where they are fewer.

    Loading the whole set anew in each of many processes would take most of the gate's time. The
    images must be of CIFAR-10's shape.
    """
    folder.mkdir()
    images, labels = dataset.images[:n], dataset.labels[:n]
    for start, name in zip(range(0, len(images), BATCH_IMAGES), BATCH_NAMES, strict=False):
        part = slice(start, start + BATCH_IMAGES)
        rows = np.ascontiguousarray(images[part].transpose(0, 3, 1, 2)).reshape(-1, images[0].size)
        batch = {"data": rows, "labels": labels[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch))


def choose_directory(rows: tuple[str, ...], cutoffs: tuple[int, ...], image_bytes: int) -> Path:
    """A RAM disk if there is one with enough room, else the directory for temporary files."""
    try:
        # Both sides have their stores at the same time.
        check_space(RAM_DISK, rows, cutoffs * 2, image_bytes, ROUND_BUDGET)
    except (OSError, pytest.UsageError):
        return Path(gettempdir())
    return RAM_DISK
