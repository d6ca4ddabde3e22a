"""Writes every image as a file, in the folder of its class, under its name."""

import errno
import os
from collections.abc import Collection
from contextlib import closing
from pathlib import Path, PurePosixPath

import numpy as np

from .._checksum import Image
from .._encoded import KnownFile
from .._errors import ImageFileError, StorageError
from .._files import Folder
from .._progress import Progress
from ..images.folder import LITTER
from ..images.headers import format_of
from ..payloads.base import cores
from ..payloads.png import PngPayload
from .sources import PlannedImage, Source
from .task import BAD_IMAGE, ahead
from .work import Skipped

MOST_NAME_BYTES = 255
IS_NO_NAME = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
"""Of the formats whose suffix is not their name."""


def write_folder(
    source: Source, path: Path, skip: bool, progress: Progress
) -> tuple[int, list[Skipped]]:
    """Write the new folder `path`; returns how many images it has, and which were left out.

    skip: whether images that cannot be taken are left out. Raises `StorageError`, OSError.
    """
    rows, skipped = [*source.rows()], list[Skipped]()
    classes, labels = source.classes, {row.label for row in rows}
    folders = folders_of(classes, labels) if classes or labels != {0} else {}
    path.mkdir()
    for folder in folders.values():
        (path / folder).mkdir()

    def take(i: int) -> KnownFile | Image | StorageError:
        try:
            return (source.file if source.payload else source.image)(i, rows[i]).item
        except BAD_IMAGE as error:
            return error

    with closing(ahead(take, progress(range(len(rows))), cores())) as taken:
        for i, (row, item) in enumerate(zip(rows, taken, strict=True)):
            if isinstance(item, StorageError):
                if not skip:
                    raise item
                skipped.append(Skipped.of(item, source.shown(i, row)))
                continue
            write_image(path, folders.get(row.label, ""), i, row, item)
    Folder(os.fspath(path)).sync_all()
    return len(rows) - len(skipped), skipped


def write_image(
    path: Path, folder: str, i: int, row: PlannedImage, item: KnownFile | Image
) -> None:
    name = PurePosixPath(os.fsdecode(row.name))
    if isinstance(item, KnownFile):
        data = item.data
    else:
        data = PngPayload().encode(item[np.newaxis])[0]
        name = name.with_suffix(".png") if name.name else name
    if not is_safe(name):
        name = PurePosixPath(f"{i:012d}{suffix_of(data)}")
    if folder and name.parts[0] == folder and len(name.parts) > 1:
        name = PurePosixPath(*name.parts[1:])
    write_file(path / folder, name, i, data)


def write_file(folder: Path, name: PurePosixPath, i: int, data: bytes) -> None:
    """Write a file under a name, or with its id if there is a file of that name."""
    names = (name, name.with_name(f"{i:012d}-{name.name}"), PurePosixPath(f"{i:012d}{name.suffix}"))
    for each in names:
        try:
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            with (folder / each).open("xb") as file:
                file.write(data)
            return
        except OSError as error:
            if each is names[-1] or error.errno not in IS_NO_NAME:
                raise


def folders_of(classes: list[str], labels: Collection[int]) -> dict[int, str]:
    """The folder of each label: the name of its class, or its number if that cannot be one."""
    folders = {
        label: name
        for label, name in enumerate(classes)
        if is_safe(PurePosixPath(name)) and "/" not in name and classes.count(name) == 1
    }
    taken = {*folders.values()}
    for label in sorted({*range(len(classes)), *labels} - folders.keys()):
        name = str(label)
        while name in taken:
            name = f"label-{name}"
        folders[label] = name
        taken.add(name)
    return folders


def is_safe(name: PurePosixPath) -> bool:
    """Whether a name leads below the folder that it is put in, and is neither hidden nor litter."""
    return (
        bool(name.parts)
        and not name.is_absolute()
        and ".." not in name.parts
        and "\0" not in str(name)
        and all(len(os.fsencode(part)) <= MOST_NAME_BYTES for part in name.parts)
        and not any(part.startswith(".") or {part, part.lower()} & LITTER for part in name.parts)
    )


def suffix_of(data: bytes) -> str:
    try:
        form = format_of(data)
    except ImageFileError:
        return ""
    return SUFFIXES.get(form, f".{form.lower()}")
