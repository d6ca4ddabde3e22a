"""What a payload defines: how an image becomes a cell, and a cell an image."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import accumulate, groupby
from math import prod
from typing import ClassVar, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._checksum import Image, Images, Shape

Cell: TypeAlias = bytes | memoryview | NDArray[np.uint8]
"""The bytes of one image; an array has one dimension."""
Cells: TypeAlias = Sequence[Cell] | NDArray[np.uint8]
"""Consecutive cells; those of one size may be an array (n, bytes of a cell), C order."""

Options: TypeAlias = Mapping[str, str | int]
"""What a payload was made with, by name; kept in the store's header."""

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_BYTES = 2**16
"""Bytes that are worth threads: of a slab when storing, of one image when reading. Smaller images
are read faster by several processes, as in training.
"""
TASK_BYTES = 2**19
"""Bytes of pixels that are encoded or decoded together: they stay in the processor's cache."""
BLOCK_BYTES = 2**24
"""Images of several shapes share blocks of this much memory, or one image more; who keeps one of them
keeps its block.
"""


class Payload(ABC):
    """How images become cells.

    is_raw: cells are the pixels, and are read straight into place
    sums_cells: the checksum of a record is of its cell, not of the pixels, which depend on the
        decoder; it is checked before the cell is decoded
    """

    is_raw: ClassVar[bool] = False
    sums_cells: ClassVar[bool] = False

    @property
    def options(self) -> Options:
        """What it was made with; most have none."""
        return {}

    def with_options(self, options: Options) -> Self:
        """The payload of a store with these options; raises ValueError if it has none such."""
        if options:
            raise ValueError(f"options {dict(options)} that it does not have")
        return self

    @abstractmethod
    def encode(self, images: NDArray[np.uint8]) -> Cells:
        """The cells of images of one shape, (n, H, W[, C]), C order."""

    @abstractmethod
    def decode(self, cells: Sequence[Cell], images: NDArray[np.uint8]) -> None:
        """Fill `images`, (n, H, W[, C]), C order; raises ValueError if a cell holds no such image."""

    def decode_all(self, cells: Sequence[Cell], images: Images) -> None:
        """As `decode`, also of images in a list, whose shapes may differ."""
        if isinstance(images, list):
            for cell, image in zip(cells, images, strict=True):
                self.decode([cell], image[np.newaxis])
        else:
            self.decode(cells, images)

    def image(
        self, cell: Cell, shape: Shape, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """The image of one cell; raises as `decode`.

        out: memory for it, which may be used; a new array by default
        """
        image = np.empty(shape, np.uint8) if out is None else out
        self.decode([cell], image[np.newaxis])
        return image

    def check_shape(self, shape: Shape) -> None:  # noqa: B027  # most hold any shape
        """Raise `ShapeError` if no cell can hold an image of that shape."""

    def check_size(self, shape: Shape, size: int) -> None:  # noqa: B027  # not all can tell
        """Raise ValueError if no cell of `size` bytes can hold an image of that shape."""


def tasks(n: int, size: int) -> list[slice]:
    """Which of n images of `size` bytes are encoded or decoded together."""
    step = max(1, TASK_BYTES // size)
    return [slice(i, i + step) for i in range(0, n, step)]


def new_images(shapes: list[Shape]) -> Images:
    """Images of these shapes, to be filled; in a list, neighbours share blocks of memory.

    The system gives a block its memory in a few large pages. Smaller arrays get it in pages of 4 KiB,
    which takes up to half as long as to decode a JPEG, if the C library has given back that of the
    batch before.
    """
    shape, *others = {*shapes}
    if not others:
        return np.empty((len(shapes), *shape), np.uint8)
    images, sizes = list[Image](), [*map(prod, shapes)]
    places = zip(accumulate(sizes, initial=0), sizes, shapes, strict=False)
    for _, neighbours in groupby(places, key=lambda place: place[0] // BLOCK_BYTES):
        some = [*neighbours]
        (first, _, _), (last, size, _) = some[0], some[-1]
        block = np.empty(last + size - first, np.uint8)
        images += [block[at - first :][:size].reshape(shape) for at, size, shape in some]
    return images


_most_threads = ContextVar[int]("most_threads", default=sys.maxsize)


@contextmanager
def at_most_threads(n: int) -> Iterator[None]:
    """Let `in_threads` use no more, where this thread calls it."""
    token = _most_threads.set(n)
    try:
        yield
    finally:
        _most_threads.reset(token)


def cores() -> int:
    """How many cores this process may use; a scheduler may give it fewer than there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], size: int = THREAD_BYTES
) -> list[Result]:
    """`map`, in a thread per core if there are several items and `size` is at least `THREAD_BYTES`.

    `at_most_threads` makes it fewer. If none can be started, at a system limit or while the
    interpreter ends, the caller works.
    """
    n = 1 if size < THREAD_BYTES else min(len(items), cores(), _most_threads.get())
    if n < 2:
        return [function(item) for item in items]
    every, done = enumerate(items), dict[int, Result]()

    def work() -> None:
        for i, item in every:  # each item goes to one thread
            done[i] = function(item)

    threads, futures = ThreadPoolExecutor(n), list[Future[None]]()
    try:
        with suppress(RuntimeError):  # no thread can be started
            futures += (threads.submit(work) for _ in range(n))
        for future in futures:
            future.result()
        work()
    finally:
        try:
            for _ in every:  # after an error, no thread takes another item
                pass
            threads.shutdown()
        finally:
            threads.shutdown()  # again, if a signal has interrupted the waiting
    return [done[i] for i in range(len(items))]
