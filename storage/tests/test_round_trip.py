"""What any images and labels are stored as is what is read, bit for bit, in every store."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from .. import Store
from .samples import INT64_LIMITS, Image, assert_image, assert_records, each_store

# How long an example takes depends on the disk.
unhurried = settings(deadline=None)

sides = st.integers(1, 12)
shapes = st.tuples(sides, sides) | st.tuples(sides, sides, st.integers(1, 4))
one_image = shapes.flatmap(lambda shape: npst.arrays(np.uint8, shape))
any_label = st.integers(*INT64_LIMITS)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Image, list[int]]:
    """One array of images of any one shape, and as many labels."""
    images = draw(
        st.builds(lambda n, shape: (n, *shape), st.integers(1, 30), shapes).flatmap(
            lambda shape: npst.arrays(np.uint8, shape)
        )
    )
    return images, draw(st.lists(any_label, min_size=len(images), max_size=len(images)))


records = st.lists(st.tuples(one_image, any_label), min_size=1, max_size=12)


def any_order(data: st.DataObject, n: int) -> list[int]:
    return data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=40), label="ids")


@each_store
@unhurried
@given(batch=batches(), data=st.data())
def test_an_array(
    store_class: type[Store], batch: tuple[Image, list[int]], data: st.DataObject
) -> None:
    images, labels = batch
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        with store_class(path, "x", durable=False) as store:
            store.store_many(images, labels)
        with store_class(path) as store:
            assert_records(store.read_many(), images, labels)
            assert store.labels.tolist() == labels
            ids = any_order(data, len(images))
            assert_records(store.read_many(ids), images[ids], [labels[i] for i in ids])
            store.verify()


@each_store
@unhurried
@given(given_records=records, as_iterator=st.booleans(), data=st.data())
def test_images_of_any_shapes(
    store_class: type[Store],
    given_records: list[tuple[Image, int]],
    as_iterator: bool,
    data: st.DataObject,
) -> None:
    images = [image for image, _ in given_records]
    labels = [label for _, label in given_records]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        with store_class(path, "x", durable=False) as store:
            store.store_many(iter(images) if as_iterator else images, labels)
        with store_class(path) as store:
            assert_records(store.read_many(), images, labels)
            assert store.labels.tolist() == labels
            ids = any_order(data, len(images))
            assert_records(store.read_many(ids), [images[i] for i in ids], [labels[i] for i in ids])
            store.verify()


@each_store
@unhurried
@given(given_records=records, compacted=st.booleans())
def test_images_stored_one_by_one(
    store_class: type[Store], given_records: list[tuple[Image, int]], compacted: bool
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        with store_class(path, "x", durable=False) as store:
            ids = [store.store_single(image, label) for image, label in given_records]
            if compacted:
                store.compact()
        assert ids == [*range(len(given_records))]
        with store_class(path) as store:
            for i, (image, label) in enumerate(given_records):
                found, found_label = store.read_single(i)
                assert_image(found, image)
                assert found_label == label
            store.verify()
