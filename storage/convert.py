"""Converts a folder of images, or a store, to a store or back to a folder.

    convert("photos", "photos.lmdb", "lmdb-encoded")
    convert("photos.lmdb", "again", "folder")

The result is written under a temporary name beside its own, and renamed when it is on the disk. An
interrupted conversion leaves nothing under the final name; the next one removes what it has left.
"""

import errno
import fcntl
import os
import shutil
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias, TypeVar, cast

import numpy as np

from ._checksum import Image, Labels
from ._encoded import EncodedStore, KnownFile
from ._errors import (
    BusyError,
    FormatError,
    ImageFileError,
    StorageError,
    StoreExistsError,
    os_errors,
    printable,
)
from ._files import TEMPORARY, Folder, StrPath
from ._header import HEADER
from ._registry import open_store
from ._store import STORES, Store
from .images.folder import ImageFolder, read_folder
from .images.headers import format_of
from .payloads.encoded import EncodedPayload
from .payloads.png import PngPayload

FOLDER = "folder"
FORMATS = (*STORES, FOLDER)
DEFAULT_FORMAT = "hdf5-encoded"
ON_ERROR = ("stop", "skip")
MOST_NAME_BYTES = 255
SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
"""Of the formats whose suffix is not their name."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Taken: TypeAlias = KnownFile | Image
"""What a conversion takes from its source: a file as it is, or an image."""
Ids: TypeAlias = range | list[int]
Progress: TypeAlias = Callable[[Ids], Iterable[int]]


class Skipped(NamedTuple):
    """An image that was left out."""

    name: str
    reason: str


@dataclass(frozen=True)
class Converted:
    """What a conversion has made; skipped: what it has left out; passed_over: see `ImageFolder`."""

    path: Path
    format: str
    images: int
    classes: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: Mapping[str, int] = field(default_factory=dict)


class Source(ABC):
    """What is converted; payload: how its files are decoded, None if it has images alone."""

    payload: EncodedPayload | None
    labels: Labels
    names: Sequence[str | bytes]
    classes: list[str]
    passed_over: Mapping[str, int]

    @abstractmethod
    def file(self, i: int, whole: bool) -> KnownFile:
        """A file as it is; whole: whether it is decoded to find damage. Raises `StorageError`."""

    @abstractmethod
    def image(self, i: int) -> Image:
        """An image; raises `StorageError`."""

    def shown(self, i: int) -> str:
        return printable(os.fsdecode(self.names[i])) or f"image {i}"


class FolderSource(Source):
    """The images of a folder."""

    def __init__(self, folder: ImageFolder, payload: EncodedPayload) -> None:
        self._folder, self.payload = folder, payload
        self.labels, self.classes, self.passed_over = (
            folder.labels,
            folder.classes,
            folder.passed_over,
        )
        self.names = folder.files

    def file(self, i: int, whole: bool) -> KnownFile:
        data = self._folder.read(i)
        return KnownFile(data, self._named(i, lambda: self._payload().shape_of(data, whole)))

    def image(self, i: int) -> Image:
        data, payload = self._folder.read(i), self._payload()
        read = partial(payload.decoded, data, payload.image_mode, payload.max_pixels)
        return self._named(i, read)

    def _payload(self) -> EncodedPayload:
        assert self.payload
        return self.payload

    def _named(self, i: int, read: Callable[[], Result]) -> Result:
        try:
            return read()
        except ImageFileError as error:
            raise ImageFileError(f"{self.shown(i)}: {error}") from error


class StoreSource(Source):
    """The images of a store, or its files."""

    def __init__(self, store: Store, payload: EncodedPayload | None) -> None:
        self._store, self.payload = store, payload
        self.labels, self.names, self.classes = store.labels, store.names, store.classes
        self.passed_over = {}

    def file(self, i: int, whole: bool) -> KnownFile:
        assert isinstance(self._store, EncodedStore)
        (file,) = self._store.read_files([i])
        if self.payload != self._store.payload:  # other options may make another shape of it
            return KnownFile(file.data, self._payload_shape(file, whole))
        return file

    def _payload_shape(self, file: KnownFile, whole: bool) -> tuple[int, ...]:
        assert self.payload
        return self.payload.shape_of(file.data, whole)

    def image(self, i: int) -> Image:
        return self._store.read_single(i)[0]


def convert(
    src: StrPath,
    dst: StrPath,
    format: str = DEFAULT_FORMAT,  # noqa: A002  # what it is called everywhere
    *,
    image_mode: str | None = None,
    orientation: str | None = None,
    max_pixels: int | None = None,
    on_error: str = "stop",
    allow_empty: bool = False,
    progress: Progress = iter,
) -> Converted:
    """Convert a folder of images or a store to the new store or folder `dst`.

    src: a folder as `read_folder` takes it, or any store
    format: a name in `STORES`, or "folder": one folder for each class, files under their names
    image_mode, orientation, max_pixels: see `EncodedStore`; a store of files has its own
    on_error: "stop" raises at the first image that cannot be read; "skip" leaves it out
    allow_empty: whether class folders may be without images
    progress: wraps the ids that are converted, to show how far it is

    Every file of a folder is decoded once, also where it is kept as it is: a damaged one is refused.
    Raises `StoreExistsError` if `dst` exists and is no empty folder; `FolderError`, `ImageFileError`
    and other `StorageError`s; ValueError for other arguments.
    """
    if format not in FORMATS:
        raise ValueError(f"format {format!r}; give one of {', '.join(FORMATS)}")
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error {on_error!r}; give one of {', '.join(ON_ERROR)}")
    every = {"image_mode": image_mode, "orientation": orientation, "max_pixels": max_pixels}
    target = Path(os.path.abspath(os.fspath(dst)))  # noqa: PTH100  # links in it stay
    refuse_existing(target)
    asked = {name: value for name, value in every.items() if value is not None}
    source = open_source(src, asked, allow_empty)
    kind = STORES.get(format)
    as_files = source.payload is not None and (kind is None or issubclass(kind, EncodedStore))
    take: Callable[[int], Taken] = partial(source.file, whole=True) if as_files else source.image
    kept: Ids = range(len(source.labels))
    skipped = list[Skipped]()
    if on_error == "skip":
        kept, skipped = usable(source, take, progress(kept))
        if as_files:
            take = partial(source.file, whole=False)
    if not kept:
        raise FormatError(f"{printable(os.fspath(src))}: no image in it can be converted")
    items = ahead(take, progress(kept))
    with os_errors(printable(str(target))), made_beside(target) as new:
        if kind is None:
            write_folder(source, kept, items, new)
        else:
            write_store(source, kept, items, new, kind)
    return Converted(target, format, len(kept), source.classes, skipped, source.passed_over)


def is_store(path: StrPath) -> bool:
    return (Path(path) / HEADER).exists()


def open_source(src: StrPath, asked: Mapping[str, str | int], allow_empty: bool) -> Source:
    """Find out what to convert; raises `StorageError`, or ValueError for other options."""
    if not is_store(src):
        payload = EncodedPayload().with_options(asked)
        return FolderSource(read_folder(src, allow_empty=allow_empty), payload)
    store = open_store(src)
    if isinstance(store, EncodedStore):
        return StoreSource(store, store.payload.with_options({**store.payload.options, **asked}))
    if asked:
        text = f"a store of images, for which there is no {', '.join(asked)}; leave it out"
        raise FormatError(f"{store.path}: {text}")
    return StoreSource(store, None)


def usable(
    source: Source, take: Callable[[int], Taken], ids: Iterable[int]
) -> tuple[list[int], list[Skipped]]:
    """Try to take every image; returns those that can be, and the others."""

    def reason(i: int) -> tuple[int, str]:
        try:
            take(i)
        except StorageError as error:
            return i, str(error).removeprefix(f"{source.shown(i)}: ")
        return i, ""

    kept, skipped = list[int](), list[Skipped]()
    for i, why in ahead(reason, ids):
        if why:
            skipped.append(Skipped(source.shown(i), why))
        else:
            kept.append(i)
    return kept, skipped


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` in a thread per core, a few items ahead."""
    n = os.cpu_count() or 1
    threads, waiting = ThreadPoolExecutor(n), deque[Future[Result]]()
    try:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > 2 * n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


