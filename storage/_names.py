r"""The names of the images of a part, `names.bin`; only parts that were given names have one.

    names = open("names.bin", "rb").read()[:-8].split(b"\0")[:-1]  # a name for each image, or b""

A name is any bytes but NUL: that of a file need not be UTF-8. The last 8 bytes are the xxh3_64 of
the others, big-endian, seeded with the part's first id.
"""

import os
from collections.abc import Sequence
from typing import TypeAlias

from xxhash import xxh3_64_digest

from ._errors import DTypeError, LengthError

Name: TypeAlias = str | bytes | os.PathLike[str]

NAMES = "names.bin"
DIGEST_BYTES = 8
END = b"\0"


def packed(name: object) -> bytes:
    """One name as it is kept; raises `DTypeError`."""
    if not isinstance(name, str | bytes | os.PathLike):
        raise DTypeError(
            f"a name is a {type(name).__name__}; give text, or the bytes of a file name"
        )
    try:
        data = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DTypeError(f"a name is no text of a file system: {name!r}; rename it") from error
    if END in data:
        raise DTypeError(f"a name contains a zero byte: {data!r}; leave it out")
    return data + END


def pack(names: object, n: int) -> bytearray:
    """The names of `n` images as they are kept; raises `DTypeError`, `LengthError`."""
    if names is None:
        return bytearray()
    if isinstance(names, str | bytes) or not isinstance(names, Sequence):
        raise DTypeError(f"names are a {type(names).__name__}; give a list of names")
    kept = [*map(packed, names)]  # read once: what is counted is what is kept
    if len(kept) != n:
        raise LengthError(f"{len(kept)} names but {n} labels; give one name per image")
    return bytearray(b"".join(kept))


def is_given(names: bytes | bytearray) -> bool:
    """Whether any name is not empty."""
    return bool(names.strip(END))


def sealed(names: bytes | bytearray, first: int) -> bytes:
    """The bytes of the file of a part that begins with the id `first`."""
    return bytes(names) + xxh3_64_digest(names, first)


def unsealed(data: bytes, first: int, n: int) -> bytes | None:
    """The `n` names in the bytes of a file, as they are kept; None if it is damaged."""
    names, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    whole = digest == xxh3_64_digest(names, first) and names.count(END) == n
    return names if whole and names.endswith(END) else None


def unpack(names: bytes) -> list[str]:
    """Names as users see them; bytes that are not UTF-8 as Python has them in file names."""
    return [os.fsdecode(name) for name in names.split(END)[:-1]]
