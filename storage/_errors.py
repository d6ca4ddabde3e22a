"""Every error a store raises on purpose, the same in every store.

Each says in one line which store it is about and the way out.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class StorageError(Exception):
    """Base of all errors of this package; each derives from the built-in that fits, too."""


class ImageIdError(StorageError, IndexError):
    """An id that the store does not hold: negative, or not smaller than its length."""


class ImageIdTypeError(StorageError, TypeError):
    """An id that is not an integer."""


class DTypeError(StorageError, TypeError):
    """An image that is not a uint8 array, or a label that is not an integer."""


class ShapeError(StorageError, ValueError):
    """An image whose shape is not (H, W) or (H, W, C) with H, W >= 1 and 1 <= C <= 4."""


class LabelError(StorageError, ValueError):
    """A label outside the range of int64."""


class LengthError(StorageError, ValueError):
    """Nothing to store, or not as many labels as images."""


class StoreExistsError(StorageError, FileExistsError):
    """Creating a store where one, or other data, already is."""


class StoreNotFoundError(StorageError, FileNotFoundError):
    """Opening a store where there is none."""


class FormatError(StorageError, ValueError):
    """A store of another format, or of a version this release does not read."""


class ReadOnlyError(StorageError, PermissionError):
    """Writing to a store opened for reading, or in a directory that may not be written."""


class ClosedError(StorageError, ValueError):
    """Using a store after `close()`."""


class BusyError(StorageError, BlockingIOError):
    """Another writer, or another program or process, has the store or a file of it open."""


class StoreIOError(StorageError, OSError):
    """The operating system refused to read or write."""


class DiskFullError(StoreIOError):
    """No space, no inodes or no quota left; every earlier commit is intact."""


class CorruptStoreError(StorageError, OSError):
    """A store whose files contradict each other or their format.

    `problems` lists everything that `verify()` found, one line each.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class CorruptRecordError(CorruptStoreError):
    """An image, label or checksum that is not what was stored."""


def printable(path: str) -> str:
    """A path as messages have it: in one line, and escaped where it is not UTF-8."""
    shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return shown.replace("\n", "\\n")


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Say of which store an error is; what the operating system says becomes one of this module's."""
    try:
        yield
    except StorageError as error:
        if isinstance(error, DTypeError | ShapeError | LabelError | LengthError):
            error.args = (f"{path}: {error}",)
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "earlier commits are whole: free some space and store again"
            raise DiskFullError(f"{path}: disk full ({reason}); {advice}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            text = f"may not be written or read ({reason}); check the permissions"
            raise ReadOnlyError(f"{path}: {text}") from error
        raise StoreIOError(f"{path}: {reason}") from error
