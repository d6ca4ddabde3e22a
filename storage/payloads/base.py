"""What a payload defines: how an image becomes the bytes of a cell, and an image again."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._checksum import Shape

Cell: TypeAlias = bytes | memoryview | NDArray[np.uint8]
"""The bytes of one image; an array has one dimension."""
Cells: TypeAlias = Sequence[Cell] | NDArray[np.uint8]
"""Consecutive cells; an array (n, bytes of a cell), C order, where all are as long."""

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_BYTES = 2**16
"""Bytes that are worth threads: of all images of a slab when storing, but when reading of one: who
wants smaller images faster has several processes reading, as training does.
"""


class Payload(ABC):
    """How images are kept as cells.

    is_raw: whether a cell is the pixels as they are, so that they can be read straight into place
    """

    is_raw: ClassVar[bool] = False

    @abstractmethod
    def encode(self, image: NDArray[np.uint8]) -> Cell:
        """The cell of one image, (H, W[, C]), C order."""

    @abstractmethod
    def decode(self, cell: Cell, image: NDArray[np.uint8]) -> None:
        """Fill `image`, C order; raises ValueError where the cell holds none of its shape."""

    def check_shape(self, shape: Shape) -> None:  # noqa: B027  # most hold any
        """Raise `ShapeError` where no cell can hold an image of that shape."""

    def check_size(self, shape: Shape, size: int) -> None:  # noqa: B027  # not all know
        """Raise ValueError where no cell of `size` bytes can hold an image of that shape."""

    def encode_many(self, images: NDArray[np.uint8]) -> Cells:
        """The cells of images of one shape, (n, H, W[, C]), C order."""
        return in_threads(self.encode, [*images], images.nbytes)


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], size: int = THREAD_BYTES
) -> list[Result]:
    """`map`, in as many threads as there are cores where there are several items, and not small.

    Where no thread is to be had, at a limit of the system or while the interpreter ends, all is
    done here.
    """
    if len(items) < 2 or size < THREAD_BYTES:
        return [function(item) for item in items]
    every, done, n = enumerate(items), dict[int, Result](), min(len(items), os.cpu_count() or 1)

    def work() -> None:
        for i, item in every:  # which gives each to one thread
            done[i] = function(item)

    with ThreadPoolExecutor(n) as threads:
        futures: list[Future[None]] = []
        with suppress(RuntimeError):  # no thread can be started
            futures += (threads.submit(work) for _ in range(n))
        for future in futures:
            future.result()
        work()
    return [done[i] for i in range(len(items))]
