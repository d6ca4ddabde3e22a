"""The stores of a run, in one temporary directory that is removed at its end."""

import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.contenders.base import Contender
from benchmarks.contenders.stores import StoreContender
from benchmarks.datasets import Images, mean_bytes
from storage import DiskUsage, disk_usage

from .cache import files_below
from .interruption import held

MANY_FILES = 50
"""A store of more files than this is removed only at the end."""
TICK_SECONDS = 0.5
SHOWN_FROM = 10_000
"""The fewest images whose storing takes long enough to show progress."""


@dataclass
class GrowingStore:
    """A store that benchmarks add to; `length` is in images."""

    path: Path
    length: int


class Workspace:
    """Makes each store of the run once, when it is first needed."""

    def __init__(
        self,
        directory: Path | None,
        images: Images,
        labels: NDArray[np.int64],
        progress: bool,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="image-stores-", dir=directory)
        self.path = Path(self._folder.name)
        _spread(self.path)
        self.images = images
        self.labels = labels
        self._progress = progress
        self._made: dict[tuple[str, int], Path] = {}
        self._spare: dict[tuple[str, int], Path] = {}
        self._growing: dict[tuple[str, int], GrowingStore] = {}
        self.usage: dict[Path, DiskUsage] = {}
        self._set_aside = 0

    def store(self, contender: Contender, n: int) -> Path:
        """The contender's store of the first `n` images."""
        if not self.has(contender, n):
            path = self.scratch()
            show = self._progress and n >= SHOWN_FROM
            size = round(n * mean_bytes(self.images[:n]))
            with _progress(path, size, f"{contender.name}, n={n}", show):
                contender.store_many(path, self.images[:n], self.labels[:n], durable=False)
                self.keep(contender, n, path)
        return self._made[contender.name, n]

    def spare(self, contender: StoreContender, n: int) -> Path:
        """Another store of the first `n` images, which the caller may change."""
        path = self._spare.pop((contender.name, n), None)
        if path is None:
            path = self.scratch()
            contender.store_many(path, self.images[:n], self.labels[:n], durable=False)
            os.sync()
        return path

    def growing(self, contender: StoreContender, n: int) -> GrowingStore:
        """One more store, at first of `n` images; the caller notes its present length there."""
        if (contender.name, n) not in self._growing:
            self._growing[contender.name, n] = GrowingStore(self.spare(contender, n), n)
        return self._growing[contender.name, n]

    def has(self, contender: Contender, n: int) -> bool:
        """Whether `store` would return a store that is there already."""
        return (contender.name, n) in self._made

    def keep(self, contender: Contender, n: int, path: Path) -> None:
        """Keep a store of the first `n` images for `store` to return."""
        # Without this, the disk would still be writing while the next benchmark is timed.
        os.sync()
        self.usage[path] = disk_usage(path)
        images, labels = self.images[:n], self.labels[:n]
        contender.prepare_read_single(path, images, labels, ids_read_singly(n))
        os.sync()
        self._made[contender.name, n] = path

    def put_aside(self, contender: Contender, n: int, path: Path) -> None:
        """Remove a store of the first `n` images, or keep it for `spare` if it has many files."""
        is_spare = isinstance(contender, StoreContender) and (contender.name, n) not in self._spare
        if is_spare and _has_many_files(path):
            self._spare[contender.name, n] = path
        else:
            self.remove(path)

    def scratch(self) -> Path:
        """A path where nothing exists yet."""
        return self.path / f"scratch-{secrets.token_hex(8)}"  # ext4 chooses the place by the name

    def remove(self, path: Path) -> None:
        """Remove the store at a scratch path, if there is one.

        A store of many files is renamed and removed at the end; see `_spread`.
        """
        if not path.exists():
            return
        if _has_many_files(path):
            self._set_aside += 1
            path.rename(self.path / f"removed-{self._set_aside}")
        else:
            shutil.rmtree(path)

    def close(self) -> None:
        """Remove everything; a signal that comes meanwhile waits until that is done."""
        with held():
            if self.path.exists():
                # A file system can delete in several folders at the same time.
                with ThreadPoolExecutor() as threads:
                    deque(threads.map(_remove_files, self.path.iterdir()), maxlen=0)
                self._folder.cleanup()


class NewStores:
    """The stores of the first `n` images that storing rounds make.

    The first is kept for the benchmarks that read, unless they have one. Each other is removed after
    its round, or put aside, so that its pages in the page cache are used again: on a virtual
    machine, writing to memory never used before may take several times as long.

    path: the store of the current round
    accepted: how many stores were good
    """

    def __init__(self, workspace: Workspace, contender: Contender, n: int) -> None:
        self._workspace = workspace
        self._contender = contender
        self._n = n
        self._is_good = False
        self.path = workspace.scratch()
        self.accepted = 0

    def begin(self) -> Path:
        """The path at which the next round makes its store."""
        self.path, self._is_good = self._workspace.scratch(), False
        return self.path

    def accept(self) -> None:
        """Mark the round's store as good."""
        self._is_good = True
        self.accepted += 1

    def end(self) -> None:
        """Keep the round's store, put it aside, or remove it if it is not good."""
        path, is_good = self.path, self._is_good
        self.begin()  # a round that breaks off before it begins must not remove what was kept
        if not is_good:
            self._workspace.remove(path)
        elif self._workspace.has(self._contender, self._n):
            self._workspace.put_aside(self._contender, self._n, path)
        else:
            self._workspace.keep(self._contender, self._n, path)


def _has_many_files(path: Path) -> bool:
    return sum(1 for _ in islice(files_below(path), MANY_FILES + 1)) > MANY_FILES


def _spread(folder: Path) -> None:
    """Let ext4 place the folders that will be in `folder` far apart; other file systems ignore it.

    For minutes after files were deleted, ext4 searches past each of their inodes whenever a file is
    created nearby (`recently_deleted` in fs/ext4/ialloc.c). By measurement, creating a file is then
    ten to twenty times slower. This attribute tells ext4 that the folders are unrelated, so it
    places each elsewhere, and the next round or run meets deleted inodes only by chance.
    """
    if chattr := shutil.which("chattr"):
        # Other file systems do not know the attribute and do not need it.
        subprocess.run([chattr, "+T", folder], stderr=subprocess.DEVNULL, check=False)  # noqa: S603  # our own command


def _remove_files(folder: Path) -> None:
    """Remove the files below a folder in the order of their inodes.

    In the order of a listing, ext4 takes three times as long.
    """
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=os.DirEntry.inode)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _remove_files(Path(entry.path))
        else:
            os.unlink(entry.path)  # noqa: PTH108  # a million Paths would be slow


@contextmanager
def _progress(path: Path, total: int, what: str, show: bool) -> Iterator[None]:
    """Show on the terminal how many of about `total` bytes the store at `path` has by now."""
    if not show:
        yield
        return
    done = threading.Event()
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, leave=False) as bar:

        def tick() -> None:
            while not done.wait(TICK_SECONDS):
                bar.n = min(total, disk_usage(path).allocated_bytes) if path.exists() else 0
                bar.refresh()

        ticker = threading.Thread(target=tick)
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()


def ids_read_singly(n: int) -> Sequence[int]:
    """The ids that `read_single` reads in turn: up to five, spread over the store."""
    return sorted({n * k // 5 for k in range(5)})


def ids_checked(n: int) -> NDArray[np.int64]:
    """The ids that are read back after a storing round: up to twenty, the last included."""
    return np.unique(np.linspace(0, n - 1, 20).astype(np.int64))
