"""Random bytes for the stand-in, the same on every machine and with every numpy version."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class RandomBytes:
    """A stream of random bytes, fixed by its seed.

    numpy guarantees that a seed always gives the same raw integers of PCG64 ("Compatibility
    Guarantee" in its docstring; NEP 19). The methods of `Generator` carry no such guarantee.
    """

    def __init__(self, *seed: int) -> None:
        self._source = np.random.PCG64(np.random.SeedSequence(seed))

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 64-bit words."""
        return np.asarray(self._source.random_raw(count), dtype=np.uint64)

    def take(self, *shape: int) -> NDArray[np.uint8]:
        """The next bytes as a uint8 array of `shape`; only whole words are used."""
        count = int(np.prod(shape))
        little_endian = self.words((count + 7) // 8).astype("<u8")
        return little_endian.view(np.uint8)[:count].reshape(shape)


class Draws:
    """Gives `columns` random bytes for each of `count` images, one column at a time.

    A picture depends on the order of its draws.
    """

    def __init__(self, source: RandomBytes, count: int, columns: int) -> None:
        self._columns = iter(source.take(count, columns).T.astype(np.int32))

    def between(self, low: int, high: int) -> NDArray[np.int32]:
        """An integer in low..high for each image: (count,) int32, nearly uniform."""
        drawn: NDArray[np.int32] = low + ((next(self._columns) * (high - low + 1)) >> 8)
        return drawn


def quantile(table: Sequence[int], rank: NDArray[np.int32]) -> NDArray[np.int32]:
    """The value at each rank (0..255) of a distribution given by its 17 evenly spaced quantiles."""
    values = np.array(table, dtype=np.int32)
    left, part = rank >> 4, rank & 15
    found: NDArray[np.int32] = values[left] + (((values[left + 1] - values[left]) * part) >> 4)
    return found
