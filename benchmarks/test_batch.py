"""Random access to an open store: one batch, and a shuffled pass over all of it."""

import numpy as np
from numpy.typing import NDArray

from .contenders import StoreContender
from .opened import OpenStore
from .protocol import Work
from .suite import Case, Measure, Suite

BATCH = 256
SEED = 0

Ids = NDArray[np.int64]


def test_read_batch(suite: Suite, measure: Measure, store: StoreContender, n: int) -> None:
    """256 random images, repeats allowed: one step of training. Each round draws its own."""
    path = suite.workspace.store(store, n)
    chance = np.random.default_rng(SEED)
    ids: Ids = np.empty(BATCH, np.int64)

    with OpenStore(store, path, suite.options.cold) as opened:

        def before() -> None:
            opened.before()
            ids[:] = chance.integers(0, n, BATCH)

        measure(
            Case("read_batch", store, n, images=BATCH, path=path, reads=True),
            Work(
                before=before,
                run=lambda: opened.store.read_many(ids),
                check=lambda result: suite.assert_equal(*result, ids),
                after=opened.after,
            ),
        )


def test_epoch(suite: Suite, measure: Measure, store: StoreContender, n: int) -> None:
    """Every image once, shuffled, in batches of 256: a pass of training, without the training."""
    path = suite.workspace.store(store, n)
    chance = np.random.default_rng(SEED)
    order: Ids = np.arange(n)
    timed = suite.options.timed
    every: list[tuple[object, NDArray[np.int64]]] = []

    with OpenStore(store, path, suite.options.cold) as opened:

        def before() -> None:
            opened.before()
            chance.shuffle(order)

        def run() -> tuple[object, NDArray[np.int64]]:
            for start in range(0, n, BATCH):  # a batch is freed when the next has been read
                batch = opened.store.read_many(order[start : start + BATCH])
                if not timed:
                    every.append(batch)
            return batch

        def check(last: tuple[object, NDArray[np.int64]]) -> None:
            suite.assert_equal(*last, order[(n - 1) // BATCH * BATCH :])
            # A timed pass cannot keep what it has read; with --benchmark-disable, all is checked.
            assert timed or sum(len(labels) for _, labels in every) == n
            for start, batch in zip(range(0, n, BATCH), every, strict=False):
                suite.assert_equal(*batch, order[start : start + BATCH])

        measure(
            Case("epoch", store, n, images=n, path=path, reads=True),
            Work(before=before, run=run, check=check, after=opened.after),
        )
