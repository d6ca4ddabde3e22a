"""CIFAR-10, the Python version: finding it, in the cache or where the user says, and checking it.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import hashlib
from os.path import lexists
from pathlib import Path

from .archive import read_archive
from .batches import BATCH_NAMES, FOLDER, MAX_BATCH_BYTES, BatchFiles, digest, join
from .dataset import Dataset
from .errors import (
    ArchiveError,
    BatchError,
    ChecksumError,
    DatasetError,
    DatasetNotFoundError,
    NotAvailableError,
)
from .sources import OFFICIAL, Download

BATCH_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952)."""
SUPPORTED = (
    "give the Python version of CIFAR-10, a directory of batches or a .tar.gz, or a folder of pictures;"
    " its binary version and CIFAR-100 are not supported"
)


def load_cifar10(
    cache_dir: Path | None, *, offline: bool, progress: bool, download: Download = OFFICIAL
) -> Dataset:
    """CIFAR-10 from the cache, downloaded into it first if needed.

    Raises NotAvailableError if it is not in the cache and no source could be reached or none was
    tried; ChecksumError if the cached archive, or a source's, is not the official one; DatasetError
    if the archive has the right checksum but cannot be read.

    cache_dir: the folder for the archive; None: the operating system's cache folder
    """
    from .download import default_cache, fetch  # whose libraries take a tenth of a second to import

    file = (cache_dir or default_cache()) / download.file_name
    try:
        is_cached = file.is_file()
    except OSError as error:
        raise NotAvailableError(f"the cache cannot be read ({error.strerror})") from error
    if not is_cached:
        if offline:
            raise NotAvailableError("it is not in the cache, and the download is switched off")
        fetch(download, file.parent, progress=progress)
    try:
        stream = file.open("rb")
    except OSError as error:
        raise ArchiveError(
            f"{file}: cannot be read ({error.strerror}); fix or delete it"
        ) from error
    with stream:
        # Hashed and read through one handle, so the file cannot be replaced in between.
        if hashlib.file_digest(stream, "sha256").hexdigest() != download.sha256:
            raise ChecksumError(f"{file}: wrong sha256, not the official CIFAR-10; delete the file")
        stream.seek(0)
        batches = read_archive(stream, str(file))
    _require_some(batches, file)
    images, labels = join(batches, str(file))
    return Dataset("cifar10", download.identity, images, labels)


def load_path(path: Path) -> Dataset:
    """The batches in a directory or a .tar.gz that the user names; they need not be official.

    Raises DatasetNotFoundError if the path does not exist or has no batches; DatasetError if a
    batch or the archive cannot be used.

    path: an archive, a directory of batches, or one with a folder `cifar-10-batches-py`
    """
    try:
        batches = _read_path(path)
    except DatasetError:
        raise
    except FileNotFoundError as error:
        raise DatasetNotFoundError(
            f"{path}: no such data set; name 'cifar10', 'standin', a directory or a .tar.gz"
        ) from error
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read ({error})") from error
    _require_some(batches, path)
    images, labels = join(batches, str(path))
    if _is_official(batches):
        return Dataset("cifar10", OFFICIAL.identity, images, labels)
    return Dataset(path.resolve().name, f"sha256:{digest(batches)}", images, labels)


def _read_path(path: Path) -> BatchFiles:
    if not path.is_dir():
        with path.open("rb") as stream:
            if stream.read(2) not in (GZIP, b""):
                raise DatasetNotFoundError(f"{path}: not a .tar.gz; {SUPPORTED}")
            stream.seek(0)
            return read_archive(stream, str(path))
    if lexists(path / FOLDER):
        path = path / FOLDER
        if not path.is_dir():
            raise BatchError(f"{path}: not a folder of CIFAR batches, or a broken link")
    batches: dict[str, bytes] = {}
    for name in BATCH_NAMES:
        file = path / name
        if not lexists(file):
            continue
        if not file.exists():
            raise BatchError(f"{file}: a broken link; fix or delete it")
        if not file.is_file() or file.stat().st_size > MAX_BATCH_BYTES:
            raise BatchError(f"{file}: not a CIFAR batch, no file or larger than 64 MiB")
        batches[name] = file.read_bytes()
    return batches


def _require_some(batches: BatchFiles, place: Path) -> None:
    if not batches:
        raise DatasetNotFoundError(
            f"{place}: no CIFAR batch in it (data_batch_1 to data_batch_5); {SUPPORTED}"
        )


def _is_official(batches: BatchFiles) -> bool:
    found = {
        name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in batches.items()
    }
    return found == BATCH_MD5
