"""CIFAR-10's batches: checking each, and joining them in order."""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import BatchError
from .unpickle import load_batch

CHANNELS, SIDE, CLASSES = 3, 32, 10
ROW_BYTES = CHANNELS * SIDE * SIDE  # all red values row by row, then green, then blue
BATCH_NAMES = tuple(f"data_batch_{i}" for i in range(1, 6))  # the training set, in numeric order
FOLDER = "cifar-10-batches-py"
MAX_BATCH_BYTES = 64 << 20  # twice an official batch; bounds the memory a file can ask for

BatchFiles = Mapping[str, bytes]  # the content of each file by its name in BATCH_NAMES


def join(batches: BatchFiles, place: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, (n, 32, 32, 3) uint8, and labels, (n,) int64 in 0..9, in the order of batches.

    Raises BatchError if one of the files is not a batch, or if they hold no images.

    batches: at least one
    place: the directory or archive that they come from, for errors
    """
    parts = [_parse(batches[name], f"{place}/{name}") for name in BATCH_NAMES if name in batches]
    labels = np.concatenate([labels for _, labels in parts])
    if not len(labels):
        raise BatchError(f"{place}: its batches hold no images")
    # Transposed directly into place, since a second copy of all pixels would be 154 MB.
    images = np.empty((len(labels), SIDE, SIDE, CHANNELS), np.uint8)
    start = 0
    for rows, _ in parts:
        planes = rows.reshape(-1, CHANNELS, SIDE, SIDE)
        images[start : start + len(rows)] = planes.transpose(0, 2, 3, 1)
        start += len(rows)
    return images, labels


def digest(batches: BatchFiles) -> str:
    """Hexadecimal sha256 of the names and contents of the batches, independent of packing."""
    total = hashlib.sha256()
    for name in BATCH_NAMES:
        if name in batches:
            total.update(f"{name} {hashlib.sha256(batches[name]).hexdigest()}\n".encode())
    return total.hexdigest()


def _parse(data: bytes, file: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Rows (n, 3072) uint8 and labels (n,) int64 of one batch."""
    batch = load_batch(data, file)
    for key in ("data", "labels"):
        if key not in batch:
            raise BatchError(f"{file}: not a CIFAR batch, it has no {key!r}")
    rows, labels = batch["data"], batch["labels"]
    if not isinstance(rows, np.ndarray):
        raise BatchError(f"{file}: 'data' is a {type(rows).__name__}, not an array of uint8")
    if rows.ndim != 2 or rows.shape[1] != ROW_BYTES:
        raise BatchError(f"{file}: 'data' has shape {rows.shape}, not (n, {ROW_BYTES})")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise BatchError(f"{file}: 'labels' is not a list of integers")
    if len(labels) != len(rows):
        raise BatchError(f"{file}: it has {len(rows)} rows but {len(labels)} labels")
    outside = next((label for label in labels if not 0 <= label < CLASSES), None)
    if outside is not None:
        raise BatchError(f"{file}: its label {outside} is not one of 0 to {CLASSES - 1}")
    return rows, np.array(labels, dtype=np.int64)
