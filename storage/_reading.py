"""Finds, reads and checks the records of a batch."""

from itertools import chain, pairwise
from math import prod

import numpy as np

from ._batch import slab_length
from ._catalog import Catalog, Listing
from ._checksum import Checksums, Image, Images, Labels, Rows, Shape, first_wrong
from ._gather import Gather
from ._index import is_run
from ._part import LARGE_IMAGE, Part, PartName
from .payloads.base import in_threads

NOTHING = np.empty(0, np.uint8)


def read(catalog: Catalog, ids: Rows, check: bool) -> tuple[Images, Labels]:
    """Read the records `ids` (at least one, all present), in that order.

    Raises FileNotFoundError if a part has gone, `CorruptStoreError`, and, with `check`,
    `CorruptRecordError` if a record is not as it was stored.
    """
    if len(ids) == 1:
        image, label = catalog.read_one(int(ids[0]), check)
        return image[np.newaxis], np.array([label])
    listing = catalog.listing
    if catalog.kind.payload.sums_cells:
        return _read_files(catalog, listing, ids, check)
    owners = listing.owners(ids)
    gather = None if is_run(ids) else catalog.gather(listing, owners)
    if gather and (shape := gather.shape_of(owners)):
        return _read_gathered(catalog, gather, ids, owners, shape, check)
    if (np.diff(owners) >= 0).all():
        return _read_by_part(catalog, listing, ids, owners, check)
    order = np.argsort(owners, kind="stable")
    images, labels = _read_by_part(catalog, listing, ids[order], owners[order], check)
    places = np.argsort(order)
    ordered = [images[i] for i in places] if isinstance(images, list) else images[places]
    return ordered, labels[places]


def read_cells(catalog: Catalog, ids: Rows, check: bool) -> list[tuple[bytes, Shape, int]]:
    """The cells of the records `ids`, with the shapes of their images and labels; raises as `read`.

    Their checksums are of their cells.
    """
    listing, cells = catalog.listing, dict[int, tuple[bytes, Shape, int]]()
    for image_id in np.unique(ids).tolist():  # part by part
        name = listing.name_of(image_id)
        cell, shape, label = catalog.part(name).file(image_id - name.first, check)
        cells[image_id] = bytes(cell), shape, label
    return [cells[image_id] for image_id in ids.tolist()]


def _read_files(
    catalog: Catalog, listing: Listing, ids: Rows, check: bool
) -> tuple[Images, Labels]:
    """As `read`, for records whose checksums are of their cells."""
    n, order = len(ids), np.argsort(ids, kind="stable")
    labels, shapes = np.empty(n, np.int64), list[Shape]()
    groups = _groups(listing.owners(ids[order]), 0, n)
    for owner, where in groups:
        index, some = catalog.part(name := listing.names[owner]).index, order[where]
        labels[some] = index.records(rows := ids[some] - name.first)["label"]
        shapes += index.shapes(rows)
    size, (shape, *others) = sum(map(prod, shapes)) // n, {*shapes}
    # A large image gets memory only when it is decoded: its shape may be no more than a claim.
    at_once = not others and size <= LARGE_IMAGE
    images: Images = np.empty((n, *shape), np.uint8) if at_once else [NOTHING] * n

    for owner, where in groups:
        part = catalog.part(listing.names[owner])

        def decode(i: int, part: Part = part) -> None:
            images[i] = part.decoded(int(ids[i]) - part.first, check)

        in_threads(decode, order[where].tolist(), size)
    return images if at_once or others else np.stack([*images]), labels


def _groups(owners: Rows, start: int, stop: int) -> list[tuple[int, slice]]:
    """Split positions where the owner changes; returns each run's owner and its positions."""
    inner = np.flatnonzero(np.diff(owners[start:stop])) + (start + 1)
    cuts = [start, *inner.tolist(), stop]
    return [(int(owners[cut]), slice(cut, end)) for cut, end in pairwise(cuts)]


def _read_gathered(
    catalog: Catalog, gather: Gather, ids: Rows, owners: Rows, shape: Shape, check: bool
) -> tuple[Image, Labels]:
    """Read ids, in any order, of images of one shape, of parts that the gather knows."""
    records = gather.records(ids, owners)
    labels, stored = records["label"].copy(), records["checksum"]
    slabs, step = list[Image](), slab_length(shape)
    for start in range(0, len(ids), step):
        some = slice(start, start + step)
        slabs.append(gather.images(ids[some], shape))
        if check:  # while the pixels are in the processor's cache
            _check(catalog, ids[some], labels[some], stored[some], slabs[-1])
    return (slabs[0] if len(slabs) == 1 else np.concatenate(slabs)), labels


def _check(catalog: Catalog, ids: Rows, labels: Labels, stored: Checksums, images: Images) -> None:
    """Raise `CorruptRecordError` for the first record that is not as it was stored."""
    if (wrong := first_wrong(ids, labels, stored, images)) is not None:
        name = catalog.listing.name_of(wrong)
        raise catalog.index(name).wrong(wrong - name.first)


def _read_by_part(
    catalog: Catalog, listing: Listing, ids: Rows, owners: Rows, check: bool
) -> tuple[Images, Labels]:
    """Read ids that are grouped by part; owners: the position of each id's part in the listing."""
    names, n = listing.names, len(ids)
    images, step = _new_images(catalog, [(names[o], ids[w]) for o, w in _groups(owners, 0, n)])
    labels, stored = np.empty(n, np.int64), np.empty(n, np.uint64)
    for start in range(0, n, step):
        stop = min(start + step, n)
        for owner, where in _groups(owners, start, stop):
            part = catalog.part(names[owner])
            rows = ids[where] - part.first
            records = part.index.records(rows)
            labels[where], stored[where] = records["label"], records["checksum"]
            part.fill(rows, images[where])
        if check:  # while the pixels are in the processor's cache
            some = slice(start, stop)
            _check(catalog, ids[some], labels[some], stored[some], images[some])
    return images, labels


def _new_images(catalog: Catalog, groups: list[tuple[PartName, Rows]]) -> tuple[Images, int]:
    """Allocate the images of some ids of each part; also returns how many to read at a time."""
    shape, *others = {catalog.part(name).index.shape for name, _ in groups}
    if others or shape is None or prod(shape) > LARGE_IMAGE:
        every = [catalog.part(name).shapes(ids - name.first) for name, ids in groups]
        shapes = [*chain.from_iterable(every)]
        shape, *different = {*shapes}
        if different:
            step = min(map(slab_length, {shape, *different}))
            return [np.empty(shape, np.uint8) for shape in shapes], step
    return np.empty((sum(len(ids) for _, ids in groups), *shape), np.uint8), slab_length(shape)
