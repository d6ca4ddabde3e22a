"""Everything that is wrong with a store, found by reading all of it."""

from collections.abc import Iterator

import numpy as np

from ._batch import SLAB_BYTES
from ._catalog import COUNT, PART, Catalog
from ._checksum import Rows
from ._errors import BusyError, CorruptStoreError, printable
from ._files import Folder
from ._index import INDEX
from ._part import PartName
from ._reading import read
from ._session import strangers

WRONG = (CorruptStoreError, FileNotFoundError)
AT_ONCE = 1024
"""At most so many records are read together; where they cannot be, the wrong ones are found by halving."""


def problems(catalog: Catalog, length: int) -> list[str | BusyError]:
    """One line for each thing that is wrong with a store of `length` images, each once.

    A file that another program has open is no such thing: its error stands for it.

    Raises FileNotFoundError where a part has been joined to others meanwhile.
    """
    listed = catalog.folder.names()
    strays = strangers(listed, lambda name: PART.fullmatch(name) or COUNT.fullmatch(name))
    found: list[str | BusyError] = [
        f"{printable(name)} does not belong to the store" for name in strays
    ]
    # Two listings, since a long one may meet a count that is just being renamed.
    counts = [len([*filter(COUNT.fullmatch, names)]) for names in (listed, catalog.folder.names())]
    if 1 not in counts:
        mend = "open it once with mode='a' to repair that"
        found.append(f"has {counts[1]} files named count-… instead of one; {mend}")
    for name in catalog.listing.names:
        if name.first < length:
            found += _of_part(catalog, name, min(name.stop, length))
    return list(dict.fromkeys(found))


def _of_part(catalog: Catalog, name: PartName, stop: int) -> Iterator[str | BusyError]:
    """What is wrong with a part, of which the records before `stop` are this store's."""
    container = catalog.kind.container
    try:
        folder = Folder(name.folder, catalog.folder)
        known = {INDEX, *container.files(name.first, name.stop)}
        for stray in sorted(set(folder.names()) - known):
            yield f"{name.folder}/{printable(stray)} does not belong to the store"
        index = catalog.part(name).index
    except WRONG as error:
        reason = _reason(catalog, name, error)
        yield f"images {name.first} to {stop - 1} cannot be read: {reason}"
        return
    for check in (index.check_table, lambda: container.check(folder, index)):
        try:
            check()
        except BusyError as error:
            yield error
        except WRONG as error:
            yield _reason(catalog, name, error)
    at_once = max(1, min(AT_ONCE, SLAB_BYTES * index.length // index.cell_bytes))
    for first in range(name.first, stop, at_once):
        yield from _unreadable(catalog, name, np.arange(first, min(first + at_once, stop)))


def _unreadable(catalog: Catalog, name: PartName, ids: Rows) -> Iterator[str]:
    """Each of `ids` that cannot be read, and why."""
    try:
        read(catalog, ids, check=True)
    except WRONG as error:
        if len(ids) == 1:
            yield _reason(catalog, name, error)  # the same for each image of a lost block
            return
        for half in np.array_split(ids, 2):
            yield from _unreadable(catalog, name, half)


def _reason(catalog: Catalog, name: PartName, error: OSError) -> str:
    """What `error` says; raises it where the whole part is no longer there."""
    if isinstance(error, CorruptStoreError):
        return str(error)
    if name.folder not in catalog.folder.names():
        raise error
    return f"{error.filename} is missing"
