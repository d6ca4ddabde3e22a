"""Reading in order: one image at a time, or all as one slice (the tutorial's last tip)."""

import numpy as np
import pytest

from benchmarks.contenders.base import Labels, Openable
from benchmarks.harness.checks import require
from benchmarks.harness.opened import OpenStore
from benchmarks.harness.protocol import Work
from benchmarks.harness.suite import Case, Measure, Suite

OrderedRead = tuple[object, Labels]

MOST = 2_000
"""The most images that are read; beyond this, each further image costs the same. Of large pictures,
fewer are: see `Suite.at_once`.
"""


@pytest.mark.parametrize("how", ["single", "slice"])
def test_iterate(
    suite: Suite, measure: Measure, store: Openable, n: int, cold: bool, how: str, sweep: int
) -> None:
    """The cost of reading images one by one, compared with one slice."""
    path = suite.workspace.store(store, n)
    stop = suite.at_once(min(n, MOST))
    seen_all = sweep > 0

    opened = OpenStore(store, path, cold, suite.images.shape[1:])

    def one_by_one() -> list[OrderedRead]:
        kept: list[OrderedRead] = []
        for image, label in store.one_by_one(opened.store, stop):
            if not seen_all:  # in the first warm-up, or the only round: all are checked
                kept.append((image[np.newaxis], np.array([label])))
        return kept or [(image[np.newaxis], np.array([label]))]

    def slice_of_all() -> list[OrderedRead]:
        return [opened.store[0:stop]]

    def check(kept: list[OrderedRead]) -> None:
        nonlocal seen_all
        at = stop - 1 if how == "single" and seen_all else 0
        for images, labels in kept:
            suite.assert_equal(images, labels, slice(at, at + len(labels)))
            at += len(labels)
        require(at == stop, f"{at} of {stop} images came")
        seen_all = True

    measure(
        Case("iterate", store, n, images=stop, path=path, reads=True, cold=cold, variant=how),
        Work(
            before=opened.before,
            run=one_by_one if how == "single" else slice_of_all,
            check=check,
            after=opened.after,
            close=opened.close,
        ),
    )
