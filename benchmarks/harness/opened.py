"""A store that stays open from round to round."""

from pathlib import Path

from benchmarks.contenders.base import Openable, Opened, Shape


class OpenStore:
    """Opens a store before the first round, or before every round if rounds must be cold.

    A warm round finds what earlier rounds looked up, as the steps of a training run do. A cold one
    finds nothing: the store is new to it, as it is to the first step.
    """

    def __init__(self, contender: Openable, path: Path, cold: bool, shape: Shape = ()) -> None:
        """`shape`, (H, W, C), is needed for a format that does not store it."""
        self._contender = contender
        self._path = path
        self._cold = cold
        self._shape = shape
        self._store: Opened | None = None

    @property
    def store(self) -> Opened:
        assert self._store is not None, "before() opens the store"
        return self._store

    def before(self) -> None:
        """Open the store for a round, if it is not open."""
        if self._store is None:
            self._store = self._contender.open(self._path, self._shape)

    def after(self) -> None:
        """Close the store after a round, if the next must be cold."""
        if self._cold:
            self.close()

    def close(self) -> None:
        """Close the store, if it is open."""
        if self._store is not None:
            self._store.close()
            self._store = None
