"""In order: one image at a time, and the same images as one slice (the tutorial's last tip)."""

import numpy as np
import pytest

from .contenders import Image, Labels, StoreContender
from .opened import OpenStore
from .protocol import Work
from .suite import Case, Measure, Suite

MOST = 10_000
"""Images of a larger store that are iterated over: by then an image costs the same as the last."""


@pytest.mark.parametrize("how", ["single", "slice"])
def test_iterate(suite: Suite, measure: Measure, store: StoreContender, n: int, how: str) -> None:
    """What asking for images one by one costs beside asking once."""
    path = suite.workspace.store(store, n)
    stop = min(n, MOST)
    timed = suite.options.timed
    every: list[tuple[Image, int]] = []

    with OpenStore(store, path, suite.options.cold) as opened:

        def one_by_one() -> tuple[Image, Labels]:
            for image_id in range(stop):
                image, label = opened.store[image_id]
                if not timed:
                    every.append((image, label))
            return image[np.newaxis], np.array([label])

        def check(result: tuple[object, Labels]) -> None:
            suite.assert_equal(*result, slice(stop - 1 if how == "single" else 0, stop))
            # A timed pass cannot keep what it has read; with --benchmark-disable, all is checked.
            assert timed or how == "slice" or len(every) == stop
            for image_id, (image, label) in enumerate(every):
                ids = slice(image_id, image_id + 1)
                suite.assert_equal(image[np.newaxis], np.array([label]), ids)

        measure(
            Case("iterate", store, n, images=stop, path=path, reads=True, variant=how),
            Work(
                before=opened.before,
                run=one_by_one if how == "single" else lambda: opened.store[0:stop],
                check=check,
                after=opened.after,
            ),
        )
