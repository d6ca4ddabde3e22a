"""The user's own pictures: a folder of image files, of which as many are loaded as memory allows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from storage import ImageFileError, StorageError
from storage.images.decoding import MAX_PIXELS, decode
from storage.images.folder import ImageFolder, listed, read_folder
from storage.images.survey import survey

from .dataset import Dataset, Images
from .errors import DatasetNotFoundError, PictureError

NAME = "pictures"
"""Saved with runs instead of the folder's name, which is the user's."""
MOST_BYTES = 100_000 * 32 * 32 * 3
"""Pixels are loaded up to this size, that of 100,000 CIFAR-10 images."""
SEED = 0


@dataclass(frozen=True)
class PictureOptions:
    """How a folder of pictures is read; see `storage.images.decoding.decode`.

    skip: leave out the files that are refused, instead of raising an error
    allow_empty: whether class folders may have no images
    """

    mode: str = "rgb"
    orientation: str = "apply"
    max_pixels: int = MAX_PIXELS
    skip: bool = False
    allow_empty: bool = False

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        return decode(
            data, mode=self.mode, orientation=self.orientation, max_pixels=self.max_pixels
        )


def load_pictures(
    path: Path, options: PictureOptions, *, limit: int | None, progress: bool = False
) -> Dataset:
    """Pictures of a folder, in an order drawn once, so that the first ones are of all classes.

    Their identity is a digest over all files, their labels and the options. Raises DatasetError if
    the folder cannot be read, or if a file is refused and not skipped.

    limit: the most pictures to load; fewer are loaded once their pixels exceed `MOST_BYTES`
    """
    try:
        folder = read_folder(path, allow_empty=options.allow_empty)
        found = survey(
            folder,
            mode=options.mode,
            orientation=options.orientation,
            max_pixels=options.max_pixels,
        )
    except StorageError as error:
        what = "a data set is a folder of pictures or of CIFAR batches, or a .tar.gz"
        raise DatasetNotFoundError(f"{error}; {what}") from error
    refused = dict(found.refused)
    if refused and not options.skip:
        raise _refusal(path, refused)
    try:
        identity = _identity(folder, options, refused, progress)
        images, labels = _load(path, folder, options, limit, refused, progress)
    except StorageError as error:
        raise PictureError(str(error)) from error
    if not labels:
        raise DatasetNotFoundError(f"{path}: none of its files is an image that can be stored")
    remarks = (*found.lines(), *(f"left out: {name}: {why}" for name, why in refused.items()))
    return Dataset(
        NAME,
        identity,
        as_array(images),
        np.array(labels, np.int64),
        note=f"{len(refused):,} files were left out" if refused else "",
        is_folder=True,
        remarks=remarks,
    )


def _load(
    path: Path,
    folder: ImageFolder,
    options: PictureOptions,
    limit: int | None,
    refused: dict[str, str],
    progress: bool,
) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Images and labels up to the limits; files found to be damaged are added to `refused`."""
    images, labels, size = list[NDArray[np.uint8]](), list[int](), 0
    for i in np.random.default_rng(SEED).permutation(len(folder)).tolist():
        name = folder.name(i)
        if name in refused:
            continue
        if len(images) == limit:
            break
        data = folder.read(i)
        try:
            image = options.decode(data)
        except ImageFileError as error:
            refused[name] = str(error)
            if not options.skip:
                raise _refusal(path, refused) from error
            continue
        size += image.nbytes
        if images and size > MOST_BYTES:
            break
        images.append(image)
        labels.append(int(folder.labels[i]))
    return images, labels


def as_array(images: list[NDArray[np.uint8]]) -> Images:
    """One array (n, H, W[, C]) if the shapes are equal, else an array (n,) of the images."""
    if len({image.shape for image in images}) == 1:
        return np.stack(images)
    several = np.empty(len(images), object)
    for i, image in enumerate(images):
        image.setflags(write=False)
        several[i] = image
    return several


def _identity(
    folder: ImageFolder, options: PictureOptions, refused: Mapping[str, str], progress: bool
) -> str:
    """A digest over the bytes and labels of all files and what changes their pixels, not names.

    refused: by their headers, or since they cannot be read; their bytes do not count
    """
    digest = hashlib.sha256()
    digest.update(f"{options.mode} {options.orientation} {options.max_pixels}".encode())
    labels = folder.labels.tolist()
    for i in tqdm(range(len(folder)), desc="reading", unit="files", disable=not progress):
        data = b"" if folder.name(i) in refused else folder.read(i)
        digest.update(hashlib.sha256(data).digest() + labels[i].to_bytes(8, signed=True))
    return f"sha256:{digest.hexdigest()}"


def _refusal(path: Path, refused: dict[str, str]) -> PictureError:
    name, reason = next(iter(refused.items()))
    others = f", and {listed([*refused][1:])}" if len(refused) > 1 else ""
    return PictureError(
        f"{path}: {name} is refused: {reason}{others}; --on-error=skip leaves such files out"
    )
