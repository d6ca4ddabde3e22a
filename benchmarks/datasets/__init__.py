"""The data sets that are measured: CIFAR-10, the user's own batches or pictures, or a stand-in."""

from .dataset import Dataset, Images, mean_bytes
from .errors import (
    ArchiveError,
    BatchError,
    ChecksumError,
    DatasetError,
    DatasetNotFoundError,
    DatasetOptionError,
    PictureError,
    UnsafeArchiveError,
    UnsafePickleError,
)
from .load import is_folder_of_pictures, load_dataset
from .pictures import PictureFile, PictureOptions, decoded

__all__ = [
    "ArchiveError",
    "BatchError",
    "ChecksumError",
    "Dataset",
    "DatasetError",
    "DatasetNotFoundError",
    "DatasetOptionError",
    "Images",
    "PictureError",
    "PictureFile",
    "PictureOptions",
    "UnsafeArchiveError",
    "UnsafePickleError",
    "decoded",
    "is_folder_of_pictures",
    "load_dataset",
    "mean_bytes",
]
