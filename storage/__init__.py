"""Stores for lots of images: PNG files, LMDB and HDF5 under one contract.

    with LmdbStore(path, mode="x") as store:
        ids = store.store_many(images, labels)
        image, label = store.read_single(ids[0])

See `Store` for the contract and each class's module for what lies on disk.
"""

from ._errors import (
    BusyError,
    ClosedError,
    CorruptRecordError,
    CorruptStoreError,
    DiskFullError,
    DTypeError,
    FormatError,
    ImageIdError,
    ImageIdTypeError,
    LabelError,
    LengthError,
    ReadOnlyError,
    ShapeError,
    StorageError,
    StoreExistsError,
    StoreIOError,
    StoreNotFoundError,
)
from ._files import DiskUsage, disk_usage
from ._registry import Hdf5Store, LmdbStore, PngStore, open_store
from ._store import STORES, Store

__all__ = [
    "STORES",
    "BusyError",
    "ClosedError",
    "CorruptRecordError",
    "CorruptStoreError",
    "DTypeError",
    "DiskFullError",
    "DiskUsage",
    "FormatError",
    "Hdf5Store",
    "ImageIdError",
    "ImageIdTypeError",
    "LabelError",
    "LengthError",
    "LmdbStore",
    "PngStore",
    "ReadOnlyError",
    "ShapeError",
    "StorageError",
    "Store",
    "StoreExistsError",
    "StoreIOError",
    "StoreNotFoundError",
    "disk_usage",
    "open_store",
]
