"""What is converted: a folder of images, or a store. Each task opens it anew."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from .._checksum import Image
from .._encoded import EncodedStore, KnownFile
from .._errors import FolderError, FormatError, ImageFileError, StorageError, os_errors, printable
from .._files import Folder, StrPath
from .._header import HEADER
from .._registry import open_store
from .._store import Store
from ..images.decoding import describe, refuse_by_start
from ..images.folder import read_image, scan_folder
from ..images.headers import HEAD_BYTES, LARGE_FILE
from ..payloads.base import Options
from ..payloads.encoded import EncodedPayload

Item = TypeVar("Item", KnownFile, Image, covariant=True)


class Taken(NamedTuple, Generic[Item]):
    """What a conversion takes from its source, and what decoding has changed or will change of it."""

    item: Item
    changes: list[str]


class PlannedImage(NamedTuple):
    """What a plan says of an image.

    size: the bytes that it takes in the source
    modified: when its file was, in nanoseconds; 0 in a store, whose images never change
    """

    label: int
    size: int
    name: bytes
    modified: int = 0


class Source(ABC):
    """What is converted.

    payload: how its files are decoded, None if it has images alone
    identity: differs for another store under the same path
    passed_over: see `ImageFolder`; complete after the last row
    """

    path: str
    payload: EncodedPayload | None
    classes: list[str]
    identity: str = ""
    passed_over: Mapping[str, int]

    @abstractmethod
    def rows(self) -> Iterator[PlannedImage]:
        """All images in order; raises `StorageError`, OSError."""

    @abstractmethod
    def file(self, i: int, row: PlannedImage) -> Taken[KnownFile]:
        """Image `i` as a file, which is no damaged one. Raises `StorageError`."""

    @abstractmethod
    def image(self, i: int, row: PlannedImage) -> Taken[Image]:
        """Image `i`; raises `StorageError`."""

    def shown(self, i: int, row: PlannedImage) -> str:
        return printable(os.fsdecode(row.name)) or f"image {i}"

    @contextmanager
    def _naming(self, i: int, row: PlannedImage) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ImageFileError(f"{self.shown(i, row)}: {error}") from error


class FolderSource(Source):
    """The images of a folder; only `rows` lists it."""

    payload: EncodedPayload

    def __init__(self, path: str, payload: EncodedPayload, allow_empty: bool = False) -> None:
        self.path, self.payload = path, payload
        self._allow_empty = allow_empty
        self.classes, self.passed_over = [], {}

    def rows(self) -> Iterator[PlannedImage]:
        scan = scan_folder(self.path, allow_empty=self._allow_empty)
        self.classes = scan.classes
        for labels, names in scan.groups:
            for label, name in zip(labels.tolist(), names, strict=True):
                yield self._planned(label, name)
        self.passed_over = dict(+scan.passed_over)

    def _planned(self, label: int, name: bytes) -> PlannedImage:
        with suppress(FileNotFoundError):  # reading it tells what is wrong
            status = os.stat(os.path.join(os.fsencode(self.path), name))  # noqa: PTH118  # bytes
            modified = (status.st_mtime_ns + 2**63) % 2**64 - 2**63  # also of dates after 2262
            return PlannedImage(label, status.st_size, name, modified)
        return PlannedImage(label, 0, name)

    def file(self, i: int, row: PlannedImage) -> Taken[KnownFile]:
        data = self._read(i, row)
        with self._naming(i, row):
            return checked_file(data, self.payload)

    def image(self, i: int, row: PlannedImage) -> Taken[Image]:
        payload, data = self.payload, self._read(i, row)
        with self._naming(i, row):
            info = payload.info_of(data)
            image = payload.decoded(data, payload.image_mode, payload.max_pixels)
            return Taken(image, payload.changes(info, image.shape))

    def _read(self, i: int, row: PlannedImage) -> bytes:
        if row.size > LARGE_FILE:
            with self._naming(i, row):
                start = read_image(self.path, row.name, HEAD_BYTES)
                refuse_by_start(start, self.payload.max_pixels)
        data = read_image(self.path, row.name)
        if len(data) != row.size:
            text = f"has {len(data)} bytes and had {row.size} when the conversion was planned"
            raise FolderError(f"{self.shown(i, row)}: {text}; convert again")
        return data


class StoreSource(Source):
    """The images of a store, or its files."""

    def __init__(self, store: Store, payload: EncodedPayload | None) -> None:
        self._store, self.path, self.payload = store, os.fspath(store.path), payload
        self.classes, self.passed_over = store.classes, {}
        inode, modified, _changed = store._identity  # a backup by hard links changes the last
        self.identity = repr((inode, modified))

    def rows(self) -> Iterator[PlannedImage]:
        store, first = self._store, 0
        while first < len(store):  # part by part, wherever another process has joined some
            start = first
            found = store._while_compacted(lambda catalog: catalog.rows(start, check=True))  # noqa: B023  # called at once
            labels, sizes, names = found
            # Without what a writer has added since, which may have been joined to the last part.
            some = labels[: len(store) - first].tolist()
            yield from map(PlannedImage, some, sizes.tolist(), names)
            first += len(some)

    def file(self, i: int, row: PlannedImage) -> Taken[KnownFile]:
        store, payload = self._store, self.payload
        assert isinstance(store, EncodedStore)
        assert payload
        (file,) = store.read_files([i])
        with self._naming(i, row):
            if payload == store.payload:
                return Taken(file, changes_of(file, payload))
            # Other options may make another shape of it, or refuse it.
            return checked_file(file.data, payload)

    def image(self, i: int, row: PlannedImage) -> Taken[Image]:
        if self.payload is None:
            return Taken(self._store.read_single(i)[0], [])
        file, changes = self.file(i, row)
        with self._naming(i, row):
            return Taken(self.payload.image(file.data, file.shape), changes)


def changes_of(file: KnownFile, payload: EncodedPayload) -> list[str]:
    """What reading a file changes; nothing if it is of a format that cannot be read here."""
    with suppress(ImageFileError):
        return payload.changes(describe(file.data, payload.max_pixels), file.shape)
    return []


def checked_file(data: bytes, payload: EncodedPayload) -> Taken[KnownFile]:
    """A file, decoded once to find damage; raises `ImageFileError`."""
    info = payload.info_of(data)
    shape = payload.shape_of(data, info, whole=True)
    return Taken(KnownFile(data, shape), payload.changes(info, shape))


def is_store(path: StrPath) -> bool:
    with os_errors(printable(os.fspath(path))):
        return (Path(path) / HEADER).exists()


def find_source(src: StrPath, asked: Options, allow_empty: bool) -> Source:
    """Find out what is to be converted; raises `StorageError`, or ValueError for other options."""
    path = os.path.abspath(os.fspath(src))  # noqa: PTH100  # links in it stay
    if not is_store(path):
        return FolderSource(path, EncodedPayload().with_options(asked), allow_empty)
    store = open_store(path)
    if isinstance(store, EncodedStore):
        return StoreSource(store, store.payload.with_options({**store.payload.options, **asked}))
    if asked:
        text = f"a store of images, for which there is no {', '.join(asked)}; leave it out"
        raise FormatError(f"{store.path}: {text}")
    return StoreSource(store, None)


def open_source(path: str, identity: str, options: Options | None) -> Source:
    """Open in a task what a plan names; raises `StorageError` where it is not to be seen."""
    payload = None if options is None else EncodedPayload().with_options(options)
    if not identity:
        with os_errors(printable(path)):
            Folder(path)  # tells it better than a file that is missing
        assert payload
        return FolderSource(path, payload)
    source = StoreSource(open_store(path), payload)
    if source.identity != identity:
        raise StorageError(f"{printable(path)}: another store than was planned for; convert again")
    return source
