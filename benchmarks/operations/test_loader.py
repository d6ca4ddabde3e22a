"""Training: PyTorch's `DataLoader` over an open store."""

import numpy as np
import pytest

from benchmarks.contenders.base import Openable
from benchmarks.harness.checks import require
from benchmarks.harness.loader import LARGE_BATCH, LoadedBatch, Loader, LoaderSetting, why_left_out
from benchmarks.harness.protocol import Work
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.results.keys import Key
from benchmarks.results.recorded import COLD

from .test_batch import SEED

MOST_IMAGES, MOST_BYTES = 5_120, 2**27
"""An epoch has at most this many images and bytes of pixels, but at least one image."""
FEWEST_BATCHES = 8
"""A batch is at most this part of an epoch, so that workers have something to share."""


# On a machine with fewer cores than workers, of which it warns, one sees that they do not pay.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_loader(
    suite: Suite,
    measure: Measure,
    store: Openable,
    num_workers: int,
    start: str,
    batch_size: int,
    sweep: int,
) -> None:
    """A shuffled epoch of the largest store, by workers that were started beforehand.

    In each sweep they are started once, which gives the time to the first batch, and load one epoch
    whose images are all checked.
    """
    n = suite.cutoffs[-1]
    setting = LoaderSetting(num_workers, start, batch_size)
    images = max(1, min(n, MOST_IMAGES, int(MOST_BYTES / suite.image_bytes)))
    most = max(1, min(suite.batch, images // FEWEST_BATCHES))
    batch = min(batch_size, most)
    why = why_left_out(suite.options.cache == COLD)
    if not why and batch_size < LARGE_BATCH and batch == most:
        why = f"all batches have {most} images here, however many are asked for"
    if why:
        suite.skip(Key("loader", setting.variant, store.name, n), why)
    path = suite.workspace.store(store, n)
    shape = suite.images.shape[1:]
    chance = np.random.default_rng((SEED, sweep))
    case = Case("loader", store, n, images, path, reads=True, variant=setting.variant, batch=batch)

    def draw() -> None:
        loader.order[:] = chance.permutation(n)[:images].tolist()

    def check_batch(loaded: LoadedBatch, at: int) -> int:
        """Check the batch whose images come from the place `at` on; returns where it ends."""
        read, labels = loaded.arrays()
        ids = np.array(loader.order[at : at + len(labels)])
        suite.assert_equal(read, labels, ids)
        return at + len(labels)

    def check_count(count: int) -> None:
        require(count == images, f"{count} of {images} images came")

    with (
        store.open(path, shape) as opened,
        Loader(opened, setting._replace(batch_size=batch), one_shape=bool(shape)) as loader,
    ):

        def before() -> None:
            if case.first_batch_seconds is None:
                draw()
                at = 0
                for loaded in loader.first_epoch():
                    at = check_batch(loaded, at)
                check_count(at)
                case.first_batch_seconds = loader.first_batch_seconds
            draw()

        def run() -> tuple[int, LoadedBatch]:
            count = 0
            for loaded in loader.epoch():  # a batch is freed once the next has come
                count += len(loaded.labels)
            return count, loaded

        def check(result: tuple[int, LoadedBatch]) -> None:
            count, last = result
            check_count(count)
            check_batch(last, images - len(last.labels))

        measure(case, Work(before=before, run=run, check=check, in_turns=False, few_passes=True))
