"""Reading batches from a .tar.gz without extracting anything to disk."""

import gzip
import os
import tarfile
import zlib
from typing import IO, SupportsIndex

from .batches import BATCH_NAMES, MAX_BATCH_BYTES
from .errors import ArchiveError, UnsafeArchiveError

MAX_UNPACKED_BYTES = 2 << 30  # official: 186 MB. More is a decompression bomb, not a CIFAR archive


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that refuses huge reads, and reads beyond a total.

    tarfile trusts the sizes in an archive's headers, including long-name and pax headers, which it
    reads whole. So a few kilobytes of gzip could request terabytes.
    """

    def read(self, size: int | None = -1) -> bytes:
        # Nothing here reads to the end; tarfile always gives a size.
        if size is None or not 0 <= size <= MAX_BATCH_BYTES:
            raise ArchiveError(f"one piece of it is said to have {size} bytes")
        return super().read(size)

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET) -> int:
        if int(offset) > MAX_UNPACKED_BYTES:
            raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return super().seek(int(offset), whence)


def read_archive(stream: IO[bytes], file: str) -> dict[str, bytes]:
    """The content of each training batch in a .tar.gz, by its name; empty if there are none.

    Batches are top-level files, or files in one folder, with exactly these names. Raises
    UnsafeArchiveError if a member's name is absolute or has "..", or if a batch is a link, a device
    or there twice; ArchiveError if it is truncated, damaged, not a .tar.gz, or unreasonably large.

    stream: the archive, opened for reading in binary
    file: its name in errors
    """
    try:
        with _BoundedGzip(fileobj=stream, mode="rb") as unpacked:
            batches = _read_members(unpacked, file)
            _read_to_end(unpacked)
    except UnsafeArchiveError:
        raise
    except EOFError as error:
        raise ArchiveError(f"{file}: the archive is truncated; get it again") from error
    except (tarfile.TarError, zlib.error, OSError) as error:
        raise ArchiveError(
            f"{file}: not a whole .tar.gz archive ({error}); get it again"
        ) from error
    return batches


def _read_members(unpacked: _BoundedGzip, file: str) -> dict[str, bytes]:
    batches: dict[str, bytes] = {}
    with tarfile.open(fileobj=unpacked, mode="r:") as archive:
        for member in archive:
            folders = [part for part in member.name.split("/") if part not in ("", ".")]
            if member.name.startswith(("/", "\\")) or ".." in folders:
                raise UnsafeArchiveError(
                    f"{file}: its member {member.name!r} points outside the archive; do not use it"
                )
            if not folders or folders[-1] not in BATCH_NAMES or len(folders) > 2:
                continue
            name = folders[-1]
            if not member.isreg():
                raise UnsafeArchiveError(
                    f"{file}: its member {member.name!r} is a link, folder or device, not a file"
                )
            if name in batches:
                raise UnsafeArchiveError(f"{file}: it has more than one {name}")
            if member.size > MAX_BATCH_BYTES:
                raise ArchiveError(f"its member {member.name!r} has {member.size} bytes")
            content = archive.extractfile(member)
            data = content.read() if content else b""
            if len(data) != member.size:
                raise EOFError
            batches[name] = data
    return batches


def _read_to_end(unpacked: _BoundedGzip) -> None:
    """Unpack everything after the last member too: only then has gzip compared its checksum."""
    while unpacked.read(1 << 20):
        if unpacked.tell() > MAX_UNPACKED_BYTES:
            raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
