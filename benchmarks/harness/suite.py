"""One run of the suite: its options, its data, its stores, and how each benchmark is measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.contenders.base import Contender
from benchmarks.contenders.encoded import READING, Undecoded
from benchmarks.contenders.rows import find_row
from benchmarks.datasets import Dataset, DatasetError, Images, load_dataset, mean_bytes
from benchmarks.datasets.pictures import MOST_BYTES
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.machine import Circumstances, file_system
from benchmarks.results.recorded import COLD, OF_FILES, WARM, Recorded
from storage import disk_usage

from .cache import CAN_EVICT, MOST_RESIDENT, evict_or_wait, place_anew, warm, write_out
from .checks import WrongResultError, require
from .loader import why_left_out
from .memory import Places, fix_bounds
from .options import (
    MOST_COMMITS,
    USUAL_COMMITS,
    Options,
    choose_cutoffs,
    choose_picture_cutoffs,
    choose_picture_rows,
    choose_rows,
)
from .passes import Benchmark, Passes
from .protocol import (
    LONGEST_TIMES,
    MAX_ROUNDS,
    Result,
    TooLongError,
    Work,
    prepare,
    take_turns,
)
from .space import check_space, lacking, space
from .text import one_line
from .workspace import Workspace, ids_read_singly

CHECKED_AT_ONCE = 4096
"""How many images are compared with the data set at a time."""
BATCH, PICTURE_BATCH_BYTES = 256, 2**25
"""How many images a batch has; of a folder of pictures, fewer if they take more bytes than this."""
COLD_ROUNDS = 40
"""A cold row makes about so many timed rounds at most: two in each of twenty sweeps."""
MAX_ALONE = 100
"""The most rounds of what takes no turns, since those that follow each other tell less."""
MOST_READ_BYTES = MOST_BYTES
"""Pictures are not read at once if their pixels take more memory than this."""
MOST_KEPT_BYTES = 2**28
"""Nor are more kept for the check."""
UNDECODED = f"-{OF_FILES}"
"""What follows a row's name where its files are read and not decoded."""
STAYS_SECONDS = 60
"""A store read within this many seconds counts as cached.

The system may reclaim pages read or stored minutes ago, however much memory is free.
"""
PLACE_MATTERS = frozenset(
    ("read_many", "read_batch", "epoch", "iterate", "parallel_read", "loader")
)
"""Where the pages of a file lie in memory makes these up to 25 % faster or slower, for as long as they
lie there. So a store is placed anew in each sweep, and what is compared meets several places.
"""
PLACED_ANEW, MOST_PLACED = range(2**16, 2**26 + 1), 200
"""Bytes, and files; reading more again takes long, and less fits in a processor's first cache."""


