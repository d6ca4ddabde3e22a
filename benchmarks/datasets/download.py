"""Downloading CIFAR-10 into the cache."""

import os
import time
from pathlib import Path

import pooch
import requests
import urllib3

from .errors import ChecksumError, NotAvailableError
from .sources import Download

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Environment variables; requests uses the first that is set."""
CONNECT_TIMEOUT = 3.0  # seconds to reach a source
READ_TIMEOUT = 30.0  # seconds without a byte from it
# If no source was reached after this many seconds, there is assumed to be no network.
REACH_BUDGET = 8.0


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


def default_cache() -> Path:
    """The operating system's cache folder for this project, for downloads."""
    return Path(pooch.os_cache("image-storage-benchmark"))


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
