"""PyTorch's `DataLoader` over an open store.

PyTorch is imported only where it is used, since that takes seconds, and need not be installed.
"""

import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import chain, starmap
from math import prod
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from benchmarks.contenders.base import Image, Labels, Opened, Read, Shape

from .interruption import kept_from_children, leave_terminal

if TYPE_CHECKING:
    from torch import Tensor

LARGE_BATCH, SMALL_BATCH = 256, 64


class LoaderSetting(NamedTuple):
    """How a `DataLoader` is set up.

    num_workers: processes that read; if 0, the process that trains reads
    start: how they are started, `fork` or `spawn`
    batch_size: the most images of a batch
    """

    num_workers: int
    start: str
    batch_size: int

    @property
    def variant(self) -> str:
        """Its name in tables and records."""
        started = {"fork": "forked ", "spawn": "spawned "}[self.start] if self.num_workers else ""
        name = f"{self.num_workers} {started}worker" + ("" if self.num_workers == 1 else "s")
        return name if self.batch_size == LARGE_BATCH else f"{name}, batches of {self.batch_size}"

    @property
    def label(self) -> str:
        """Its name in those of tests, without spaces."""
        spawned = "-spawn" if self.start == "spawn" else ""
        batch = "" if self.batch_size == LARGE_BATCH else f"-batch={self.batch_size}"
        return f"workers={self.num_workers}{spawned}{batch}"


USUAL_SETTINGS = tuple(LoaderSetting(workers, "fork", LARGE_BATCH) for workers in (0, 1, 2, 4))
"""Those that show which store is fastest, and how many workers pay.

A spawned worker imports PyTorch, which takes seconds, and then reads as a forked one.
"""
ALL_SETTINGS = tuple(
    LoaderSetting(workers, start, batch_size)
    for batch_size in (LARGE_BATCH, SMALL_BATCH)
    for start in ("fork", "spawn")
    for workers in (0, 1, 2, 4)
    if workers or start == "fork"
)


def why_left_out(cold: bool) -> str | None:
    """Why nothing can be loaded in this run, or None.

    cold: whether stores are evicted from the page cache
    """
    if find_spec("torch") is None:
        return "loader needs PyTorch, which is not installed; pip install torch"
    # The workers would have to be started anew for each round, which takes longer than reading.
    return "with --cache=cold, workers that keep the store open have no place" if cold else None


class LoadedBatch(NamedTuple):
    """What a `DataLoader` yields.

    pixels: (n, H, W, C) uint8; of images of several shapes, all in one dimension
    labels: (n,) int64
    shapes: of each image, if they differ
    """

    pixels: "Tensor"
    labels: "Tensor"
    shapes: Sequence[Shape] = ()

    def arrays(self) -> tuple[Read, Labels]:
        """The images, as a list if their shapes differ, and the labels."""
        pixels: Image = self.pixels.numpy()
        labels: Labels = self.labels.numpy()
        if not self.shapes:
            return pixels, labels
        parts = np.split(pixels, np.cumsum([prod(shape) for shape in self.shapes])[:-1])
        images = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return images, labels


def collate_flat(records: Sequence[tuple[Image, int]]) -> LoadedBatch:
    """A batch of images of several shapes.

    All pixels are in one tensor, since each that comes from a worker takes a file descriptor.
    """
    import torch

    images, labels = zip(*records, strict=True)
    pixels = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
    return LoadedBatch(pixels, torch.tensor(labels), [image.shape for image in images])


class Loader:
    """A `DataLoader` over an open store, whose workers stay from epoch to epoch.

    order: the ids of an epoch in their order; to be changed in place
    first_batch_seconds: from the beginning of the first epoch to its first batch
    """

    def __init__(self, store: Opened, setting: LoaderSetting, one_shape: bool) -> None:
        from torch.utils.data import DataLoader

        self.order: list[int] = []
        self.first_batch_seconds = 0.0
        workers = setting.num_workers
        self._loader = DataLoader(
            store,
            setting.batch_size,
            sampler=self.order,
            num_workers=workers,
            multiprocessing_context=setting.start if workers else None,
            persistent_workers=workers > 0,
            collate_fn=None if one_shape else collate_flat,
            worker_init_fn=leave_terminal,
        )

    def epoch(self) -> Iterator[LoadedBatch]:
        """The batches of an epoch; the first epoch starts the workers."""
        return starmap(LoadedBatch, self._loader)

    def first_epoch(self) -> Iterator[LoadedBatch]:
        """As `epoch`, timed until the first batch has come."""
        with kept_from_children():
            began = time.perf_counter()
            batches = self.epoch()
        first = next(batches)
        self.first_batch_seconds = time.perf_counter() - began
        return chain([first], batches)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        # PyTorch has no public way; it ends them once nothing refers to an epoch, as a traceback may.
        if self._loader._iterator is not None:
            self._loader._iterator._shutdown_workers()