@dataclass
class Case:
    """What one benchmark measures.

    n: images in the store, or None if the operation does not depend on it
    images: images stored or read in one round
    path: the store; a storing round may make its own
    reads: whether it reads an existing store, which has to be in memory unless it is cold
    cold: whether the store is evicted from the page cache before each round
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
    cold: bool = False
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

    images: (N, H, W, C) uint8, or (N,) `PictureFile`s; as many as the largest cutoff
    labels: (N,) int64
    image_bytes: of the pixels of an image, on average
    file_bytes: of the files of pictures, on average; None if there are none
    rows: those of the options that can hold the images
    batch: how many images a batch has
    left_out: rows that have no room on the disk
    skipped: the rows that cannot be measured here
    commits: how many images are stored in commits of one
    """

    def __init__(
        self,
        options: Options,
        progress: bool,
        clock: Callable[[], float] = time.perf_counter,
        collects: bool = True,
    ) -> None:
        """Load the data set and make the directory for the stores; raises pytest.UsageError.

        clock, collects: times rounds, and whether Python's garbage collector stays on in them
        """
        if options.timed:
            fix_bounds()
        self.options = options
        self._progress = progress
        self._clock, self._collects = clock, collects
        self._read_at: dict[Path, float] = {}
        self._placed_in: dict[Path, int] = {}  # the newest sweep in which a store was placed anew
        self._places, self._sweep = Places(), -1
        self._chance = np.random.default_rng()
        self.left_out: tuple[str, ...] = ()
        self.skipped: list[SkippedRow] = []
        dataset = self._load()
        self.name, self.identity, self.note = dataset.name, dataset.identity, dataset.note
        self.has_pictures = dataset.is_folder
        self.remarks = [*dataset.remarks]
        self.image_bytes = mean_bytes(self.images)
        self.file_bytes: float | None = None
        most = MOST_COMMITS if options.cutoffs else USUAL_COMMITS
        self.batch, self.commits = BATCH, min(self.cutoffs[-1], most)
        try:
            self.store_dir = options.store_dir or Path(gettempdir())
            self.file_system = file_system(self.store_dir)
            self.rows = self._picture_rows() if self.has_pictures else self._array_rows()
            self.workspace = Workspace(options.store_dir, self.images, self.labels, progress)
        except OSError as error:
            raise pytest.UsageError(
                f"--store-dir: {one_line(error)}; choose another directory"
            ) from error

    def _array_rows(self) -> tuple[str, ...]:
        rows = choose_rows(self.options.rows, self.images)
        size, budget = ceil(self.image_bytes), self.options.round_budget
        check_space(self.store_dir, rows, self.cutoffs, size, budget)
        if rows != self.options.rows:
            left_out = ", ".join(name for name in self.options.rows if name not in rows)
            self.remarks.append(f"left out: {left_out}, which cannot hold images of these shapes")
        return rows

    def _picture_rows(self) -> tuple[str, ...]:
        """The rows, and what else depends on the sizes of the pictures and their files."""
        self.file_bytes = sum(picture.file_bytes for picture in self.images) / len(self.images)
        self.batch = max(1, min(BATCH, int(PICTURE_BATCH_BYTES / self.image_bytes)))
        self.commits = min(self.commits, self.batch)
        most = max(self.cutoffs)
        if not self.fits(most):
            size = most * self.image_bytes / 1e6
            self.remarks.append(
                f"left out: reading all images at once at n={most}, since {size:,.0f} MB of pixels"
                f" would be held; more than {MOST_READ_BYTES / 1e6:,.0f} MB are not"
            )
        if why := why_left_out(self.options.cache == COLD):
            self.remarks.append(f"left out: {why}")
        rows = choose_picture_rows(self.options.rows, self.options.pictures)
        of_files = tuple(name for name in rows if self._keeps_files(name))
        of_pixels = tuple(name for name in rows if name not in of_files)
        sizes = (of_files, ceil(self.file_bytes)), (of_pixels, ceil(self.image_bytes))
        budget = self.options.round_budget
        files, pixels = (space(some, self.cutoffs, size, budget) for some, size in sizes)
        if of_pixels and of_files and (why := lacking(self.store_dir, files + pixels)):
            pixels = space((), self.cutoffs, 1, budget)
            self.left_out = of_pixels
            self.remarks.append(f"left out: {', '.join(of_pixels)}, which hold pixels: {why}")
        if why := lacking(self.store_dir, files + pixels):
            raise pytest.UsageError(f"{why}; choose another directory or smaller --cutoff")
        return rows

    def _keeps_files(self, name: str) -> bool:
        row = find_row(name).for_pictures(self.options.pictures)
        return row is not None and row.keeps_files

    def row(self, name: str) -> Contender:
        """A row of this run by its name, or by one of those that `names_of` adds."""
        row = find_row(name.removesuffix(UNDECODED))
        if self.has_pictures:
            row = row.for_pictures(self.options.pictures) or row
        return Undecoded(row) if name.endswith(UNDECODED) else row  # type: ignore[arg-type]  # it keeps files

    def names_of(self, operation: str) -> list[str]:
        """The rows that take part in an operation, twice if it reads files and decodes them."""
        found = []
        for name in self.rows:
            row = self.row(name)
            if operation in row.operations:
                found.append(name)
                if self.has_pictures and row.keeps_files and operation in READING:
                    found.append(name + UNDECODED)
        return found

    def fits(self, n: int) -> bool:
        """Whether the pixels of `n` images may be read at once."""
        return not self.has_pictures or n * self.image_bytes <= MOST_READ_BYTES

    def may_keep(self, n: int) -> bool:
        """Whether the pixels of `n` images may be held for the check."""
        return not self.has_pictures or n * self.image_bytes <= MOST_KEPT_BYTES

    def at_once(self, n: int) -> int:
        """How many of `n` images may be held for the check: of pictures perhaps fewer."""
        return n if self.may_keep(n) else max(1, int(MOST_KEPT_BYTES / self.image_bytes))

    def require_memory(self, row: Contender, n: int, cold: bool) -> None:
        """Skip the reading of all images if their pixels would take too much memory."""
        if row.variant != OF_FILES and not self.fits(n):
            size = f"{n * self.image_bytes / 1e6:,.0f} MB of pixels"
            self.skip(
                Key("read_many", "", row.name, n, cold),
                f"all images at once have {size}, more than {MOST_READ_BYTES / 1e6:,.0f} MB",
            )

    def require_space(self, key: Key) -> None:
        """Skip a row that has no room on the disk."""
        if key.backend in self.left_out:
            # The saved run does not name the user's directory; the terminal's header does.
            self.skip(key, "too little free space for rows that hold pixels")

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
                most_bytes=inf if options.cutoffs else MOST_BYTES,
            )
            if dataset.is_folder:
                self.cutoffs = choose_picture_cutoffs(options, len(dataset.images))
            else:
                self.cutoffs = choose_cutoffs(options, dataset.name, dataset.capacity)
            self.images, self.labels = dataset.take(self.cutoffs[-1])
        except DatasetError as error:
            raise pytest.UsageError(f"--dataset: {one_line(error)}") from error
        return dataset

    def close(self) -> None:
        """Remove the stores."""
        self._places.close()
        self.workspace.close()

    def header(self) -> list[str]:
        """The lines at the top of the terminal: what the run measures."""
        lines = [
            f"data: {self.name} ({self.identity}), cutoffs {', '.join(map(str, self.cutoffs))}",
            f"stores: in {self.store_dir} ({self.file_system})",
        ]
        lines += self.remarks
        return [f"NOTE: {self.note}", *lines] if self.note else lines

    def circumstances(self) -> Circumstances:
        """The circumstances of this run, to be saved with it."""
        return Circumstances(
            dataset=self.identity,
            dataset_name=self.name,
            dataset_note=self.note,
            file_system=self.file_system,
            cache=COLD if self.options.cache == COLD else WARM,
            durability="durable" if self.options.durable else "buffered",
        )

    # ---- measuring -------------------------------------------------------------------------

    def measure(self, benchmark: Benchmark, passes: Passes, case: Case, work: Work[Result]) -> None:
        """Measure a pass of one operation; what its figure depends on is recorded.

        In a run of several sweeps, a pass that takes turns only warms up, and then waits for them.
        """
        row = case.contender
        operation = f"{case.operation} {case.variant}" if case.apart else case.operation
        operation = f"{operation} {row.variant}".strip()
        passes.group = operation + ("" if case.n is None else f" n={case.n}")
        passes.group += " cold" if case.cold else ""
        recorded = passes.recorded = passes.recorded or Recorded(
            operation=case.operation,
            variant=f"{case.variant} {row.variant}".strip(),
            backend=row.name,
            n=case.n or 1,
            images_per_round=case.images,
            image_shape=list(self.images.shape[1:]),
            image_bytes=mean_bytes(self._images_of(case)) if self.has_pictures else None,
            file_bytes=self.file_bytes if row.keeps_files else None,
            decoder=row.decoder if self._decodes(case) else None,
            dataset=self.identity,
            round_budget_seconds=self.options.round_budget,
            cache=COLD if case.cold else WARM,
            durability=row.durability(self.options.durable and not case.buffered),
            batch_images=case.batch,
        )
        most = MAX_ROUNDS if self.options.sweeps > 1 and work.in_turns else MAX_ALONE
        measured = replace(
            work,
            check=partial(self._check, recorded, case, work),
            before=partial(self._before, passes, recorded, case, work),
            most=min(work.most, COLD_ROUNDS if case.cold else most),
        )
        sweep = passes.done + passes.left_out
        if self.options.timed and sweep != self._sweep:
            self._places.move()
            self._sweep = sweep
        if case.cold:
            self._read_at.pop(case.path, None)
        elif case.reads and self.options.timed:
            write_out(self.store_dir)  # or the disk would still write what was stored before
            self._warm(case, sweep)
        timed, budget = benchmark.enabled, self.options.round_budget
        passes.benchmark = benchmark
        try:
            passes.ready = prepare(
                measured,
                budget,
                passes,
                timed=timed,
                clock=self._clock,
                collects=self._collects,
            )
        except TooLongError as error:
            self.skip(
                Key.of(recorded),
                f"one round would take about {error.seconds:,.0f} s, which is more than"
                f" {LONGEST_TIMES} times --round-budget",
            )
        if case.first_batch_seconds is not None:
            earlier = recorded.first_batch_seconds or ()
            recorded.first_batch_seconds = [*earlier, case.first_batch_seconds]
        if passes.sweeps == 1 or not work.in_turns:
            take_turns([passes.ready], self._chance)
            passes.end()
        if passes.sweeps == 1:
            passes.record()

    def _images_of(self, case: Case) -> Images:
        """The images that all rounds read or store, or from which they draw."""
        if case.operation == "read_single":
            return self.images[ids_read_singly(case.n or 1)]
        in_order = not case.reads or case.operation == "iterate"
        return self.images[: case.images if in_order else case.n]

    def _warm(self, case: Case, sweep: int) -> None:
        """Have a store in memory, and the first time in a sweep perhaps elsewhere in it."""
        path = case.path
        usage = self.workspace.usage[path]
        can_move = CAN_EVICT and usage.files <= MOST_PLACED and usage.apparent_bytes in PLACED_ANEW
        if can_move and case.operation in PLACE_MATTERS and self._placed_in.get(path) != sweep:
            place_anew(path)
            self._placed_in[path] = sweep
            self._read_at[path] = time.monotonic()
        else:
            self._stay_warm(path)

    def _stay_warm(self, path: Path) -> None:
        """Read a store, if that was too long ago to be sure that it is in memory."""
        if time.monotonic() - self._read_at.get(path, -inf) > STAYS_SECONDS:
            warm(path)
            self._read_at[path] = time.monotonic()

    def _decodes(self, case: Case) -> bool:
        """Whether it decodes the files of pictures: to store pixels, or to read what keeps files."""
        row = case.contender
        return self.has_pictures and row.keeps_files == case.reads and row.variant != OF_FILES

    def _before(self, passes: Passes, recorded: Recorded, case: Case, work: Work[Result]) -> None:
        work.before()  # it may read some of the store, as opening does
        if not case.cold:
            if self.options.timed and not case.reads:
                write_out(self.store_dir)  # or the round waits for what the row before it has left
            elif self.options.timed:
                self._stay_warm(case.path)  # other rows have read their stores since the warm-up
            return
        if not CAN_EVICT:
            self.skip(Key.of(recorded), "this system cannot evict a file from its page cache")
        fraction = evict_or_wait(case.path)
        if fraction > MOST_RESIDENT:
            why = (
                "some of the store stays in memory when evicted, because a process uses it or"
                f" {self.file_system} keeps it"
            )
            passes.leave_out()
            if passes.has_given_up:
                self.skip(Key.of(recorded), why)
            pytest.skip(why)  # only this pass
        recorded.resident_fraction = max(recorded.resident_fraction or 0.0, fraction)

    def skip(self, key: Key, reason: str) -> NoReturn:
        """Skip a row, and say why in the summary and the saved run."""
        self.skipped.append(SkippedRow(key, reason))
        pytest.skip(reason)

    def note_failure(self, key: Key) -> None:
        """Note that a row has failed, for the summary and the saved run."""
        if (failed := SkippedRow(key, "failed")) not in self.skipped:
            self.skipped.append(failed)

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

        Of pictures, it may be a list, of images or of the bytes of files. Raises WrongResultError.
        """
        if self.has_pictures:
            self._assert_same_pictures(images, labels, ids)
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

    def _assert_same_pictures(
        self, found: object, labels: NDArray[np.int64], ids: slice | NDArray[np.int64]
    ) -> None:
        wanted = self.images[ids].tolist()
        if not isinstance(found, list | np.ndarray):
            raise WrongResultError(f"images came as a {type(found).__name__}, not as a list")
        require(np.array_equal(labels, self.labels[ids]), "labels differ from the data's")
        require(len(found) == len(wanted), f"{len(found)} of {len(wanted)} images came")
        for i, (image, picture) in enumerate(zip(found, wanted, strict=True)):
            require(
                picture.is_same(image), f"pixels or bytes differ from the data's, in result {i}"
            )
