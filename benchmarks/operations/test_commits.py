"""Many small commits, as a camera makes them: what they cost, and what they leave to be read."""

from pathlib import Path

import pytest

from benchmarks.contenders.base import Image, Labels
from benchmarks.contenders.stores import StoreContender
from benchmarks.harness.checks import require
from benchmarks.harness.options import MOST_COMMITS
from benchmarks.harness.protocol import RoundPart, Work, images_of_part
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.harness.workspace import NewStores, ids_checked


class SmallCommits(StoreContender):
    """A store to which images come one by one while it is open."""

    def __init__(self, store: StoreContender) -> None:
        super().__init__(store.store_class)
        self.name = f"{store.name}, small commits"  # the workspace keeps it apart from the usual

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        with self.store_class(path, "x", durable=durable) as store:
            for image, label in zip(images, labels.tolist(), strict=True):
                store.store_single(image, label)


def test_commits_store(suite: Suite, measure: Measure, store: StoreContender) -> None:
    """Each image a commit of its own, with one handle; buffered, or waiting would be all."""
    small = SmallCommits(store)
    n = min(suite.cutoffs[-1], MOST_COMMITS)
    images, labels = suite.images[:n], suite.labels[:n]
    stores = NewStores(suite.workspace, small, n)
    path = stores.path
    case = Case(
        "commits", store, n, n, path, reads=False, variant="store", apart=True, buffered=True
    )

    part = None
    if few := images_of_part(n):
        part = RoundPart(
            lambda: small.store_many(case.path, images[:few], labels[:few], durable=False), few / n
        )

    def before() -> None:
        case.path = stores.begin()

    def check(_: None) -> None:
        if not stores.accepted:
            suite.assert_equal(*small.read_many(case.path, images.shape), slice(0, n))
        ids = ids_checked(n)
        suite.assert_equal(*small.read_some(case.path, ids, images.shape), ids)
        stores.accept()

    measure(
        case,
        Work(
            before=before,
            run=lambda: small.store_many(case.path, images, labels, durable=False),
            check=check,
            after=stores.end,
            part=part,
        ),
    )
    stores.keep()


def test_commits_open(suite: Suite, measure: Measure, store: StoreContender) -> None:
    """Open and close: what finding so many commits costs."""
    n = min(suite.cutoffs[-1], MOST_COMMITS)
    path = suite.workspace.store(SmallCommits(store), n)

    def run() -> int:
        with store.store_class(path) as opened:
            return len(opened)

    def check(length: int) -> None:
        require(length == n, f"the store has {length} images, not {n}")

    measure(
        Case("commits", store, n, 1, path, reads=True, variant="open", apart=True), Work(run, check)
    )


@pytest.mark.parametrize("state", ["read", "compacted"])
def test_commits_read(suite: Suite, measure: Measure, store: StoreContender, state: str) -> None:
    """Open, read all, close: as they were committed, and after `compact`."""
    n = min(suite.cutoffs[-1], MOST_COMMITS)
    small = SmallCommits(store)
    if state == "read":
        path = suite.workspace.store(small, n)
    else:
        path = suite.workspace.spare(small, n)
        with store.store_class(path, "a") as opened:  # durable: nothing is left to write
            opened.compact()
    shape = (n, *suite.images.shape[1:])
    measure(
        Case("commits", store, n, images=n, path=path, reads=True, variant=state, apart=True),
        Work(
            run=lambda: store.read_many(path, shape),
            check=lambda result: suite.assert_equal(*result, slice(0, n)),
        ),
    )
