"""Shows how far a long call is."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

Progress: TypeAlias = Callable[[range], Iterable[int]]
"""Wraps the numbers of images, as `tqdm.tqdm` does; `iter` shows nothing."""


def advance(ticks: Iterator[int], n: int) -> None:
    """Take the next n numbers."""
    deque(islice(ticks, n), maxlen=0)
