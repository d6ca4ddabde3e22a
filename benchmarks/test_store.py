"""Storing: one image in an empty store, and n images in a new one."""

import numpy as np

from .contenders import Contender
from .protocol import Work
from .suite import Case, Measure, Suite

ALWAYS_CHECKED = 10_000
"""Of more images than this, what the first round stored is read back, which takes its time."""


def test_store_single(suite: Suite, measure: Measure, contender: Contender) -> None:
    """Open, store one image, close: what it costs to keep pictures as they come."""
    path, durable = suite.workspace.scratch(), suite.options.durable
    image, label = suite.images[0], int(suite.labels[0])

    def check(_: None) -> None:
        found, found_label = contender.read_single(path, 0, image.shape)
        suite.assert_equal(found[np.newaxis], np.array([found_label]), slice(0, 1))

    measure(
        Case("store_single", contender, None, images=1, path=path, reads=False),
        Work(
            before=lambda: contender.create(path, durable),
            run=lambda: contender.store_single(path, image, label, durable),
            check=check,
            after=lambda: suite.workspace.remove(path),
        ),
    )


def test_store_many(suite: Suite, measure: Measure, contender: Contender, n: int) -> None:
    """Create a store and store n images in one call: what it costs to convert a data set."""
    durable = suite.options.durable
    images, labels = suite.images[:n], suite.labels[:n]
    case = Case("store_many", contender, n, images=n, path=suite.workspace.scratch(), reads=False)
    known_good = 0

    def before() -> None:
        case.path = suite.workspace.scratch()

    def check(_: None) -> None:
        nonlocal known_good
        if not known_good or n <= ALWAYS_CHECKED:
            suite.assert_equal(*contender.read_many(case.path, images.shape), slice(0, n))
        known_good += 1

    def after() -> None:
        if known_good == 1:  # kept for the benchmarks that read
            suite.workspace.keep(contender, n, case.path)
        else:
            suite.workspace.remove(case.path)

    measure(
        case,
        Work(
            before=before,
            run=lambda: contender.store_many(case.path, images, labels, durable),
            check=check,
            after=after,
        ),
    )