# ---- writing -------------------------------------------------------------------------------------


def write_store(
    source: Source, kept: Ids, items: Iterator[Taken], path: Path, kind: type[Store]
) -> None:
    labels, names = source.labels, source.names
    if len(kept) < len(labels):
        labels, names = labels[kept], [names[i] for i in kept]
    options = source.payload.options if source.payload and issubclass(kind, EncodedStore) else {}
    with kind(path, "x", classes=source.classes, **options) as store:  # type: ignore[arg-type]
        if isinstance(store, EncodedStore) and source.payload:
            store.store_files(cast(Iterator[KnownFile], items), labels, names)
        else:
            store.store_many(cast(Iterator[Image], items), labels, names)


def write_folder(source: Source, kept: Ids, items: Iterator[Taken], path: Path) -> None:
    """Write every image as a file in the folder of its class, under its name."""
    path.mkdir()
    folders = {label: folder_name(source.classes, label) for label in range(len(source.classes))}
    has_folders = bool(folders) or len({*source.labels.tolist()}) > 1
    for folder in folders.values():
        (path / folder).mkdir()
    for i, item in zip(kept, items, strict=True):
        label, name = int(source.labels[i]), PurePosixPath(os.fsdecode(source.names[i]))
        folder = (folders.get(label) or str(label)) if has_folders else ""
        data = (
            item.data if isinstance(item, KnownFile) else PngPayload().encode(item[np.newaxis])[0]
        )
        if not isinstance(item, KnownFile):
            name = name.with_suffix(".png") if name.name else name
        if not is_safe(name):
            name = PurePosixPath(f"{i:012d}{suffix_of(data)}")
        if folder and name.parts[0] == folder and len(name.parts) > 1:
            name = PurePosixPath(*name.parts[1:])
        write_file(path / folder, name, i, data)
    Folder(os.fspath(path)).sync_all()


