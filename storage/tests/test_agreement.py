"""All stores and a plain list are led through the same calls together, and agree after each."""

# Some arguments are of wrong types on purpose.
# mypy: disable-error-code="arg-type, list-item"

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from .. import STORES, LengthError, Store
from .samples import INT64_LIMITS, Image, assert_image, assert_records, pictures

sides = st.integers(1, 6)
# Few shapes, so that neighbours often have the same one.
shapes = st.sampled_from([(2, 3), (2, 3, 1), (4, 4, 3), (1, 5, 2)]) | st.tuples(sides, sides)
# Noise: hypothesis takes longer to draw each pixel than the stores to keep them.
one_image = st.builds(lambda shape, seed: pictures(1, shape, seed)[0], shapes, st.integers(0, 255))
any_label = st.integers(-3, 3) | st.integers(*INT64_LIMITS)
records = st.lists(st.tuples(one_image, any_label), min_size=1, max_size=6)

Record = tuple[Image, int]


def split(chosen: list[Record]) -> tuple[list[Image], list[int]]:
    return [image for image, _ in chosen], [label for _, label in chosen]


class Agreement(RuleBasedStateMachine):
    """One store of each kind in a directory of its own, and `model`, what all of them hold."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.model: list[Record] = []
        self.commits = {0}  # the lengths that the model had between calls
        self.readers: list[tuple[Store, int]] = []
        self.stores = self.opened("x")

    def path(self, name: str) -> Path:
        return Path(self.folder.name) / name

    def opened(self, mode: str) -> list[Store]:
        assert mode in ("x", "a")
        return [
            kind(self.path(name), "x" if mode == "x" else "a", durable=False)
            for name, kind in STORES.items()
        ]

    def teardown(self) -> None:
        for store in (*self.stores, *(reader for reader, _ in self.readers)):
            store.close()
        for name, kind in STORES.items():
            with kind(self.path(name)) as store:
                store.verify()
                assert_records_of(store, self.model)
        self.folder.cleanup()

    def stored(self, new: list[Record]) -> range:
        start = len(self.model)
        self.model += [(image.copy(), label) for image, label in new]
        self.commits.add(len(self.model))
        return range(start, len(self.model))

    # ---- storing -------------------------------------------------------------------------------

    @rule(target=ids, image=one_image, label=any_label)
    def store_single(self, image: Image, label: int) -> int:
        (expected,) = self.stored([(image, label)])
        assert [store.store_single(image, label) for store in self.stores] == [expected] * len(
            STORES
        )
        return expected

    @rule(target=ids, new=records, form=st.sampled_from([list, tuple, iter]))
    def store_many(self, new: list[Record], form: type) -> object:
        images, labels = split(new)
        expected = self.stored(new)
        for store in self.stores:
            assert store.store_many(form(images), labels) == expected
        return multiple(*expected)

    @rule(target=ids, image=one_image, labels=st.lists(any_label, min_size=1, max_size=8))
    def store_array(self, image: Image, labels: list[int]) -> object:
        images = np.stack([image + np.uint8(i) for i in range(len(labels))])
        expected = self.stored(list(zip(images, labels, strict=True)))
        for store in self.stores:
            assert store.store_many(images, np.array(labels)) == expected
        return multiple(*expected)

    @rule(new=records, form=st.sampled_from([list, iter]), surplus=st.integers(1, 2))
    def store_too_few_labels(self, new: list[Record], form: type, surplus: int) -> None:
        images, labels = split(new)
        for store in self.stores:
            with pytest.raises(LengthError):
                store.store_many(form(images), labels[:-surplus])
            with pytest.raises(LengthError):
                store.store_many(form(images), labels + [0] * surplus)

    @rule(
        new=records, wrong=st.sampled_from([np.zeros((2, 2), np.int8), np.zeros(4, np.uint8), "x"])
    )
    def store_what_cannot_be(self, new: list[Record], wrong: object) -> None:
        images, labels = split(new)
        for store in self.stores:
            for form in (list, iter):
                with pytest.raises((TypeError, ValueError)):
                    store.store_many(form([*images, wrong]), [*labels, 0])
            with pytest.raises(TypeError):
                store.store_many(images, [*labels[:-1], "0"])

    # ---- reading -------------------------------------------------------------------------------

    @rule(image_id=ids)
    def read_single(self, image_id: int) -> None:
        image, label = self.model[image_id]
        for store in self.stores:
            found, found_label = store.read_single(image_id)
            assert_image(found, image)
            assert found_label == label

    @rule(batch=st.lists(ids, min_size=1, max_size=24))
    def read_batch(self, batch: list[int]) -> None:
        images, labels = split([self.model[i] for i in batch])
        for store in self.stores:
            assert_records(store.read_many(batch), images, labels)

    @rule(start=ids, stop=ids)
    def read_slice(self, start: int, stop: int) -> None:
        images, labels = split(self.model[start : stop + 1])
        for store in self.stores:
            found = store[start : stop + 1]
            if images:
                assert_records(found, images, labels)
            else:
                assert len(found[0]) == len(found[1]) == 0

    @rule(beyond=st.integers(0, 2**64), batch=st.lists(ids, max_size=12))
    def read_missing(self, beyond: int, batch: list[int]) -> None:
        for store in self.stores:
            for image_id in (len(self.model) + beyond, -1 - beyond):
                with pytest.raises(IndexError):
                    store.read_single(image_id)
                with pytest.raises(IndexError):
                    store.read_many([*batch, image_id])

    @precondition(lambda self: self.model)
    @rule()
    def read_all(self) -> None:
        for store in self.stores:
            assert_records_of(store, self.model)

    # ---- opening, compacting -------------------------------------------------------------------

    @rule()
    def reopen(self) -> None:
        for store in self.stores:
            store.close()
        self.stores = self.opened("a")

    @rule()
    def compact(self) -> None:
        for store in self.stores:
            store.compact()

    @rule()
    def verify(self) -> None:
        for store in self.stores:
            store.verify()

    @precondition(lambda self: len(self.readers) < 2 * len(STORES))
    @rule()
    def open_readers(self) -> None:
        for name, kind in STORES.items():
            reader = kind(self.path(name))
            assert len(reader) == len(self.model)
            self.readers.append((reader, len(self.model)))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def read_from_readers(self, data: st.DataObject) -> None:
        """However old they are, and whatever has been appended and compacted since."""
        for reader, length in self.readers:
            assert len(reader) == length
            assert length in self.commits
            assert_records_of(reader, self.model[:length])
            if length:
                one = st.integers(0, length - 1)
                batch = data.draw(st.lists(one, min_size=1, max_size=20))
                images, labels = split([self.model[i] for i in batch])
                assert_records(reader.read_many(batch), images, labels)
            with pytest.raises(IndexError):
                reader.read_single(length)

    @precondition(lambda self: self.readers)
    @rule()
    def close_readers(self) -> None:
        for reader, _ in self.readers:
            reader.verify()
            reader.close()
        self.readers = []

    @invariant()
    def lengths_and_labels_agree(self) -> None:
        _, labels = split(self.model)
        for store in self.stores:
            assert len(store) == len(self.model)
            assert store.labels.tolist() == labels


def assert_records_of(store: Store, expected: list[Record]) -> None:
    images, labels = split(expected)
    found = store.read_many()
    if expected:
        assert_records(found, images, labels)
    else:
        assert len(found[0]) == len(found[1]) == 0


TestAgreement = Agreement.TestCase
# How long a step takes depends on the disk. An example has up to fifty, each taken in every store:
# fewer examples than of other properties, a quarter in a usual run and half in the nightly one.
USUAL = 50
TestAgreement.settings = settings(
    deadline=None,
    max_examples=settings().max_examples // (4 if settings().max_examples <= USUAL else 2),
)
