"""Folders of images: which files are images, and of which class.

    root/class/**/file                                  the class is the topmost folder, as in torchvision
    root/metadata.csv, .jsonl or .parquet, root/**/file a table of Hugging Face's ImageFolder
    root/file                                           no classes; all labels are 0

Only names are looked at here: what a file holds shows when it is decoded.
"""

import errno
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._errors import FolderError, ImageFileError, os_errors, printable
from .._files import StrPath
from .metadata import METADATA, open_regular, read_metadata

SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".jxl"),
        *(".avif", ".avifs", ".heic", ".heif"),
    ]
)
"""What is taken for an image, in any case; those that Pillow cannot read are refused by name later."""
LITTER = frozenset(("__MACOSX", "__pycache__", "thumbs.db", "desktop.ini"))
SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
HIDDEN, LEFT_BEHIND = "hidden", "left by another program"
LINKED, IRREGULAR = "a link to a folder", "not a regular file"
BESIDE, UNLISTED, WITHOUT = (
    "beside the class folders",
    "not in the metadata",
    "a folder without images",
)
STORE = "store.json"
TO_NOWHERE = "a link to nowhere; remove it"
NAMED = 5  # in an error or a line; the others are counted


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    path: of the folder
    files: paths relative to it, as bytes, in their order; names need not be UTF-8
    labels: (n,) int64, one for each file
    classes: the names that labels are the indices of, as in torchvision; none if the folder has no
        class folders, or if its metadata give numbers
    passed_over: how many files and folders were, for each reason
    """

    path: str
    files: list[bytes]
    labels: NDArray[np.int64]
    classes: list[str]
    passed_over: dict[str, int]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        """The path of a file for messages, relative to the folder."""
        return printable(os.fsdecode(self.files[i]))

    def read(self, i: int, size: int = -1) -> bytes:
        """The bytes of a file, or its first `size`; raises a StorageError that names it."""
        return read_image(self.path, self.files[i], size)


Group: TypeAlias = tuple[NDArray[np.int64], list[bytes]]
"""The labels of some files and their paths, relative to the folder."""


@dataclass(frozen=True)
class FolderScan:
    """The images of a folder as they are listed, one class after the other; see `ImageFolder`.

    groups: can be read once; raises as `scan_folder`
    passed_over: complete after the last group
    """

    path: str
    groups: Iterator[Group]
    classes: list[str]
    passed_over: Counter[str]


def read_image(root: str, name: bytes, size: int = -1) -> bytes:
    """The bytes of a file in a folder, or its first `size`; raises a StorageError that names it."""
    path = os.path.join(os.fsencode(root), name)  # noqa: PTH118  # bytes
    with (
        os_errors(printable(os.fsdecode(path))),
        open(path, "rb", buffering=0, opener=open_regular) as file,
    ):
        try:
            return file.read(size) or b"" if size >= 0 else file.readall()
        except MemoryError as error:
            text = f"{printable(os.fsdecode(path))}: does not fit into memory"
            raise ImageFileError(text) from error


def read_folder(path: StrPath, *, allow_empty: bool = False) -> ImageFolder:
    """List the images of a folder, their labels and classes.

    Links to files are followed, links to folders are not. Raises FolderError if a link points
    nowhere, if a class folder has no images, if the folder holds splits such as `train` instead of
    classes, or if it has no images at all; other StorageErrors for what cannot be listed.

    allow_empty: whether class folders may be without images
    """
    scan = scan_folder(path, allow_empty=allow_empty)
    groups = [*scan.groups]
    labels = np.concatenate([labels for labels, _ in groups])
    files = [*chain.from_iterable(files for _, files in groups)]
    return ImageFolder(scan.path, files, labels, scan.classes, dict(+scan.passed_over))


def scan_folder(path: StrPath, *, allow_empty: bool = False) -> FolderScan:
    """As `read_folder`, but of class folders only one is held at a time."""
    root = os.fspath(path)
    shown, start, passed_over = printable(root), os.fsencode(root), Counter[str]()
    with os_errors(shown):
        files, folders = _list(os.path.join(start, b""), b"", passed_over)  # noqa: PTH118  # bytes
        present = {name for name in (*METADATA, STORE) if os.path.lexists(os.path.join(root, name))}  # noqa: PTH118
        if STORE in present:
            raise FolderError(f"{shown}: a store, not a folder of images; use open_store")
        below = partial(_list_below, start + b"/")
        if present:
            found = [files, *(below(name, passed_over) for name in folders)]
            return _by_metadata(root, sorted(present), found, passed_over)
        return _by_classes(root, files, folders, below, passed_over, allow_empty)


def _by_classes(
    root: str,
    files: list[bytes],
    folders: list[bytes],
    below: Callable[[bytes, Counter[str]], list[bytes]],
    passed_over: Counter[str],
    allow_empty: bool,
) -> FolderScan:
    """The images of class folders, or those beside them if these have none."""
    shown = printable(root)
    ordered = sorted(folders, key=lambda name: name + b"/")  # as all paths in it begin
    listed_folders = ((name, below(name, passed_over)) for name in ordered)
    empty = list[bytes]()
    for first, found in listed_folders:
        if found:
            break
        empty.append(first)
    else:
        if not files:
            raise FolderError(f"{shown}: no images in it{_counts(passed_over)}")
        passed_over[WITHOUT] += len(folders)
        return FolderScan(root, iter([(np.zeros(len(files), np.int64), files)]), [], passed_over)
    classes = sorted(map(os.fsdecode, folders))
    _refuse_splits(shown, classes, lambda name: below(name, Counter()))
    passed_over[BESIDE] += len(files)

    def groups() -> Iterator[Group]:
        indices = {os.fsencode(name): i for i, name in enumerate(classes)}
        with os_errors(shown):
            for name, files in chain([(first, found)], listed_folders):
                if files:
                    yield np.full(len(files), indices[name], np.int64), files
                else:
                    empty.append(name)
        if empty and not allow_empty:
            names = listed(sorted(map(os.fsdecode, empty)))
            raise FolderError(
                f"{shown}: class folders without images: {names}; remove them, or allow them by"
                " --allow-empty"
            )

    return FolderScan(root, groups(), classes, passed_over)


def _by_metadata(
    root: str, tables: list[str], found: list[list[bytes]], passed_over: Counter[str]
) -> FolderScan:
    """The images that a table names."""
    shown = printable(root)
    if len(tables) > 1:
        raise FolderError(f"{shown}: has {' and '.join(tables)}; keep one of them")
    passed_over[_no_image(tables[0])] -= 1
    rows, classes = read_metadata(root, tables[0])
    present = {*chain.from_iterable(found)}
    missing = [os.fsdecode(name) for name in rows if name not in present]
    if missing:
        raise FolderError(f"{shown}: {tables[0]} names what is no image here: {listed(missing)}")
    if not rows:
        raise FolderError(f"{shown}: {tables[0]} names no images")
    passed_over[UNLISTED] += len(present) - len(rows)
    files = sorted(rows)
    labels = np.array([rows[name] for name in files], np.int64)
    return FolderScan(root, iter([(labels, files)]), classes, passed_over)


def _refuse_splits(shown: str, classes: list[str], below: Callable[[bytes], list[bytes]]) -> None:
    """Raise FolderError if the top-level folders are splits: their classes lie one level lower."""
    splits = [name for name in classes if name.lower() in SPLITS]
    if not splits:
        return
    first = os.fsencode(splits[0])
    is_class = (  # trains beside cars and buses
        len(splits) == 1 < len(classes)
        and not any(b"/" in file[len(first) + 1 :] for file in below(first))
    )
    if not is_class:
        raise FolderError(
            f"{shown}: {listed(splits)} at the top: give {shown}/{splits[0]}, or rename the folder if"
            " it is a class"
        )


def _list_below(root: bytes, folder: bytes, passed_over: Counter[str]) -> list[bytes]:
    """All images of a folder at the top and of those in it, in order."""
    files, folders = _list(root, folder + b"/", passed_over)
    while folders:
        more, below = _list(root, folders.pop() + b"/", passed_over)
        files += more
        folders += below
        if not folders:
            files.sort()
    return files


def _list(root: bytes, prefix: bytes, passed_over: Counter[str]) -> tuple[list[bytes], list[bytes]]:
    """The images that lie directly in `root + prefix`, in order, and the folders.

    Most of the time goes to the operating system, so files are handled all at once, and only what
    is no file one by one. They are text until the end: that is sorted in two thirds of the time.
    """
    others = list[os.DirEntry[str]]()
    try:
        with os.scandir(os.fsdecode(root + prefix)) as entries:
            names = [e.name for e in entries if e.is_file() or others.append(e)]  # type: ignore[func-returns-value]  # None, as is meant
    except OSError as error:
        _name(error)
        raise
    names.sort()
    start, stop = bisect_left(names, "."), bisect_left(names, "/")  # the character after a dot
    if start < stop:
        passed_over[HIDDEN] += stop - start
        del names[start:stop]
    return _images(names, os.fsdecode(prefix), passed_over), _folders(others, prefix, passed_over)


def _images(names: list[str], prefix: str, passed_over: Counter[str]) -> list[bytes]:
    """The paths of the files that are images by their names, which are sorted as text."""
    if not names:
        return []
    paths = prefix + ("\0" + prefix).join(names)
    suffix = names[0][names[0].rfind(".") :]
    if not _is_image(suffix) or (paths + "\0").count(suffix + "\0") < len(names):
        passed_over.update(_no_image(name) for name in names if not _is_image(name))
        images = [prefix + name for name in names if _is_image(name)]
        if not images:
            return []
        paths = "\0".join(images)
    found = os.fsencode(paths).split(b"\0")
    return found if paths.isascii() else sorted(found)  # bytes may have another order than text


def _folders(
    entries: list[os.DirEntry[str]], prefix: bytes, passed_over: Counter[str]
) -> list[bytes]:
    """The paths of the folders among what is no file; raises FolderError for a link to nowhere."""
    folders = []
    for entry in entries:
        if entry.name.startswith("."):
            passed_over[HIDDEN] += 1
        elif entry.name in LITTER:
            passed_over[LEFT_BEHIND] += 1
        elif entry.is_dir(follow_symlinks=False):
            folders.append(prefix + os.fsencode(entry.name))
        elif entry.is_dir():
            passed_over[LINKED] += 1
        elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110  # surrogates
            raise FolderError(f"{printable(entry.path)}: {TO_NOWHERE}")
        else:
            passed_over[IRREGULAR] += 1
    return folders


def _name(error: OSError) -> None:
    """Raise the error of a link or a folder with its name."""
    shown = printable(os.fsdecode(error.filename or ""))
    if error.errno == errno.ELOOP:
        raise FolderError(f"{shown}: {TO_NOWHERE}") from error
    error.strerror = f"{error.strerror}: {shown}"


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in SUFFIXES


def _no_image(name: str) -> str:
    """Why a file with that name is passed over."""
    if name.lower() in LITTER:
        return LEFT_BEHIND
    suffix = printable(os.path.splitext(name)[1].lower())  # noqa: PTH122  # it takes less time
    return f"no image by its suffix {suffix}" if suffix else "no suffix"


def listed(names: list[str]) -> str:
    """Some names, and how many there are."""
    shown = ", ".join(printable(name) for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED:,} more"


def _counts(passed_over: Counter[str]) -> str:
    counted = ", ".join(f"{n:,} × {reason}" for reason, n in passed_over.most_common(NAMED))
    return counted and f"; passed over: {counted}"