def write_file(folder: Path, name: PurePosixPath, i: int, data: bytes) -> None:
    """Write a file under a name, or with its id if there is a file of that name."""
    names = (name, name.with_name(f"{i:012d}-{name.name}"), PurePosixPath(f"{i:012d}{name.suffix}"))
    for each in names:
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            with (folder / each).open("xb") as file:
                file.write(data)
            return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder / name))


def folder_name(classes: list[str], label: int) -> str:
    """The folder of a class: its name, or its number if the name cannot be one."""
    name = classes[label]
    alone = is_safe(PurePosixPath(name)) and "/" not in name and classes.count(name) == 1
    return name if alone else str(label)


def is_safe(name: PurePosixPath) -> bool:
    """Whether a name leads to a file below the folder that it is put in."""
    return (
        bool(name.parts)
        and not name.is_absolute()
        and ".." not in name.parts
        and "\0" not in str(name)
        and all(len(os.fsencode(part)) <= MOST_NAME_BYTES for part in name.parts)
    )


def suffix_of(data: bytes) -> str:
    try:
        form = format_of(data)
    except ImageFileError:
        return ""
    return SUFFIXES.get(form, f".{form.lower()}")


# ---- the final name ------------------------------------------------------------------------------


def refuse_existing(target: Path) -> None:
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        text = (
            f"{printable(str(target))}: exists and is not empty; choose another name, or remove it"
        )
        raise StoreExistsError(text)


@contextmanager
def made_beside(target: Path) -> Iterator[Path]:
    """A path to write to; it becomes `target` at the end, or is removed after any exception."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{TEMPORARY}{target.name}")
    for _ in count():
        with suppress(FileExistsError):
            aside.mkdir()
        with suppress(FileNotFoundError):  # another conversion has just removed it
            folder = Folder(os.fspath(aside))
            break
    try:
        fcntl.flock(folder.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = "another conversion writes to it; wait for its end, or choose another name"
        raise BusyError(f"{printable(str(target))}: {text}") from None
    try:
        for name in folder.names():
            folder.remove(name)  # left by a killed conversion
        new = aside / "new"
        yield new
        try:
            new.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                refuse_existing(target)
            raise
        Folder(os.fspath(target.parent)).sync()
    finally:
        shutil.rmtree(aside, ignore_errors=True)
