"""Many small commits, as a camera makes them: the cost of making them and of reading afterwards."""

import shutil
from pathlib import Path

import pytest

from benchmarks.contenders.base import Labels
from benchmarks.contenders.stores import StoreContender, put_one
from benchmarks.datasets import Images
from benchmarks.harness.checks import require
from benchmarks.harness.protocol import RoundPart, Work, images_of_part
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.harness.workspace import NewStores, ids_checked


class SmallCommits(StoreContender):
    """A store whose images are added one by one while it stays open."""

    def __init__(self, store: StoreContender) -> None:
        super().__init__(store.store_class)
        self.made_with = store.made_with
        self.name = f"{store.name}, small commits"  # the workspace tells stores apart by name

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        with self.new(path, durable) as store:
            for image, label in zip(images, labels.tolist(), strict=True):
                put_one(store, image, label)


class CompactedCommits(StoreContender):
    """Such a store after `compact`, made from a copy of it: committing all again would take seconds."""

    def __init__(self, store: StoreContender, small: Path) -> None:
        """`small` is the store as it was committed."""
        super().__init__(store.store_class)
        self.name = f"{store.name}, compacted"
        self._small = small

    def store_many(self, path: Path, images: Images, labels: Labels, durable: bool) -> None:
        shutil.copytree(self._small, path)
        with self.store_class(path, "a", durable=durable) as store:
            store.compact()


def test_commits_store(suite: Suite, measure: Measure, store: StoreContender, sweep: int) -> None:
    """Store each image in its own commit, with one handle. Buffered: else disk waits dominate."""
    small = SmallCommits(store)
    n = suite.commits
    images, labels = suite.images[:n], suite.labels[:n]
    stores = NewStores(suite.workspace, small, n)
    path = stores.path
    case = Case(
        "commits", store, n, n, path, reads=False, variant="store", apart=True, buffered=True
    )

    part = None
    if few := images_of_part(n, suite.image_bytes):
        part = RoundPart(
            lambda: small.store_many(case.path, images[:few], labels[:few], durable=False), few / n
        )

    def before() -> None:
        case.path = stores.begin()

    def check(_: None) -> None:
        if sweep == 0 and not stores.accepted:
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
            few_passes=True,
        ),
    )


def test_commits_open(suite: Suite, measure: Measure, store: StoreContender, cold: bool) -> None:
    """Open and close: the cost of finding that many commits."""
    n = suite.commits
    path = suite.workspace.store(SmallCommits(store), n)

    def run() -> int:
        with store.store_class(path) as opened:
            return len(opened)

    def check(length: int) -> None:
        require(length == n, f"the store has {length} images, not {n}")

    measure(
        Case("commits", store, n, 1, path, reads=True, cold=cold, variant="open", apart=True),
        Work(run, check, few_passes=True),
    )


@pytest.mark.parametrize("state", ["read", "compacted"])
def test_commits_read(
    suite: Suite, measure: Measure, store: StoreContender, state: str, cold: bool
) -> None:
    """Open, read all, close: as the images were committed, and after `compact`."""
    n = suite.commits
    path = suite.workspace.store(SmallCommits(store), n)
    if state == "compacted":
        path = suite.workspace.store(CompactedCommits(store, path), n)
    shape = (n, *suite.images.shape[1:])
    measure(
        Case("commits", store, n, n, path, reads=True, cold=cold, variant=state, apart=True),
        Work(
            run=lambda: store.read_many(path, shape),
            check=lambda result: suite.assert_equal(*result, slice(0, n)),
            few_passes=True,
        ),
    )
