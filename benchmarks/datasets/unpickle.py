"""Reading the pickle of a CIFAR batch without running anything that it requests.

A pickle is a program. Two steps keep this one harmless. First its opcodes are listed without being
executed. Opcodes that a dictionary of numbers, strings, lists and numpy arrays does not need are
refused, and so are memo indices that would make the unpickler allocate memory for nothing. Then it
is loaded with every allowed name bound to a `_Name`, which only records its calls: a pickle never
calls numpy itself. The record is checked, and this module makes the array from the bytes found.
Memory stays within a small multiple of the pickle's size.

It reads the protocol-2 pickles of Python 2 in which CIFAR-10 is distributed (numpy's old module
names; strings are bytes) and pickles of Python 3 (protocols 2 to 5; new names). Protocol 2 has no
bytes: Python 3 writes calls of `_codecs.encode` and `bytes`, and their results are made here.
"""

import io
import pickle
import pickletools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import BatchError, UnsafePickleError

# numpy 2 renamed `numpy.core`; from protocol 5 on it pickles arrays as `_frombuffer`.
ALLOWED_NAMES = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype")}
    | {(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
    | {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
    # No batch needs these, and they do no harm; they are refused later, with a better message.
    | {(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")}
    | {("__builtin__", "bytearray"), ("builtins", "bytearray")}
)
ENCODE = ("_codecs", "encode")
BYTES = (("__builtin__", "bytes"), ("builtins", "bytes"))

ALLOWED_OPCODES = frozenset(
    {"PROTO", "FRAME", "MARK", "STOP"}
    | {"NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
    | {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
    | {"EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"}
    | {"BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"}
    | {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
)


class _Call:
    """A call that a pickle requested, recorded instead of made."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[object, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Name:
    """A name that a pickle may use; it can only be called."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: object) -> object:
        return _Call(self.name, arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it changes {self.name}")


class _Encode(_Name):
    """`_codecs.encode`, limited to the calls that Python 3 writes for bytes in protocol 2."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        super().__init__("encode")
        # A pickle may encode one text many times, with three bytes for each time.
        self._made: dict[int, tuple[str, bytes]] = {}

    def __call__(self, *arguments: object) -> bytes:
        match arguments:
            case (str() as text, "latin1" | b"latin1"):
                if id(text) not in self._made:
                    self._made[id(text)] = text, text.encode("latin1")
                return self._made[id(text)][1]
        raise pickle.UnpicklingError("it encodes what cannot be bytes")


class _NoBytes(_Name):
    """`bytes`, called without arguments."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> bytes:
        if arguments:
            raise pickle.UnpicklingError("it makes bytes of something")
        return b""


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._encode = _Encode()

    def find_class(self, module: str, name: str) -> _Name:
        if (module, name) == ENCODE:
            return self._encode
        if (module, name) in BYTES:
            return _NoBytes(name)
        if (module, name) not in ALLOWED_NAMES:
            raise UnsafePickleError(f"{module}.{name}")
        return _Name(name)


def load_batch(data: bytes, file: str) -> Mapping[str, object]:
    """The dictionary in a batch's pickle, with str keys and read-only uint8 arrays.

    Raises UnsafePickleError if it requests a name or an operation that no batch needs; BatchError
    if it is not a complete pickle of a dictionary.

    data: the whole pickle
    file: its name in errors
    """
    _refuse_unknown_opcodes(data, file)
    try:
        loaded = _Unpickler(data).load()
    except UnsafePickleError as error:
        raise UnsafePickleError(
            f"{file}: its pickle names {error}, which no CIFAR batch needs; nothing was run. "
            "Do not use this file"
        ) from None
    # The C unpickler raises many types of errors for broken pickles.
    except Exception as error:
        raise BatchError(f"{file}: not a CIFAR batch, its pickle is broken ({error})") from error
    if not isinstance(loaded, dict):
        raise BatchError(f"{file}: not a CIFAR batch, its pickle holds no dictionary")
    return {_text(key, file): _array(value, file) for key, value in loaded.items()}


def _refuse_unknown_opcodes(data: bytes, file: str) -> None:
    if not data.startswith(pickle.PROTO):
        raise BatchError(f"{file}: not a pickle of protocol 2 or later, so not a CIFAR batch")
    end = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name not in ALLOWED_OPCODES:
                named = f" ({argument})" if opcode.name in ("INST", "PERSID") else ""
                raise UnsafePickleError(
                    f"{file}: its pickle uses the operation {opcode.name}{named}, which no CIFAR "
                    "batch needs; nothing was run. Do not use this file"
                )
            # The memo is an array as long as its largest index; honest picklers count from 0 or 1.
            if opcode.name == "LONG_BINPUT" and int(argument or 0) > len(data):
                raise UnsafePickleError(f"{file}: its pickle's memo index {argument} is too large")
            end = position or 0
    except UnsafePickleError:
        raise
    # genops raises ValueError for what it cannot parse, and other types for malformed text.
    except Exception as error:
        raise BatchError(
            f"{file}: not a whole pickle, so not a CIFAR batch; it breaks off or is something else "
            f"({error})"
        ) from error
    if end + 1 != len(data):
        raise BatchError(
            f"{file}: not a CIFAR batch, {len(data) - end - 1} bytes follow its pickle"
        )


def _text(key: object, file: str) -> str:
    if isinstance(key, bytes):
        return key.decode("latin1")
    if isinstance(key, str):
        return key
    raise BatchError(
        f"{file}: not a CIFAR batch, a key of its dictionary is a {type(key).__name__}"
    )


def _array(value: object, file: str) -> object:
    """The array that a `_Call` describes; any other value unchanged."""
    if not isinstance(value, _Call):
        return value
    match value:
        case _Call(
            name="_reconstruct", state=(_, tuple() as shape, dtype, fortran, bytes() as raw)
        ):
            in_columns = bool(fortran)
        case _Call(
            name="_frombuffer", arguments=(bytes() | bytearray() as raw, dtype, shape, order)
        ):
            in_columns = order in ("F", b"F")
        case _:
            raise BatchError(f"{file}: it holds an array in a form that no CIFAR batch uses")
    return _uint8_array(bytes(raw), dtype, shape, in_columns, file)


def _uint8_array(
    raw: bytes, dtype: object, shape: object, in_columns: bool, file: str
) -> NDArray[np.uint8]:
    match dtype:
        case _Call(name="dtype", arguments=("u1" | b"u1", *_)):
            pass
        case _Call(name="dtype", arguments=(str() | bytes() as code, *_)):
            raise BatchError(f"{file}: its array has dtype {_text(code, file)}, not uint8")
        case _:
            raise BatchError(f"{file}: its array has no dtype")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise BatchError(f"{file}: its array has no shape")
    size = 1
    for n in shape:
        size *= n
    if size != len(raw):
        raise BatchError(f"{file}: its array of shape {shape} has {len(raw)} bytes, not {size}")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if in_columns else "C")
