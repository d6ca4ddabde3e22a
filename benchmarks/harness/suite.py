"""One run of the suite: its options, its data, its stores, and how each benchmark is measured."""

import time
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.contenders.base import Contender
from benchmarks.datasets import Dataset, DatasetError, load_dataset, mean_bytes
from benchmarks.results.machine import Circumstances, file_system
from benchmarks.results.recorded import Recorded
from storage import disk_usage

from .cache import CAN_EVICT, COLD, evict, resident_fraction, warm
from .checks import WrongResultError, require
from .options import Options, check_space, choose_cutoffs, choose_rows
from .passes import Passes
from .protocol import Benchmark, Result, Work, measure
from .text import one_line
from .workspace import Workspace

CHECKED_AT_ONCE = 4096
"""How many images are compared with the data set at a time."""
BATCH, PICTURE_BATCH_BYTES = 256, 2**26
"""How many images a batch has; of a folder of pictures, fewer if they take more bytes than this."""
STAYS_SECONDS = 30
"""A store read within this many seconds counts as cached.

The system may reclaim pages read or stored minutes ago, however much memory is free.
"""


@dataclass
class Case:
    """What one benchmark measures.

    n: images in the store, or None if the operation does not depend on it
    images: images stored or read in one round
    path: the store; a storing round may make its own
    reads: whether it reads an existing store, so that the cache state matters
    variant: the variant of the operation, "" if there is only one
    apart: whether the variants are too different to be compared with each other
    buffered: whether it does not wait for the disk, whatever --durability says
    batch: images of a batch that a `DataLoader` yields
    first_batch_seconds: until it has yielded the first; set by a round's `before`
    """

    operation: str
    contender: Contender
    n: int | None
    images: int
    path: Path
    reads: bool
    variant: str = ""
    apart: bool = False
    buffered: bool = False
    batch: int | None = None
    first_batch_seconds: float | None = None


class Measure(Protocol):
    """The fixture `measure`: `Suite.measure` with the test's benchmark and its passes."""

    def __call__(self, case: Case, work: Work[Result]) -> None: ...


