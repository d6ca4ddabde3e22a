"""Storing: one image in an empty store, n images in a new store, a batch in an existing one."""

import numpy as np

from benchmarks.contenders.base import Contender
from benchmarks.contenders.stores import StoreContender
from benchmarks.harness.checks import require
from benchmarks.harness.protocol import RoundPart, Work, images_of_part
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.harness.workspace import NewStores, ids_checked

ALL_CHECKED = 10_000
"""Up to this many images, the first round's store is read back whole; later rounds', in part.

Reading more would take as long as storing; `read_many` checks the first round's store whole.
"""


def test_store_single(suite: Suite, measure: Measure, contender: Contender) -> None:
    """Open, store one image, close: the cost of storing images as they arrive."""
    path, durable = suite.workspace.scratch(), suite.options.durable
    image, label = suite.images[0], int(suite.labels[0])

    def check(_: None) -> None:
        found, found_label = contender.read_single(path, 0, suite.images.shape[1:])
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


def test_store_many(
    suite: Suite, measure: Measure, contender: Contender, n: int, sweep: int
) -> None:
    """Create a store and store n images in one call: the cost of converting a data set."""
    durable = suite.options.durable
    images, labels = suite.images[:n], suite.labels[:n]
    stores = NewStores(suite.workspace, contender, n)
    case = Case("store_many", contender, n, images=n, path=stores.path, reads=False)

    part = None
    if few := images_of_part(n, suite.image_bytes):
        part = RoundPart(
            lambda: contender.store_many(case.path, images[:few], labels[:few], durable), few / n
        )

    def before() -> None:
        case.path = stores.begin()

    def check(_: None) -> None:
        if n <= ALL_CHECKED and suite.fits(n) and sweep == 0 and not stores.accepted:
            suite.assert_equal(*contender.read_many(case.path, images.shape), slice(0, n))
        ids = ids_checked(n)
        suite.assert_equal(*contender.read_some(case.path, ids, images.shape), ids)
        stores.accept()

    measure(
        case,
        Work(
            before=before,
            run=lambda: contender.store_many(case.path, images, labels, durable),
            check=check,
            after=stores.end,
            part=part,
        ),
    )


def test_append(suite: Suite, measure: Measure, store: StoreContender, n: int) -> None:
    """Open a store of n images, store a batch in it, close: the cost of adding to a data set.

    Rounds add to one store until it would exceed twice n images, then to a new one. It is kept from
    sweep to sweep.
    """
    durable, batch = suite.options.durable, suite.batch
    ids = np.arange(batch) % len(suite.images)
    images, labels = suite.images[ids], suite.labels[ids]
    growing = suite.workspace.growing(store, n)
    case = Case("append", store, n, batch, growing.path, reads=False)

    def before() -> None:
        if growing.length > n and growing.length + batch > 2 * n:
            suite.workspace.remove(growing.path)
            growing.path, growing.length = suite.workspace.spare(store, n), n
            case.path = growing.path

    def check(_: None) -> None:
        length = growing.length
        with store.store_class(case.path) as opened:
            held = len(opened)
            require(held == length + batch, f"{held} images, not {length + batch}")
            suite.assert_equal(*opened.read_many(range(length, length + batch)), ids)
        growing.length += batch

    measure(
        case,
        Work(
            before=before,
            run=lambda: store.append(case.path, images, labels, durable),
            check=check,
            few_passes=True,
        ),
    )
