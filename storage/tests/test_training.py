"""Parts of an epoch, with PyTorch: subsets, several processes, and going on in the middle."""

from pathlib import Path

import numpy as np
import pytest

from .. import Store
from .samples import Image, Labels, assert_records, each_store, labels_for, pictures

data = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed")

pytestmark = [
    each_store,
    pytest.mark.usefixtures("unfolded"),
    # On a machine with fewer cores, of which it warns, they have all the more to wait for.
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]

N, BATCH, RANKS = 23, 4, 2
Record = tuple[Image, int]


@pytest.fixture
def made(store_class: type[Store], path: Path) -> tuple[Image, Labels]:
    """A store of several parts."""
    images, labels = pictures(N), labels_for(N)
    with store_class(path, "x", durable=False) as store:
        for start in range(0, N, 5):
            store.store_many(images[start : start + 5], labels[start : start + 5])
    return images, labels


def as_is(records: list[Record]) -> list[Record]:
    return records


def assert_read(records: list[Record], made: tuple[Image, Labels], ids: list[int]) -> None:
    images, labels = made
    assert len(records) == len(ids)
    found = np.stack([image for image, _ in records]), np.array([label for _, label in records])
    assert_records(found, images[ids], labels[ids])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_subset_is_read_by_ids(
    store_class: type[Store], path: Path, made: tuple[Image, Labels], workers: int
) -> None:
    ids = [22, 3, 3, 17, 0, 9, 8]
    with store_class(path) as store:
        loader = data.DataLoader(
            data.Subset(store, ids), BATCH, collate_fn=as_is, num_workers=workers
        )
        assert_read([record for batch in loader for record in batch], made, ids)


@pytest.mark.parametrize("epoch", [0, 1])
def test_processes_share_an_epoch(
    store_class: type[Store], path: Path, made: tuple[Image, Labels], epoch: int
) -> None:
    """As each of `RANKS` processes would; the first image comes twice where N is odd."""
    seen: list[int] = []
    for rank in range(RANKS):
        with store_class(path) as store:
            sampler = data.DistributedSampler(store, num_replicas=RANKS, rank=rank, seed=5)
            sampler.set_epoch(epoch)
            loader = data.DataLoader(store, BATCH, sampler=sampler, collate_fn=as_is)
            assert_read([record for batch in loader for record in batch], made, [*sampler])
            seen += sampler
    assert sorted({*seen}) == [*range(N)]
    assert len(seen) == N + N % RANKS


@pytest.mark.parametrize("done", [0, 2, 5])
def test_an_epoch_goes_on_after_any_batch(
    store_class: type[Store], path: Path, made: tuple[Image, Labels], done: int
) -> None:
    """With the store's own batches, and with a loader whose sampler is the rest of its order."""
    with store_class(path) as store:
        whole = [*store.iter_batches(BATCH, shuffle=3)]
    start = done * BATCH
    order = np.random.default_rng(3).permutation(N).tolist()
    with store_class(path) as store:  # as after a crash
        rest = [*store.iter_batches(BATCH, shuffle=3, start=start)]
        for found, expected in zip(rest, whole[done:], strict=True):
            assert_records(found, *expected)
        loader = data.DataLoader(store, BATCH, sampler=order[start:], collate_fn=as_is)
        assert_read([record for batch in loader for record in batch], made, order[start:])
