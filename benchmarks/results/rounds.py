"""The durations of a benchmark's rounds, short enough to be saved with every run.

A run that pytest-benchmark saves by itself holds quartiles but not the rounds, without which no
interval can be told. As JSON its list would take a line of thirty characters for each number; as
one string of four significant digits a number takes six.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def pack(seconds: Iterable[float]) -> str:
    """Durations as microseconds with a space between them, in the order they were measured."""
    return " ".join(f"{duration * 1e6:.4g}" for duration in seconds)


def unpack(text: str) -> NDArray[np.float64]:
    """Durations in seconds, (rounds,) float64; raises ValueError for what `pack` did not write."""
    return np.array([float(number) for number in text.split()]) / 1e6