class Suite:
    """The state that the benchmarks of one run share.

    images: (N, H, W, C) uint8, or (N,) images of several shapes; as many as the largest cutoff
    labels: (N,) int64
    image_bytes: of the pixels of an image, on average
    rows: those of the options that can hold the images
    batch: how many images a batch has
    """

    def __init__(self, options: Options, progress: bool) -> None:
        """Load the data set and make the directory for the stores; raises pytest.UsageError."""
        self.options = options
        self._progress = progress
        self._read_at: dict[Path, float] = {}
        dataset = self._load()
        self.name, self.identity, self.note = dataset.name, dataset.identity, dataset.note
        self.remarks = dataset.remarks
        self.image_bytes = mean_bytes(self.images)
        self.rows = choose_rows(options.rows, self.images)
        self.batch = BATCH
        if dataset.is_folder:
            self.batch = max(1, min(BATCH, int(PICTURE_BATCH_BYTES / self.image_bytes)))
        size, budget = ceil(self.image_bytes), options.round_budget
        try:
            self.store_dir = options.store_dir or Path(gettempdir())
            self.file_system = file_system(self.store_dir)
            check_space(self.store_dir, self.rows, self.cutoffs, size, budget)
            self.workspace = Workspace(options.store_dir, self.images, self.labels, progress)
        except OSError as error:
            raise pytest.UsageError(
                f"--store-dir: {one_line(error)}; choose another directory"
            ) from error

    def _load(self) -> Dataset:
        options = self.options
        side = options.image_size
        try:
            dataset = load_dataset(
                options.dataset,
                limit=max(options.cutoffs or options.usual_cutoffs),
                offline=options.offline,
                progress=self._progress,
                image_size=(side, side),
                pictures=options.pictures,
            )
            limits = ["as many as fit in memory"] if dataset.is_folder else []
            self.cutoffs = choose_cutoffs(options, dataset.name, dataset.capacity, *limits)
            self.images, self.labels = dataset.take(self.cutoffs[-1])
        except DatasetError as error:
            raise pytest.UsageError(f"--dataset: {one_line(error)}") from error
        return dataset

    def close(self) -> None:
        """Remove the stores."""
        self.workspace.close()

    def header(self) -> list[str]:
        """The lines at the top of the terminal: what the run measures."""
        lines = [
            f"data: {self.name} ({self.identity}), cutoffs {', '.join(map(str, self.cutoffs))}",
            f"stores: in {self.store_dir} ({self.file_system})",
        ]
        if self.rows != self.options.rows:
            left_out = ", ".join(name for name in self.options.rows if name not in self.rows)
            lines.append(f"left out: {left_out}, which cannot hold images of these shapes")
        lines += self.remarks
        return [f"NOTE: {self.note}", *lines] if self.note else lines

    def circumstances(self) -> Circumstances:
        """The circumstances of this run, to be saved with it."""
        return Circumstances(
            dataset=self.identity,
            dataset_name=self.name,
            dataset_note=self.note,
            file_system=self.file_system,
            cache="cold" if self.options.cold else "warm",
            durability="durable" if self.options.durable else "buffered",
        )

    # ---- measuring -------------------------------------------------------------------------

    def measure(self, benchmark: Benchmark, passes: Passes, case: Case, work: Work[Result]) -> None:
        """Measure a pass of one operation, and record what its figure depends on."""
        operation = f"{case.operation} {case.variant}" if case.apart else case.operation
        benchmark.group = operation + ("" if case.n is None else f" n={case.n}")
        recorded = passes.recorded = passes.recorded or Recorded(
            operation=case.operation,
            variant=case.variant,
            backend=case.contender.name,
            n=case.n or 1,
            images_per_round=case.images,
            image_shape=list(self.images.shape[1:]),
            image_bytes=None if self.images.shape[1:] else self.image_bytes,
            dataset=self.identity,
            round_budget_seconds=self.options.round_budget,
            cache="cold" if self.options.cold else "warm",
            durability=case.contender.durability(self.options.durable and not case.buffered),
            batch_images=case.batch,
        )
        measured = replace(
            work,
            check=partial(self._check, recorded, case, work),
            before=partial(self._before, recorded, case, work),
        )
        warms = case.reads and self.options.timed and not self.options.cold
        if warms and time.monotonic() - self._read_at.get(case.path, -inf) > STAYS_SECONDS:
            warm(case.path)
            self._read_at[case.path] = time.monotonic()
        measure(benchmark, measured, self.options.round_budget, passes)
        if case.first_batch_seconds is not None:
            earlier = recorded.first_batch_seconds or ()
            recorded.first_batch_seconds = [*earlier, case.first_batch_seconds]
        if benchmark.enabled:
            stats = benchmark.stats.stats
            passes.add(stats.data)
            recorded.add_rounds(stats.data, stats.median, passes.rounds)
        benchmark.extra_info |= recorded.written()

    def _before(self, recorded: Recorded, case: Case, work: Work[Result]) -> None:
        if not (case.reads and self.options.cold):
            work.before()
            return
        if not CAN_EVICT:
            pytest.skip("--cache cold: this system cannot evict a file from its cache")
        evict(case.path)
        work.before()
        # An open store cannot be closed for this. Pages that opening read and that stay because
        # they are mapped count as resident.
        fraction = self._evicted(case)  # once more: opening a store reads some of it
        recorded.resident_fraction = max(recorded.resident_fraction or 0.0, fraction)

    def _evicted(self, case: Case) -> float:
        """Evict a store from the page cache; return the fraction that stayed. Skip if too large."""
        evict(case.path)
        fraction = resident_fraction(case.path)
        if fraction > COLD:
            pytest.skip(
                f"--cache cold: {fraction:.0%} of {case.contender.name}-{case.n} stays in memory,"
                f" because it is in use while it is open, or because {self.file_system} keeps it"
            )
        return fraction

    def _check(self, recorded: Recorded, case: Case, work: Work[Result], result: Result) -> None:
        work.check(result)
        if not recorded.files:
            usage = self.workspace.usage.get(case.path) or disk_usage(case.path)
            recorded.files = usage.files
            recorded.apparent_bytes = usage.apparent_bytes
            recorded.allocated_bytes = usage.allocated_bytes

    def assert_equal(
        self, images: object, labels: NDArray[np.int64], ids: slice | NDArray[np.int64]
    ) -> None:
        """Check that one array of the data set's images `ids`, with their labels, was read.

        If the data set has several shapes, it may be a list. Raises WrongResultError if not.
        """
        if self.images.dtype == object:
            self._assert_each_equal(images, labels, ids)
            return
        if not isinstance(images, np.ndarray):
            raise WrongResultError(f"images came as a {type(images).__name__}, not as one array")
        require(images.dtype == np.uint8, f"images came as {images.dtype}, not as uint8")
        require(np.array_equal(labels, self.labels[ids]), "labels differ from the data's")
        require(len(images) == len(labels), f"{len(images)} images came with {len(labels)} labels")
        for start in range(0, len(labels), CHECKED_AT_ONCE):  # comparing takes memory too
            stop = min(start + CHECKED_AT_ONCE, len(labels))
            wanted = (
                slice(ids.start + start, ids.start + stop)
                if isinstance(ids, slice)
                else ids[start:stop]
            )
            same = np.array_equal(images[start:stop], self.images[wanted])
            require(same, f"pixels differ from the data's, in results {start} to {stop - 1}")

    def _assert_each_equal(
        self, images: object, labels: NDArray[np.int64], ids: slice | NDArray[np.int64]
    ) -> None:
        wanted = self.images[ids]
        if not isinstance(images, list | np.ndarray):
            raise WrongResultError(f"images came as a {type(images).__name__}, not as a list")
        require(np.array_equal(labels, self.labels[ids]), "labels differ from the data's")
        require(len(images) == len(wanted), f"{len(images)} of {len(wanted)} images came")
        for i, (image, own) in enumerate(zip(images, wanted, strict=True)):
            require(image.dtype == np.uint8, f"result {i} came as {image.dtype}, not as uint8")
            require(np.array_equal(image, own), f"pixels differ from the data's, in result {i}")
