"""The stores: each class is a container and a payload. To add a store, add a class here."""

import os

from ._encoded import EncodedStore
from ._errors import FormatError, os_errors, printable
from ._files import StrPath
from ._header import StoreFolder
from ._session import Mode
from ._store import STORES, Store
from .containers.files import FilesContainer
from .containers.hdf5 import Hdf5Container
from .containers.lmdb import LmdbContainer
from .containers.npy import NpyContainer
from .payloads.encoded import EncodedPayload
from .payloads.png import PngPayload
from .payloads.raw import RawPayload


class PngStore(Store, name="png", container=FilesContainer(".png"), payload=PngPayload()):
    """Images as PNG files; see `Store`."""


class LmdbStore(Store, name="lmdb", container=LmdbContainer(), payload=RawPayload()):
    """Pixels in LMDB files; see `Store`."""


class Hdf5Store(Store, name="hdf5", container=Hdf5Container(), payload=RawPayload()):
    """Pixels in HDF5 files; see `Store`."""


class NpyStore(Store, name="npy", container=NpyContainer(), payload=RawPayload()):
    """Pixels in files of NumPy's own format; see `Store`."""


class LmdbPngStore(Store, name="lmdb-png", container=LmdbContainer(), payload=PngPayload()):
    """PNGs in LMDB files; see `Store`."""


class Hdf5PngStore(Store, name="hdf5-png", container=Hdf5Container(), payload=PngPayload()):
    """PNGs in HDF5 files; see `Store`."""


class FilesEncodedStore(
    EncodedStore, name="files-encoded", container=FilesContainer(".image"), payload=EncodedPayload()
):
    """Your own image files, one by one; see `EncodedStore`."""


class LmdbEncodedStore(
    EncodedStore, name="lmdb-encoded", container=LmdbContainer(), payload=EncodedPayload()
):
    """Your own image files in LMDB files; see `EncodedStore`."""


class Hdf5EncodedStore(
    EncodedStore, name="hdf5-encoded", container=Hdf5Container(), payload=EncodedPayload()
):
    """Your own image files in HDF5 files; see `EncodedStore`."""


def open_store(
    path: StrPath, mode: Mode = "r", *, durable: bool = True, verify: bool = True
) -> Store:
    """Open an existing store of any format; see `Store` for the arguments and errors."""
    shown = printable(os.fspath(path))
    with os_errors(shown):
        name = StoreFolder(os.fspath(path)).header().format
    if name not in STORES:
        raise FormatError(f"{shown}: a store of format {name!r}; this release has {[*STORES]}")
    return STORES[name](path, mode, durable=durable, verify=verify)
