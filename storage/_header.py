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


class StoreFolder(Folder):
    """The directory of a store, held open, as is its header: so no other file has its number.

    identity: differs for another store under the same path, in other processes, too
    """

    def __init__(self, path: str) -> None:
        """Open a store's directory; raises `StoreNotFoundError`, `CorruptStoreError`, OSError."""
        try:
            super().__init__(path)
            self._header = self.open(HEADER)
        except (FileNotFoundError, NotADirectoryError):
            text = f"{printable(path)}: no store here; create one with mode='x' or mode='a'"
            raise StoreNotFoundError(text) from None
        self._status = status = self._header.status
        self.identity = status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    def header(self) -> Header:
        """What the header says; raises `CorruptStoreError`, OSError."""
        if header := read_header(self._header.read(min(self._header.size, MOST_HEADER))):
            return header
        raise CorruptStoreError(f"{self.path}: {HEADER} names no format and version; restore it")

    def refuse_replaced(self) -> None:
        """Raise `CorruptStoreError` if the store was removed, or another one was made in its place."""
        with suppress(FileNotFoundError):
            now = os.stat(HEADER, dir_fd=self.number, follow_symlinks=False)
            if os.path.samestat(now, self._status):
                return
        raise replaced(self.path)


def replaced(path: str) -> CorruptStoreError:
    return CorruptStoreError(f"{path}: the store was removed or replaced; open it again")


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
    names = tuple(classes)  # read once: what is checked is what is kept
    for name in names:
        if not isinstance(name, str):
            raise DTypeError(f"classes contain a {type(name).__name__}; give a list of names")
    return names
