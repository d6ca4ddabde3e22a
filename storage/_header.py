"""A store's header, `store.json`: what it was made with. It is written once and never changes.

    {"format": "lmdb", "version": 2}

and, where the store was given some,

    "options": {...}                 what its payload was made with, by name
    "classes": ["apple", ...]        the names of the labels 0, 1, ...
    "digest": "0123456789abcdef"     xxh3_64 of `json.dumps([options, classes])`, for accidental damage
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from xxhash import xxh3_64_hexdigest

from ._errors import CorruptStoreError, DTypeError, StoreNotFoundError, printable
from ._files import Folder
from .payloads.base import Options

VERSION = 2
HEADER, MOST_HEADER = "store.json", 2**24
NO_OPTIONS: Options = MappingProxyType({})


class Header(NamedTuple):
    """What `store.json` says; classes: the names of the labels 0, 1, ..., none if not given."""

    format: str
    version: int = VERSION
    options: Options = NO_OPTIONS
    classes: tuple[str, ...] = ()

    def digest(self) -> str:
        return xxh3_64_hexdigest(json.dumps([dict(self.options), self.classes]).encode())

    def written(self) -> bytes:
        """The bytes of the file."""
        described: dict[str, object] = {"format": self.format, "version": self.version}
        if self.options:
            described["options"] = dict(self.options)
        if self.classes:
            described["classes"] = self.classes
        if self.options or self.classes:
            described["digest"] = self.digest()
        return json.dumps(described).encode() + b"\n"


def open_folder(path: str) -> tuple[Folder, Header, tuple[int, int]]:
    """Return a store's directory, its header, and an identity that a replacement lacks.

    Raises `StoreNotFoundError`, `CorruptStoreError`, OSError.
    """
    try:
        folder = Folder(path)
        file = folder.open(HEADER)
    except (FileNotFoundError, NotADirectoryError):
        text = f"{printable(path)}: no store here; create one with mode='x' or mode='a'"
        raise StoreNotFoundError(text) from None
    status = os.fstat(file.number)
    if header := read_header(file.read(min(file.size, MOST_HEADER))):
        return folder, header, (status.st_ino, status.st_mtime_ns)
    raise CorruptStoreError(f"{folder.path}: {HEADER} names no format and version; restore it")


@lru_cache(maxsize=16)
def read_header(data: bytes) -> Header | None:
    """What the bytes of a header say, or None if they are not a whole one."""
    with suppress(ValueError, RecursionError):
        match found := json.loads(data):
            case {"format": str(name), "version": int(version)}:
                options, classes = found.get("options", {}), found.get("classes", [])
                if not isinstance(options, dict) or not isinstance(classes, list):
                    return None
                if not all(isinstance(each, str) for each in classes):
                    return None
                header = Header(name, version, MappingProxyType(options), tuple(classes))
                plain = not (options or classes)
                return header if plain or found.get("digest") == header.digest() else None
    return None


def check_classes(classes: object) -> tuple[str, ...]:
    """Return names of classes as a tuple; raises `DTypeError`."""
    if isinstance(classes, str | bytes) or not isinstance(classes, Sequence):
        raise DTypeError(f"classes are a {type(classes).__name__}; give a list of names")
    for name in classes:
        if not isinstance(name, str):
            raise DTypeError(f"classes contain a {type(name).__name__}; give a list of names")
    return tuple(classes)
