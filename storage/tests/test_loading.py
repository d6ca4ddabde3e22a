"""PyTorch's `DataLoader` over the user's own files, with workers that are forked or spawned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .. import EncodedStore
from .._checksum import Image
from ..images.decoding import decode
from .test_encoded import FILES, N, each_encoded

WORKERS = 2


def as_arrays(records: Sequence[tuple[Image, int]]) -> tuple[list[Image], list[int]]:
    """Collate images of several sizes; spawned workers import it."""
    images, labels = zip(*records, strict=True)
    return [*images], [*labels]


# Spawned workers take seconds to import PyTorch, so not every pair is tried.
@pytest.mark.parametrize(("start", "mode"), [("fork", "rgb"), ("spawn", "keep")])
@each_encoded
def test_workers_that_stay_load_each_file_once_an_epoch(
    kind: type[EncodedStore], start: str, mode: str, tmp_path: Path
) -> None:
    """Without a `worker_init_fn`; they read as the store was made, not by default."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with kind(tmp_path / "store", "x", durable=False, image_mode=mode) as writer:
        writer.store_files(FILES, range(N))
    with kind(tmp_path / "store") as store:
        loader: Any = torch.utils.data.DataLoader(
            store,
            4,
            shuffle=True,
            generator=torch.Generator().manual_seed(0),
            collate_fn=as_arrays,
            num_workers=WORKERS,
            multiprocessing_context=start,
            persistent_workers=True,
        )
        epochs = [[*loader] for _ in range(2)]
    orders = []
    for epoch in epochs:
        assert [len(labels) for _, labels in epoch] == [4, 4, 3]
        order = [label for _, labels in epoch for label in labels]
        assert sorted(order) == [*range(N)]
        for image, label in zip((i for images, _ in epoch for i in images), order, strict=True):
            np.testing.assert_array_equal(image, decode(FILES[label], mode=mode), strict=True)
        orders.append(order)
    assert orders[0] != orders[1]
