"""Random access to an open store: one batch, and a shuffled pass over all of it."""

from collections.abc import Iterator

import numpy as np

from benchmarks.contenders.base import ImageIds, Openable
from benchmarks.harness.checks import require
from benchmarks.harness.opened import OpenStore
from benchmarks.harness.protocol import SETTLING, RoundPart, Work, images_of_part
from benchmarks.harness.suite import Case, Measure, Suite

SEED = 0

BatchRead = tuple[object, ImageIds]


def test_read_batch(
    suite: Suite, measure: Measure, store: Openable, n: int, cold: bool, sweep: int
) -> None:
    """256 random images, repeats allowed: one step of training. Each round draws its own.

    Of large pictures, a batch has fewer: see `PICTURE_BATCH_BYTES`.
    """
    path = suite.workspace.store(store, n)
    chance = np.random.default_rng((SEED, sweep))
    ids: ImageIds = np.empty(suite.batch, np.int64)

    opened = OpenStore(store, path, cold, suite.images.shape[1:])

    def before() -> None:
        opened.before()
        ids[:] = chance.integers(0, n, suite.batch)

    def rewind() -> None:
        nonlocal chance
        chance = np.random.default_rng((SEED, sweep))

    measure(
        Case("read_batch", store, n, images=suite.batch, path=path, reads=True, cold=cold),
        Work(
            before=before,
            run=lambda: opened.store.read_many(ids),
            check=lambda result: suite.assert_equal(*result, ids),
            after=opened.after,
            rewind=rewind,
            close=opened.close,
            settling=0.0 if cold else SETTLING,
        ),
    )


MOST_KEPT = 10_000
"""Up to this many images, a whole epoch is kept and checked once, in the warm-up."""


def test_epoch(
    suite: Suite, measure: Measure, store: Openable, n: int, cold: bool, sweep: int
) -> None:
    """Every image once, shuffled, in batches of 256: one epoch of training without the training."""
    path = suite.workspace.store(store, n)
    chance = np.random.default_rng((SEED, sweep))
    order: ImageIds = np.arange(n)
    # Then each round checks its last batch; `read_many` checks all.
    seen_all = sweep > 0 or n > MOST_KEPT or not suite.may_keep(n)
    part = None
    if few := images_of_part(n, suite.image_bytes):
        part = RoundPart(lambda: [*batches(few)], few / n)

    opened = OpenStore(store, path, cold, suite.images.shape[1:])

    def before() -> None:
        opened.before()
        chance.shuffle(order)

    def batches(stop: int) -> Iterator[BatchRead]:
        for start in range(0, stop, suite.batch):
            yield opened.store.read_many(order[start : min(start + suite.batch, stop)])

    def run() -> list[BatchRead]:
        kept: list[BatchRead] = []
        for batch in batches(n):  # one is freed once the next has been read
            if not seen_all:  # in the first warm-up, or the only round: all are checked
                kept.append(batch)
        return kept or [batch]

    def check(kept: list[BatchRead]) -> None:
        nonlocal seen_all
        at = 0 if not seen_all else n - len(kept[-1][1])
        for images, labels in kept:
            suite.assert_equal(images, labels, order[at : at + len(labels)])
            at += len(labels)
        require(at == n, f"{at} of {n} images came")
        seen_all = True

    measure(
        Case("epoch", store, n, images=n, path=path, reads=True, cold=cold),
        Work(
            before=before,
            run=run,
            check=check,
            after=opened.after,
            close=opened.close,
            part=part,
            few_passes=True,
        ),
    )
