"""The durations of a benchmark's rounds, in a form short enough to be saved with every run.

By default, pytest-benchmark saves quartiles but not the rounds, and intervals need the rounds. Its
JSON list would take a line of thirty characters for each number. In one string, with four
significant digits, a number takes six.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def pack(seconds: Iterable[float]) -> str:
    """Durations as microseconds, separated by spaces, in the order they were measured."""
    return " ".join(f"{duration * 1e6:.4g}" for duration in seconds)


def unpack(text: str) -> NDArray[np.float64]:
    """Durations in seconds, (rounds,) float64; raises ValueError for what `pack` did not write."""
    return np.array([float(number) for number in text.split()]) / 1e6
