"""The checks on ids before anything is read."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._batch import PLAIN, is_integer_type
from ._errors import ImageIdError, ImageIdTypeError

Ids: TypeAlias = Sequence[int] | NDArray[np.integer]


def check_id(image_id: object, length: int, path: str) -> int:
    """Return one id as an int; raises `ImageIdError`, `ImageIdTypeError`."""
    if not is_integer_type(type(image_id)):
        raise ImageIdTypeError(f"{path}: an id is a {type(image_id).__name__}; give an integer")
    checked = int(image_id)  # type: ignore[call-overload]  # it is an integer
    if not 0 <= checked < length:
        raise _missing(checked, length, path)
    return int(checked)


def check_ids(ids: Ids, length: int, path: str) -> NDArray[np.int64]:
    """Return ids as an own (n,) array; raises as `check_id`."""
    if isinstance(ids, np.ndarray) and type(ids) not in PLAIN:
        raise ImageIdTypeError(f"{path}: ids are a {type(ids).__name__}; give a plain array")
    if hasattr(ids, "__array__"):
        return _check_array(np.asarray(ids), length, path)
    if not isinstance(ids, Sequence) or isinstance(ids, str | bytes):
        raise ImageIdTypeError(
            f"{path}: ids are a {type(ids).__name__}; give a sequence of integers"
        )
    if isinstance(ids, range):  # which may be too long to be listed
        if ids and (min(ids[0], ids[-1]) < 0 or max(ids[0], ids[-1]) >= length):
            raise _missing(next(i for i in ids if not 0 <= i < length), length, path)
        return np.arange(ids.start, ids.stop, ids.step, dtype=np.int64)
    # Checked before NumPy sees them: it would make integers of Booleans, and floats of integers
    # beyond int64.
    every = [*ids]
    for kind in set(map(type, every)):
        if not is_integer_type(kind):
            raise ImageIdTypeError(f"{path}: an id is a {kind.__name__}; give integers")
    if every and (min(every) < 0 or max(every) >= length):
        raise _missing(int(next(i for i in every if not 0 <= i < length)), length, path)
    return np.array(every, np.int64)


def _check_array(ids: NDArray[np.integer], length: int, path: str) -> NDArray[np.int64]:
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ImageIdTypeError(
            f"{path}: ids are a {ids.ndim}-dimensional array of {ids.dtype}; give one dimension of"
            " integers"
        )
    if ids.size and not (ids.min() >= 0 and ids.max() < length):
        raise _missing(int(ids[(ids < 0) | (ids >= length)][0]), length, path)
    return np.array(ids, np.int64)


def _missing(image_id: int, length: int, path: str) -> ImageIdError:
    return ImageIdError(
        f"{path}: no image {image_id}; ids run from 0 to {length - 1}"
        if length
        else f"{path}: no image {image_id}; the store is empty"
    )
