"""Finds, reads and checks the records of a batch."""

from collections.abc import Callable
from contextlib import suppress
from itertools import chain, pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from ._batch import slab_length
from ._catalog import MAX_OPEN_PARTS, Catalog, Listing
from ._checksum import Checksums, Image, Images, Labels, Rows, Shape, checksum, first_wrong
from ._errors import ShapeError
from ._gather import Gather, MappedCells
from ._index import is_run, shapes_of
from ._part import LARGE_IMAGE, PartName
from .payloads.base import Cell, in_threads, new_images, tasks

NOTHING = np.empty(0, np.uint8)


def read(catalog: Catalog, ids: Rows, check: bool) -> tuple[Images, Labels]:
    """Read the records `ids` (at least one, all present), in that order.

    Raises FileNotFoundError if a part has gone, `CorruptStoreError`, and, with `check`,
    `CorruptRecordError` if a record is not as it was stored.
    """
    if len(ids) == 1:
        image, label = catalog.read_one(int(ids[0]), check)
        return image[np.newaxis], np.array([label])
    if catalog.kind.payload.sums_cells:
        return _read_files(catalog, ids, check)
    listing = catalog.listing
    owners = listing.owners(ids)
    gather = None if is_run(ids) else catalog.gather(listing, owners)
    if gather and (shape := gather.shape_of(owners)):
        return _read_gathered(catalog, gather, ids, owners, shape, check)
    if gather and (cells := gather.cells(ids, owners)):
        with suppress(ValueError):  # read part by part, to tell which is wrong
            return _read_decoded(catalog, cells, ids, check)
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
    if not len(ids):
        return []
    different, places = np.unique(ids, return_inverse=True)  # repeats share their bytes
    if files := _files_in_memory(catalog, different, check):
        cells = [bytes(files.cell(i)) for i in range(len(different))]
        each = [*zip(cells, files.shapes, files.labels.tolist(), strict=True)]
    else:
        found = (_file(catalog, image_id, check) for image_id in different.tolist())
        each = [(bytes(cell), shape, label) for cell, shape, label in found]
    return [each[i] for i in places.tolist()]


class Files(NamedTuple):
    """Records whose checksums are of their cells; cell: reads and checks that at a position."""

    labels: Labels
    shapes: list[Shape]
    cell: Callable[[int], Cell]


def _file(catalog: Catalog, image_id: int, check: bool) -> tuple[Cell, Shape, int]:
    """The cell, shape and label of a record whose checksum is of its cell; raises as `read`."""
    name = catalog.listing.name_of(image_id)
    return catalog.part(name).file(image_id - name.first, check)


def _files_in_memory(catalog: Catalog, ids: Rows, check: bool) -> Files | None:
    """The records `ids`, in any order, if their cells are mapped; raises as `read`."""
    listing = catalog.listing
    owners = listing.owners(ids)
    gather = None if is_run(ids) else catalog.gather(listing, owners)
    if not gather or not (cells := gather.cells(ids, owners)):
        return None
    try:
        shapes = shapes_of(cells.records)
    except ShapeError:  # reading by part tells the id
        return None
    labels, stored = cells.records["label"].copy(), cells.records["checksum"].tolist()
    known = [*zip(ids.tolist(), labels.tolist(), shapes, strict=True)]

    def cell(i: int) -> Cell:
        found = cells.cell(i)
        if check and checksum(*known[i], found) != stored[i]:  # read alone, to tell what is wrong
            return _file(catalog, known[i][0], check)[0]
        return found

    return Files(labels, shapes, cell)


def _files(catalog: Catalog, ids: Rows, check: bool) -> Files:
    """The records `ids`; raises as `read`."""
    if files := _files_in_memory(catalog, ids, check):
        return files
    listing = catalog.listing
    order = np.argsort(ids, kind="stable")
    labels, shapes, held = np.empty(len(ids), np.int64), dict[int, Shape](), dict[int, Cell]()
    groups = _groups(listing.owners(ids[order]), 0, len(ids))
    for owner, where in groups:
        part, some = catalog.part(listing.names[owner]), order[where]
        rows = ids[some] - part.first
        labels[some] = part.index.records(rows)["label"]
        shapes.update(zip(some.tolist(), part.index.shapes(rows), strict=True))
        if len(groups) > MAX_OPEN_PARTS and not is_run(ids):  # else it is opened twice
            read = (part.file(row, check)[0] for row in rows.tolist())
            held.update(zip(some.tolist(), read, strict=True))

    def cell(i: int) -> Cell:
        if i in held:
            return held.pop(i)
        return _file(catalog, int(ids[i]), check)[0]

    return Files(labels, [shapes[i] for i in range(len(ids))], cell)


def _read_files(catalog: Catalog, ids: Rows, check: bool) -> tuple[Images, Labels]:
    """As `read`, for records whose checksums are of their cells."""
    labels, shapes, cell = _files(catalog, ids, check)
    payload, sizes = catalog.kind.payload, [*map(prod, shapes)]
    images, has_memory = _memory_for(shapes)

    def decode(i: int) -> None:
        out = images[i] if has_memory else None
        try:
            image = payload.image(cell(i), shapes[i], out)
        except ValueError:  # read alone, which tells what is wrong
            image, _ = catalog.read_one(int(ids[i]), check)
        if image is not out:
            images[i] = image

    in_threads(decode, np.argsort(ids, kind="stable").tolist(), sum(sizes) // len(ids))
    return images if has_memory or len({*shapes}) > 1 else np.stack([*images]), labels


def _memory_for(shapes: list[Shape]) -> tuple[Images, bool]:
    """Memory for images, and whether there is some: else each gets its own when it is decoded.

    So do large ones, since a shape may be no more than a claim.
    """
    if max(map(prod, shapes)) <= LARGE_IMAGE:
        with suppress(MemoryError):
            return new_images(shapes), True
    return [NOTHING] * len(shapes), False


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


def _read_decoded(
    catalog: Catalog, cells: MappedCells, ids: Rows, check: bool
) -> tuple[Images, Labels]:
    """Read ids, in any order, whose cells are decoded; raises ValueError if one is wrong."""
    labels, stored = cells.records["label"].copy(), cells.records["checksum"]
    payload, shapes = catalog.kind.payload, shapes_of(cells.records)
    sizes = [*map(prod, shapes)]
    for i in [i for i, size in enumerate(sizes) if size > LARGE_IMAGE]:
        payload.check_size(shapes[i], int(cells.records["size"][i]))
    images, mean = new_images(shapes), sum(sizes) // len(ids)

    def decode(some: slice) -> None:
        payload.decode_all(cells.read(some), images[some])
        if check and first_wrong(ids[some], labels[some], stored[some], images[some]) is not None:
            raise ValueError("a checksum does not match")

    in_threads(decode, tasks(len(ids), mean), mean)
    return images, labels


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
        return new_images(shapes), min(map(slab_length, {*shapes}))
    return np.empty((sum(len(ids) for _, ids in groups), *shape), np.uint8), slab_length(shape)
