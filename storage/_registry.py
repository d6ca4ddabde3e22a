"""The stores there are. To add one: its module, and its line here."""

import os
import pkgutil
from pathlib import Path

from ._base import Mode, Store, read_header
from ._errors import FormatError, os_errors

STORES: dict[str, type[Store]] = {
    store.format: store
    for store in map(
        pkgutil.resolve_name,
        (
            "storage._png:PngStore",
            "storage._lmdb:LmdbStore",
            "storage._hdf5:Hdf5Store",
        ),
    )
}
"""The class of each format, by name."""


def open_store(
    path: str | os.PathLike[str], mode: Mode = "r", *, durable: bool = True, verify: bool = True
) -> Store:
    """Open an existing store whose format only its header knows; see `Store`.

    Raises `StoreNotFoundError`, `FormatError` and what the store's class raises.
    """
    with os_errors(path):
        name, _ = read_header(Path(path))
    if name not in STORES:
        raise FormatError(f"{path}: a store of format {name!r}; this release has {[*STORES]}")
    return STORES[name](path, mode, durable=durable, verify=verify)
