"""The user's own pictures: a folder of image files, which stay where they are until they are read."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from xxhash import xxh3_64, xxh3_64_intdigest

from storage import ImageFileError, StorageError
from storage.images.decoding import MAX_PIXELS, decode, describe
from storage.images.folder import ImageFolder, listed, read_folder
from storage.images.survey import survey
from storage.payloads.base import in_threads
from storage.payloads.encoded import EncodedPayload

from .dataset import Dataset, Images
from .errors import DatasetNotFoundError, PictureError

NAME = "pictures"
"""Saved with runs instead of the folder's name, which is the user's."""
MOST_BYTES = 3 * 2**27
"""By default, pictures are taken until their pixels have this size: so many can be read at once."""
AT_ONCE, AT_ONCE_BYTES = 16, 2**26
"""Pictures that are decoded together, in a thread for each core, and bytes of their pixels."""
LARGE_PIXELS = 2**24
"""While pictures are loaded, one of more pixels than this is decoded at a time."""
_LARGE = Lock()
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

    @property
    def payload(self) -> EncodedPayload:
        """The payload of a store of files with these options."""
        return EncodedPayload(self.mode, self.orientation, self.max_pixels)

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        return decode(
            data, mode=self.mode, orientation=self.orientation, max_pixels=self.max_pixels
        )


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a file, without its bytes or pixels.

    path: of the file
    file_bytes: the size of the file
    nbytes: the bytes of its pixels
    file_digest, digest: of the bytes of the file, and of the shape and the pixels
    """

    path: str
    options: PictureOptions
    file_bytes: int
    nbytes: int
    file_digest: int
    digest: int

    @classmethod
    def of(cls, path: str, data: bytes, options: PictureOptions) -> "PictureFile":
        """The picture in a file that holds `data`; raises ImageFileError."""
        info = describe(data, options.max_pixels)
        with _LARGE if info.width * info.height > LARGE_PIXELS else nullcontext():
            image = options.decode(data)
        digest = xxh3_64_intdigest(data)
        return cls(path, options, len(data), image.nbytes, digest, _digest(image))

    def read(self) -> bytes:
        """The bytes of the file."""
        with open(self.path, "rb", buffering=0) as file:
            return file.readall()

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, (H, W) or (H, W, C)."""
        return self.options.decode(self.read())

    def is_same(self, found: object) -> bool:
        """Whether these are its pixels, or the bytes of its file, also as an array (n,) of them."""
        if isinstance(found, bytes):
            return xxh3_64_intdigest(found) == self.file_digest
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
            return False
        if found.ndim == 1:
            return xxh3_64_intdigest(found) == self.file_digest
        return _digest(found) == self.digest


def _digest(image: NDArray[np.uint8]) -> int:
    digest = xxh3_64(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image))
    return digest.intdigest()


def decoded(pictures: Images) -> Iterator[NDArray[np.uint8]]:
    """The pixels of an array (n,) of pictures, a few at a time, in a thread for each core."""
    some, size = list[PictureFile](), 0
    for picture in pictures.tolist():
        if some and (len(some) == AT_ONCE or size + picture.nbytes > AT_ONCE_BYTES):
            yield from in_threads(PictureFile.decode, some)
            some, size = [], 0
        some.append(picture)
        size += picture.nbytes
    yield from in_threads(PictureFile.decode, some)


def load_pictures(
    path: Path,
    options: PictureOptions,
    *,
    limit: int | None,
    most_bytes: float = MOST_BYTES,
    progress: bool = False,
) -> Dataset:
    """Pictures of a folder, in an order drawn once, so that the first ones are of all classes.

    Each is decoded once, to find damage, and only its digest is kept. The identity is a digest over
    all files, their labels and the options. Raises DatasetError if the folder cannot be read, or if
    a file is refused and not skipped.

    limit: the most pictures to take
    most_bytes: fewer are taken once their pixels have more bytes than this, but at least one
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
        images, labels = _load(path, folder, options, limit, most_bytes, refused, progress)
    except StorageError as error:
        raise PictureError(str(error)) from error
    if not labels:
        raise DatasetNotFoundError(f"{path}: none of its files is an image that can be stored")
    remarks = [*found.lines(), *(f"left out: {name}: {why}" for name, why in refused.items())]
    usable = len(folder) - len(refused)
    if len(images) < min(usable, limit or usable):
        size = sum(image.nbytes for image in images) / 1e6
        remarks.append(
            f"left out: {usable - len(images):,} of {usable:,} pictures: those taken have"
            f" {size:,.0f} MB of pixels; --cutoff={usable} takes all, and longer"
        )
    taken = np.empty(len(images), object)
    taken[:] = images
    return Dataset(
        NAME,
        identity,
        taken,
        np.array(labels, np.int64),
        note=f"{len(refused):,} files were left out" if refused else "",
        full_count=usable,
        is_folder=True,
        remarks=tuple(remarks),
    )


def _load(
    path: Path,
    folder: ImageFolder,
    options: PictureOptions,
    limit: int | None,
    most_bytes: float,
    refused: dict[str, str],
    progress: bool,
) -> tuple[list[PictureFile], list[int]]:
    """Pictures and labels up to the limits; files found to be damaged are added to `refused`."""

    def look(i: int) -> PictureFile | ImageFileError:
        file = os.path.join(folder.path, os.fsdecode(folder.files[i]))  # noqa: PTH118  # one of many
        try:
            return PictureFile.of(file, folder.read(i), options)
        except ImageFileError as error:
            return error

    pictures, labels, size = list[PictureFile](), list[int](), 0
    order = np.random.default_rng(SEED).permutation(len(folder)).tolist()
    coming = (i for i in order if folder.name(i) not in refused)
    most = len(folder) if limit is None else limit
    with tqdm(total=min(most, len(folder)), desc="decoding", disable=not progress) as bar:
        while some := [*islice(coming, min(AT_ONCE, most - len(pictures)))]:
            for i, found in zip(some, in_threads(look, some), strict=True):
                if isinstance(found, ImageFileError):
                    refused[folder.name(i)] = str(found)
                    if not options.skip:
                        raise _refusal(path, refused) from found
                    continue
                size += found.nbytes
                if pictures and size > most_bytes:
                    return pictures, labels
                pictures.append(found)
                labels.append(int(folder.labels[i]))
            bar.update(len(some))
    return pictures, labels


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
