"""Stores for lots of images, as pixels or as the files they came in, under one contract.

    with LmdbStore(path, mode="x") as store:
        ids = store.store_many(images, labels)
        image, label = store.read_single(ids[0])

See `Store` for the contract and each container's module for what lies on disk.
"""

from ._encoded import EncodedStore as EncodedStore
from ._errors import BusyError as BusyError
from ._errors import ClosedError as ClosedError
from ._errors import CorruptRecordError as CorruptRecordError
from ._errors import CorruptStoreError as CorruptStoreError
from ._errors import DiskFullError as DiskFullError
from ._errors import DTypeError as DTypeError
from ._errors import ExecutorError as ExecutorError
from ._errors import FolderError as FolderError
from ._errors import FormatError as FormatError
from ._errors import ImageFileError as ImageFileError
from ._errors import ImageIdError as ImageIdError
from ._errors import ImageIdTypeError as ImageIdTypeError
from ._errors import LabelError as LabelError
from ._errors import LengthError as LengthError
from ._errors import ReadOnlyError as ReadOnlyError
from ._errors import ShapeError as ShapeError
from ._errors import StorageError as StorageError
from ._errors import StoreExistsError as StoreExistsError
from ._errors import StoreIOError as StoreIOError
from ._errors import StoreNotFoundError as StoreNotFoundError
from ._files import DiskUsage as DiskUsage
from ._files import disk_usage as disk_usage
from ._registry import FilesEncodedStore as FilesEncodedStore
from ._registry import Hdf5EncodedStore as Hdf5EncodedStore
from ._registry import Hdf5PngStore as Hdf5PngStore
from ._registry import Hdf5Store as Hdf5Store
from ._registry import LmdbEncodedStore as LmdbEncodedStore
from ._registry import LmdbPngStore as LmdbPngStore
from ._registry import LmdbStore as LmdbStore
from ._registry import NpyStore as NpyStore
from ._registry import PngStore as PngStore
from ._registry import open_store as open_store
from ._store import STORES as STORES
from ._store import Store as Store
from .conversion import Converted as Converted
from .conversion import convert as convert
