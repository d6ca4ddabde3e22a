"""The stores of a run, in one temporary directory that is removed with it."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .contenders import Contender

SHOWN_FROM = 10_000
"""Images from which making a store takes long enough to be shown."""


class Workspace:
    """Makes each store of the run once, when it is first asked for."""

    def __init__(
        self,
        directory: Path | None,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        progress: bool,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="image-stores-", dir=directory)
        self.path = Path(self._folder.name)
        self.images = images
        self.labels = labels
        self._progress = progress
        self._made: dict[tuple[str, int], Path] = {}
        self._scratch = 0

    def store(self, contender: Contender, n: int) -> Path:
        """The contender's store of the first `n` images."""
        key = contender.name, n
        if key not in self._made:
            path = self.path / f"{contender.name}-{n}"
            show = self._progress and n >= SHOWN_FROM
            with tqdm(desc=f"making {path.name}", disable=not show, bar_format="{desc} {elapsed}"):
                contender.materialise(path, self.images[:n], self.labels[:n], ids_read_singly(n))
            # Else the disk would still be writing this while the next benchmark is timed.
            os.sync()
            self._made[key] = path
        return self._made[key]

    def scratch(self) -> Path:
        """A path at which nothing is yet."""
        self._scratch += 1
        return self.path / f"scratch-{self._scratch}"

    def remove(self, path: Path) -> None:
        """Remove a store made at a scratch path, if it was."""
        if path.exists():
            shutil.rmtree(path)

    def close(self) -> None:
        """Remove everything."""
        self._folder.cleanup()


def ids_read_singly(n: int) -> Sequence[int]:
    """The images that `read_single` reads in turn: up to five, spread over the store."""
    return sorted({n * k // 5 for k in range(5)})
