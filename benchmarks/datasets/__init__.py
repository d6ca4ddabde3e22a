"""The data sets that are measured: CIFAR-10, the user's own batches, or a stand-in."""

from .dataset import Dataset
from .errors import (
    ArchiveError,
    BatchError,
    ChecksumError,
    DatasetError,
    DatasetNotFoundError,
    DatasetOptionError,
    UnsafeArchiveError,
    UnsafePickleError,
)
from .load import load_dataset

__all__ = [
    "ArchiveError",
    "BatchError",
    "ChecksumError",
    "Dataset",
    "DatasetError",
    "DatasetNotFoundError",
    "DatasetOptionError",
    "UnsafeArchiveError",
    "UnsafePickleError",
    "load_dataset",
]
