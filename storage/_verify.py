"""Finds everything that is wrong with a store by reading all of it."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ._batch import SLAB_BYTES
from ._catalog import COUNT, PART, Catalog, strangers
from ._checksum import Rows
from ._errors import BusyError, CorruptStoreError, printable
from ._files import Folder
from ._index import INDEX
from ._names import NAMES
from ._part import PartName
from ._progress import Progress, advance
from ._reading import read, read_cells

WRONG = (CorruptStoreError, FileNotFoundError)
AT_ONCE = 1024
"""At most this many records are read together. If that fails, halving finds the wrong ones."""


def problems(catalog: Catalog, length: int, progress: Progress) -> list[str | BusyError]:
    """One line for each problem of a store of `length` images, each once.

    A file that another program has open gives its `BusyError` instead. Raises FileNotFoundError if
    a part was joined to others meanwhile.
    """
    listed = catalog.folder.names()
    catalog.folder.refuse_replaced()
    strays = strangers(listed, lambda name: PART.fullmatch(name) or COUNT.fullmatch(name))
    found: list[str | BusyError] = [
        f"{printable(name)} does not belong to the store; remove it" for name in strays
    ]
    # Two listings, since the count may be renamed during one.
    counts = [len([*filter(COUNT.fullmatch, names)]) for names in (listed, catalog.folder.names())]
    if 1 not in counts:
        mend = "open it once with mode='a' to repair that"
        found.append(f"has {counts[1]} files named count-… instead of one; {mend}")
    ticks = iter(progress(range(length)))
    for name in catalog.listing.names:
        if name.first < length:
            found += problems_of(catalog, name, min(name.stop, length), ticks)
    advance(ticks, length)  # of parts that cannot be read
    return list(dict.fromkeys(found))


def problems_of(
    catalog: Catalog, name: PartName, stop: int, ticks: Iterator[int]
) -> Iterator[str | BusyError]:
    """The problems of a part; of its records, only those before `stop` count.

    ticks: is taken from for each image that was read
    """
    container = catalog.kind.container
    try:
        folder = Folder(name.folder, catalog.folder)
        index = catalog.index(name)
        known = {INDEX, *[NAMES] * index.has_names, *container.files(name.first, name.stop)}
        for stray in sorted(set(folder.names()) - known):
            yield f"{name.folder}/{printable(stray)} does not belong to the store; remove it"
        catalog.part(name)
    except WRONG as error:
        reason = _reason(catalog, name, error)
        yield f"images {name.first} to {stop - 1} cannot be read: {reason}"
        return
    names, cells = partial(catalog.names_of, name), partial(container.check, folder, index)
    for check in (index.check_table, names, cells):
        try:
            check()
        except BusyError as error:
            yield error
        except WRONG as error:
            yield _reason(catalog, name, error)
    for rows in index.slabs(SLAB_BYTES):
        ids = rows[rows < stop - name.first] + name.first
        for start in range(0, len(ids), AT_ONCE):
            yield from _unreadable(catalog, name, some := ids[start : start + AT_ONCE])
            advance(ticks, len(some))


def _unreadable(catalog: Catalog, name: PartName, ids: Rows) -> Iterator[str]:
    """Yield the reason for each of `ids` that cannot be read."""
    # Files are not decoded: they are whole if their bytes are, and their pixels may fill the memory.
    read_all = read_cells if catalog.kind.payload.sums_cells else read
    try:
        read_all(catalog, ids, check=True)
    except WRONG as error:
        if len(ids) == 1:
            reason = _reason(catalog, name, error)  # the same for each image of a lost block
            is_told = isinstance(error, CorruptStoreError)
            yield reason if is_told else f"image {ids[0]} cannot be read: {reason}"
            return
        for half in np.array_split(ids, 2):
            yield from _unreadable(catalog, name, half)


def _reason(catalog: Catalog, name: PartName, error: OSError) -> str:
    """The text of `error`; raises it if the whole part has gone."""
    if isinstance(error, CorruptStoreError):
        return str(error)
    if name.folder not in catalog.folder.names():
        raise error
    return f"{error.filename} is missing"
