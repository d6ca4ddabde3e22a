"""The part of the suite that the gate measures; it does not wait for a disk."""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest

from benchmarks.datasets import Dataset
from benchmarks.datasets.batches import BATCH_NAMES
from benchmarks.harness.space import check_space
from benchmarks.results.recorded import COLD, WARM

OPERATIONS = ("store_single", "store_many", "read_single", "read_many", "read_batch")
OTHER_OPERATIONS = ("append", "commits", "compact", "epoch", "iterate", "loader", "parallel_read")
"""Measured only if the keyword names one: they take longer, and use the same code as the others."""
CUTOFFS = (1, 100, 1_000)
ROUND_BUDGET = 0.05
"""Seconds; short, since more pairs of processes are worth more than more rounds in each."""
PAIRS = 10
"""Pairs of processes in the screen."""
RAM_DISK = Path("/dev/shm")  # noqa: S108  # Linux's RAM disk
BATCH_IMAGES = 10_000
RULED_OUT = re.compile(r"\bnot\s+(\([^()]*\)|[^\s()]+)")


def names(keyword: str, word: str) -> bool:
    """Whether an expression for pytest's -k asks for `word`, and does not only rule it out."""
    return word in RULED_OUT.sub("", keyword)


@dataclass(frozen=True)
class Profile:
    """A choice of benchmarks, and what they run on.

    rows: the rows to measure
    keyword: an expression for pytest's -k that chooses among them; "" for all
    dataset: a directory with as many images as are needed
    store_dir: the directory for stores
    """

    rows: tuple[str, ...]
    cutoffs: tuple[int, ...]
    keyword: str
    dataset: Path
    store_dir: Path

    @property
    def names_others(self) -> bool:
        """Whether the keyword names one of `OTHER_OPERATIONS`; then it alone chooses."""
        return any(names(self.keyword, operation) for operation in OTHER_OPERATIONS)

    @property
    def is_cold(self) -> bool:
        """Whether cold rows are among those to choose from: they need a disk, and take longer."""
        return names(self.keyword, COLD)

    @property
    def choice(self) -> tuple[str, ...]:
        """The arguments of pytest that choose the benchmarks."""
        usual = f"({' or '.join(OPERATIONS)})"
        keyword = f"{usual} and ({self.keyword})" if self.keyword else usual
        return (
            "benchmarks",
            "--ignore=benchmarks/tests",
            *("-p", "no:cacheprovider", "-p", "no:hypothesispytest"),  # slow to start, of no use
            *("-k", self.keyword if self.names_others else keyword),
            f"--backend={','.join(self.rows)}",
            f"--cutoff={','.join(map(str, self.cutoffs))}",
            f"--dataset={self.dataset}",
            f"--store-dir={self.store_dir}",
            *(() if self.is_cold else (f"--cache={WARM}",)),
        )

    @property
    def measuring(self) -> tuple[str, ...]:
        """`choice`, and the arguments that say how to measure."""
        return (
            *self.choice,
            "--durability=buffered",
            f"--round-budget={ROUND_BUDGET}",
            "--sweeps=1",  # the two sides take turns within it
            "--benchmark-enable",
            "--benchmark-quiet",
        )


def write_sample(dataset: Dataset, n: int, folder: Path) -> None:
    """Write the first `n` images, or all if there are fewer, to the new directory `folder`.

    Loading the whole set again in each of many processes would take most of the gate's time. The
    images must have CIFAR-10's shape.
    """
    folder.mkdir()
    images, labels = dataset.images[:n], dataset.labels[:n]
    for start, name in zip(range(0, len(images), BATCH_IMAGES), BATCH_NAMES, strict=False):
        part = slice(start, start + BATCH_IMAGES)
        rows = np.ascontiguousarray(images[part].transpose(0, 3, 1, 2)).reshape(-1, images[0].size)
        batch = {"data": rows, "labels": labels[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch))


def choose_directory(
    rows: tuple[str, ...], cutoffs: tuple[int, ...], image_bytes: int, keyword: str = ""
) -> Path:
    """A RAM disk if there is one with enough space, else the directory for temporary files.

    Nothing on a RAM disk is cold, so it is not for a `keyword` that names cold rows.
    """
    if names(keyword, COLD):
        return Path(gettempdir())
    try:
        # Both sides have their stores at the same time.
        check_space(RAM_DISK, rows, cutoffs * 2, image_bytes, ROUND_BUDGET)
    except (OSError, pytest.UsageError):
        return Path(gettempdir())
    return RAM_DISK
