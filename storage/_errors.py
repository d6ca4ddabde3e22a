"""The errors of all stores. A message is one line that names the store and what to do."""

import errno


class StorageError(Exception):
    """Base of all errors of this package; each also derives from the built-in that fits."""


class ImageIdError(StorageError, IndexError):
    """An id that the store does not hold: negative or too large."""


class ImageIdTypeError(StorageError, TypeError):
    """An id that is not an integer."""


class DTypeError(StorageError, TypeError):
    """An image that is not a uint8 array, or a label that is not an integer."""


class ShapeError(StorageError, ValueError):
    """An image that is too large, or not (H, W) or (H, W, C) with H, W >= 1 and 1 <= C <= 4."""


class LabelError(StorageError, ValueError):
    """A label outside the range of int64."""


class LengthError(StorageError, ValueError):
    """No images to store, or not one label per image."""


class StoreExistsError(StorageError, FileExistsError):
    """The directory of the new store already holds a store or other data."""


class StoreNotFoundError(StorageError, FileNotFoundError):
    """There is no store to open."""


class FormatError(StorageError, ValueError):
    """A store of another format, or of a version that this release does not read."""


class ReadOnlyError(StorageError, PermissionError):
    """The store was opened for reading, or the permissions do not suffice."""


class ClosedError(StorageError, ValueError):
    """The store was used after `close()`."""


class BusyError(StorageError, BlockingIOError):
    """Another writer, program or process has the store or one of its files open."""


class StoreIOError(StorageError, OSError):
    """The operating system refused to read or write."""


class DiskFullError(StoreIOError):
    """No space, inodes or quota left; every earlier commit is intact."""


class CorruptStoreError(StorageError, OSError):
    """The files contradict each other or their format; problems: a line for each one found."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class CorruptRecordError(CorruptStoreError):
    """An image, label or checksum that is not what was stored."""


class ImageFileError(StorageError, ValueError):
    """A file that holds no image that can be stored, with the reason."""


class ExecutorError(StorageError, RuntimeError):
    """The executor of a conversion gave up on a part; the same conversion goes on where it was."""


class FolderError(StorageError, ValueError):
    """A folder of images that cannot be read as one, with the reason and what to do."""


def printable(path: str) -> str:
    """A path for messages: one line, with bytes that are not UTF-8 escaped."""
    try:
        data = path.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # of no bytes at all
        data = path.encode(errors="backslashreplace")
    return data.decode(errors="backslashreplace").replace("\n", "\\n")


class os_errors:  # noqa: N801  # a generator would take three times as long
    """Name the store in errors; turn those of the operating system into this module's."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DTypeError | ShapeError | LabelError | LengthError):
            if not str(error).startswith(f"{self._path}: "):  # a task and its coordinator name it
                error.args = (f"{self._path}: {error}",)
        elif isinstance(error, OSError) and not isinstance(error, StorageError):
            # Not kept here: an error in a frame of its own traceback would live on, with open files.
            raise self._translated(error) from error

    def _translated(self, error: OSError) -> StorageError:
        translated = self._meaning(error)
        for note in getattr(error, "__notes__", ()):
            translated.add_note(note)
        return translated

    def _meaning(self, error: OSError) -> StorageError:
        path, reason = self._path, error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "earlier commits are whole: free some space and store again"
            return DiskFullError(f"{path}: disk full ({reason}); {advice}")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            text = f"may not be written or read ({reason}); check the permissions"
            return ReadOnlyError(f"{path}: {text}")
        return StoreIOError(f"{path}: {reason}")
