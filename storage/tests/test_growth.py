"""Stores that grow, and little address space to open them in."""

import resource
from pathlib import Path

import numpy as np
import pytest

from .. import Store, _verify
from .._batch import SLAB_BYTES
from .._checksum import Rows
from .._part import PartName
from .children import in_child
from .samples import assert_image, assert_records, pictures, stores_of_each_kind
from .trials import Trials

pytestmark = stores_of_each_kind

ROUNDS = 50
SIDES = [1, 2, 5, 16, 33, 64, 200, 1024]
NUMBERS = [1, 2, 7, 30, 100, 333, 1_000]
ROUND_BYTES = 2**20
"""Pixels in a round of the normal suite; the full trials allow 64 times as many."""
STORE_BYTES = 48 * 2**20
SPARE_BYTES = 96 * 2**20
"""Address space that a process may take beyond what it has: twice the store, and no more."""


def test_a_store_takes_whatever_is_appended_to_it(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    """Opened anew for each call: images of 1 x 1 to 1024 x 1024, one to a thousand of them."""
    random = np.random.default_rng(9)
    allowed = ROUND_BYTES * (64 if trials.full else 1)
    first_images = {}
    n = 0
    with trials.of("reopen and append", store_class.format) as tally:
        for number in range(ROUNDS):
            side = SIDES[number % len(SIDES)]
            fitting = [count for count in NUMBERS if count * side * side <= allowed]
            images = pictures(int(random.choice(fitting)), (side, side), seed=number)
            with store_class(path, "a", durable=False) as store:
                assert store.store_many(images, [number] * len(images)) == range(n, n + len(images))
                found, _ = store.read_many(range(n, n + len(images)))
                tally.add(number, "right" if np.array_equal(found, images) else "wrong")
            first_images[n] = images[0]
            n += len(images)
    with store_class(path) as store:
        assert len(store) == n
        store.verify()
        for image_id, image in first_images.items():
            assert_image(store.read_single(image_id)[0], image)


def test_a_store_is_opened_read_and_appended_to_in_little_address_space(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    images = pictures(STORE_BYTES // 2**20, (1024, 1024))
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(len(images)))

    def use() -> None:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, resource.RLIM_INFINITY))
        with store_class(path) as store:
            for i in range(len(images)):
                assert_image(store.read_single(i)[0], images[i])
            some = [7, 3, 3]
            assert_records(store.read_many(some), images[some], some)
        with store_class(path, "a", durable=False) as store:
            store.store_many(images[:4], range(4))
            assert_image(store.read_single(len(images) + 3)[0], images[3])

    in_child(use)
    with store_class(path) as store:
        assert len(store) == len(images) + 4
        store.verify()
    trials.count("little address space", store_class.format, "right", len(images) + 3)


def test_compact_and_verify_hold_a_slab_and_an_image_at_most(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the sizes in a part are: else they would take memory for many large images."""
    small, large = [*pictures(200, (1, 1))], [*pictures(8, (2048, 2048))]
    images, read = small + large + small, list[int]()
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(len(images)))
        pieces = [*store._ready().part(PartName(0, len(images))).copies()]

        def noted(_catalog: object, _name: object, ids: Rows) -> list[str]:
            read.append(len(ids))
            return []

        monkeypatch.setattr(_verify, "_unreadable", noted)
        store.verify()
    copied = [len(piece.cells) for piece in pieces]
    sizes = np.array([len(cell) for piece in pieces for cell in piece.cells])
    for lengths in (copied, read):
        assert sum(lengths) == len(images)
        starts = np.cumsum([0, *lengths[:-1]])
        assert np.add.reduceat(sizes, starts).max() < SLAB_BYTES + sizes.max()
