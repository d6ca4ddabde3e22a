"""Reading: one image, or all images of a store, with opening and closing.

Warm rows take no turns: in turns, their ratios differed from run to run by more than a run's sweeps
show (benchmarks/report/README.md).
"""

from itertools import cycle

import numpy as np

from benchmarks.contenders.base import Contender, Image
from benchmarks.harness.protocol import RoundPart, Work, images_of_part
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.harness.workspace import ids_read_singly


def test_read_single(
    suite: Suite, measure: Measure, contender: Contender, n: int, cold: bool, sweep: int
) -> None:
    """Open, read one image by id, close: viewing one image, or a service's first request.

    A sweep reads one id, since rows make different numbers of rounds, and pictures differ in size.
    """
    path = suite.workspace.store(contender, n)
    shape = suite.images.shape[1:]
    ids = ids_read_singly(n)
    if suite.options.sweeps > 1:
        ids = [ids[sweep % len(ids)]]
    coming = cycle(ids)

    def rewind() -> None:
        nonlocal coming
        coming = cycle(ids)

    def run() -> tuple[int, tuple[Image, int]]:
        image_id = next(coming)
        return image_id, contender.read_single(path, image_id, shape)

    def check(result: tuple[int, tuple[Image, int]]) -> None:
        image_id, (image, label) = result
        suite.assert_equal(image[np.newaxis], np.array([label]), np.array([image_id]))

    measure(
        Case("read_single", contender, n, images=1, path=path, reads=True, cold=cold),
        Work(run, check, rewind=rewind, in_turns=cold),
    )


def test_read_many(
    suite: Suite, measure: Measure, contender: Contender, n: int, cold: bool
) -> None:
    """Open, read all n images into one array, close: loading a data set that fits in memory."""
    suite.require_memory(contender, n, cold)
    path = suite.workspace.store(contender, n)
    shape = (n, *suite.images.shape[1:])
    part = None
    if few := images_of_part(n, suite.image_bytes):
        small = suite.workspace.store(contender, few)
        part = RoundPart(lambda: contender.read_many(small, (few, *shape[1:])), few / n)
    measure(
        Case("read_many", contender, n, images=n, path=path, reads=True, cold=cold),
        Work(
            run=lambda: contender.read_many(path, shape),
            check=lambda result: suite.assert_equal(*result, slice(0, n)),
            part=part,
            in_turns=cold,
        ),
    )
