"""Checks that ids and labels are integers in range."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ._errors import DTypeError, ImageIdError, ImageIdTypeError, LabelError, LengthError

Ids: TypeAlias = Sequence[int] | NDArray[np.integer]

INT64 = np.iinfo(np.int64)
PLAIN = (np.ndarray, np.memmap)
"""The array types with NumPy's own arithmetic and indexing; masked arrays, for one, differ."""


def is_integer_type(kind: type) -> bool:
    """Whether values of this type count as integers; Booleans and time spans do not."""
    if kind is int:  # told in no time
        return True
    return issubclass(kind, int | np.integer) and not issubclass(kind, bool | np.timedelta64)


def check_id(image_id: object, length: int, path: str) -> int:
    """Return one id as an int; raises `ImageIdError`, `ImageIdTypeError`."""
    if not is_integer_type(type(image_id)):
        raise ImageIdTypeError(f"{path}: an id is a {type(image_id).__name__}; give an integer")
    checked = int(cast(int, image_id))
    if not 0 <= checked < length:
        held = f"ids run from 0 to {length - 1}" if length else "the store is empty"
        raise ImageIdError(f"{path}: no image {checked}; {held}")
    return checked


def check_ids(ids: Ids, length: int, path: str) -> NDArray[np.int64]:
    """Return ids as a new (n,) array; raises as `check_id`."""
    if isinstance(ids, range):  # it may be too long for a list
        if not ids:
            return np.empty(0, np.int64)
        if not (0 <= ids[0] < length and 0 <= ids[-1] < length):
            check_id(next(i for i in ids if not 0 <= i < length), length, path)
        return np.arange(ids.start, ids.stop, ids.step, dtype=np.int64)
    if hasattr(ids, "__array__") and not isinstance(ids, np.ndarray):
        ids = np.asarray(ids)
    checked = _integers(ids, "ids", lambda text: ImageIdTypeError(f"{path}: {text}"))
    if checked.ndim != 1:
        raise ImageIdTypeError(f"{path}: ids have shape {checked.shape}; give one dimension")
    if (wrong := _outside(checked, 0, length - 1)) is not None:
        check_id(wrong, length, path)
    return checked.astype(np.int64, copy=False)


def check_labels(labels: object) -> NDArray[np.int64]:
    """Return labels as a new (N,) array; raises `DTypeError`, `LabelError`, `LengthError`."""
    checked = _integers(labels, "labels", DTypeError)
    if checked.ndim != 1:
        raise LengthError(f"labels have shape {checked.shape}; give one label per image: (N,)")
    if (wrong := _outside(checked, INT64.min, INT64.max)) is not None:
        raise LabelError(f"label {wrong} does not fit in int64")
    if not len(checked):
        raise LengthError("nothing to store; give at least one image and its label")
    return checked.astype(np.int64, copy=False)


def _integers(values: object, what: str, error: Callable[[str], Exception]) -> NDArray[np.integer]:
    """Return values as an array, of objects if some in a sequence are beyond int64."""
    kind = type(values)
    if isinstance(values, np.ndarray):
        if kind not in PLAIN:
            raise error(f"{what} are a {kind.__name__}; give a plain array")
        if values.dtype.kind not in "iu":
            raise error(f"{what} have dtype {values.dtype}; give integers")
        return np.array(values)  # copied: another thread may change it
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise error(f"{what} are a {kind.__name__}; give a list or an array of integers")
    every = [*values]  # checked first: NumPy also makes integers of Booleans and floats
    for kind in set(map(type, every)):
        if not is_integer_type(kind):
            raise error(f"{what} contain a {kind.__name__}; give integers")
    try:
        return np.array(every, np.int64)
    except OverflowError:
        return np.array(every, object)


def _outside(values: NDArray[np.integer], low: int, high: int) -> int | None:
    """The first value that is not from `low` to `high`, or None."""
    if not values.size or (low <= values.min() and values.max() <= high):
        return None
    return int(values[(values < low) | (values > high)][0])
