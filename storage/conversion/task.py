"""A task of a conversion: it writes one part of the new store.

It gets no more than a number and the path of the plan, and returns no more than a receipt. It may run
twice, at the same time, or die: each try writes to a folder of its own, and is handed in when all of
it is on the disk.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar, cast
from uuid import uuid4

import numpy as np
from xxhash import xxh3_64_hexdigest

from .._batch import stacked
from .._checksum import Image, Labels, Rows
from .._encoded import KnownFile, file_piece, slabs
from .._errors import (
    CorruptRecordError,
    ImageFileError,
    ShapeError,
    StorageError,
    os_errors,
    printable,
)
from .._files import Folder
from .._index import INDEX, PartCells, Piece
from .._names import packed
from .._part import write_part
from .._store import image_piece
from ..payloads.base import at_most_threads
from .plan import Plan, known_plan, rows_of
from .sources import PlannedImage, Source, Taken
from .work import Receipt, Skipped, WorkFolder

Item = TypeVar("Item")
Result = TypeVar("Result")
Tick: TypeAlias = Callable[[], object]
"""Is called for each image."""
BAD_IMAGE = ImageFileError, CorruptRecordError
"""What an image itself is to blame for. Other errors are of the machine, and none is left out for them."""


WORTH_THREADS = 2**13
"""Bytes in the source; smaller images are decoded before another thread could take them over."""


class Order(NamedTuple):
    """What a task is to do.

    work: the folder of the conversion
    plan: the identity of its plan
    skip: whether images that cannot be taken are left out
    run: differs for each run of the coordinator, so that no engine takes an old task for this one
    threads: in which images are read, decoded and encoded; with an executor one, since it may have
        a task for each core
    """

    work: str
    plan: str
    part: int
    skip: bool
    run: str
    threads: int = 1


class Input:
    """The images of a part, and what is noted of those that were taken."""

    def __init__(self, plan: Plan, source: Source, rows: list[PlannedImage], order: Order) -> None:
        self._plan, self._source, self._rows, self._order = plan, source, rows, order
        self._first = plan.parts[order.part].first
        self._payload = plan.kind.payload
        self.kept, self.names, self.skipped = list[int](), bytearray(), list[Skipped]()
        self.changed = Counter[str]()
        self.labels = np.array([row.label for row in rows], np.int64)

    def pieces(self, tick: Tick) -> Generator[Piece, None, None]:
        """Yield the cells of the images that can be taken; raises `StorageError` for others.

        To be closed, as `ahead`.
        """
        taken, done = self._taken(tick), 0
        if self._plan.as_files:
            for files in slabs(cast(Iterator[KnownFile], taken)):
                ids, labels = self._numbered(done, len(files))
                yield file_piece(files, [file.shape for file in files], ids, labels)
                done += len(files)
            return
        for images in stacked(cast(Iterator[Image], taken), len(self._rows)):
            ids, labels = self._numbered(done, len(images))
            yield image_piece(self._payload, images, ids, labels)
            done += len(images)

    def _numbered(self, done: int, n: int) -> tuple[Rows, Labels]:
        """The ids and labels of the next `n` images."""
        first = self._first + done
        return np.arange(first, first + n), self.labels[self.kept[done : done + n]]

    def _taken(self, tick: Tick) -> Iterator[KnownFile | Image]:
        are_small = sum(row.size for row in self._rows) < WORTH_THREADS * len(self._rows)
        threads = 1 if are_small else self._order.threads
        for i, one in enumerate(ahead(self._take, range(len(self._rows)), threads)):
            tick()
            row = self._rows[i]
            if isinstance(one, StorageError):
                if not self._order.skip:
                    raise one
                shown = self._source.shown(self._first + i, row)
                self.skipped.append(Skipped.of(one, shown))
                continue
            self.kept.append(i)
            self.names += packed(row.name)
            self.changed.update(one.changes)
            yield one.item

    def _take(self, i: int) -> Taken[KnownFile] | Taken[Image] | StorageError:
        row, number = self._rows[i], self._first + i
        try:
            if self._plan.as_files:
                return self._source.file(number, row)
            taken = self._source.image(number, row)
            self._payload.check_shape(taken.item.shape)
        except ShapeError as error:
            return ImageFileError(f"{self._source.shown(number, row)}: {error}")
        except BAD_IMAGE as error:
            return error
        return taken

    def write(self, folder: Folder, first: Piece, others: Iterator[Piece]) -> str:
        """Write the part, and return the digest of its index; raises `StorageError`, OSError."""
        kind = self._plan.kind

        def every() -> Iterator[Piece]:
            yield from chain([first], others)
            # Containers and the index ask for labels after the last cell.
            cells.labels = self.labels[self.kept]

        raw, most = kind.payload.is_raw, kind.container.largest_cell
        cells = PartCells(self._first, self.labels, every(), raw, most)
        is_small = len(self._plan.parts) == 1  # many parts would fill the memory of others
        write_part(folder, kind, cells, self.names, durable=True, cached=is_small)
        index = folder.open(INDEX)
        return xxh3_64_hexdigest(index.read(index.size))


def convert_part(order: Order, tick: Tick = int) -> Receipt:
    """Write a part of the new store; raises `StorageError`."""
    work, digest = WorkFolder(Path(order.work)), ""
    attempt = f"{order.part:06d}-{uuid4().hex}"
    with os_errors(printable(str(work.target))), at_most_threads(order.threads):
        plan = known_plan(work.plan, order.plan)
        span = plan.parts[order.part]
        given = Input(plan, plan.opened(), [*rows_of(work.plan, span)], order)
        try:
            with closing(given.pieces(tick)) as pieces:
                if first := next(pieces, None):
                    folder = Folder(os.fspath(work.attempts)).make_folder(attempt)
                    digest = given.write(folder, first, pieces)
            noted = span.first, len(given.kept), digest, given.skipped, dict(given.changed)
            receipt = Receipt(plan.content_of(order.part), order.part, attempt, *noted)
            work.hand_in(receipt)
        except BaseException:
            with suppress(OSError):  # the conversion has ended
                work.clear(work.attempts, {attempt}.__contains__)
            raise
    return receipt


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result, None, None]:
    """`map` in some threads, a few items ahead; in the caller's with one, or if none can be started.

    To be closed. Else the garbage collector does that, perhaps while `threading` holds a lock that
    ending a thread takes, too; then the process waits for ever.
    """
    if threads == 1:
        yield from map(function, items)
        return
    pool, waiting, is_alone = ThreadPoolExecutor(threads), deque[Callable[[], Result]](), False
    try:
        for item in items:
            if not is_alone:
                try:
                    waiting.append(pool.submit(function, item).result)
                except RuntimeError:  # no thread can be started
                    is_alone = True
            if is_alone:
                waiting.append(partial(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)
