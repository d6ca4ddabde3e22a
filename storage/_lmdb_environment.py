"""The one LMDB environment that a process may have open on a file, shared by its stores.

LMDB allows each process one open environment per file and none carried across `fork`. So the
stores of a process that are open on the same file share an `Environment`. It counts the
transactions in progress and, when there are none, closes and opens again: before a fork, when a
writer joins, when another process has outgrown the memory map, or when this one must.
"""

import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeAlias

import lmdb

from ._errors import CorruptStoreError, StoreIOError
from ._lmdb_pages import CommitGoneError, Pages

DATA, LOCK = "data.mdb", "lock.mdb"
MAX_READERS = 1022
"""Simultaneous read transactions, over all processes; a slot takes 64 bytes of the lock file."""
LOCK_BYTES = 64 * (MAX_READERS + 2)
"""Length of the lock file with all its slots, and a header of less than three."""
MAP_RESERVE = 64 * 2**20
"""Bytes of address space beyond twice the file that a map begins with."""
CRAMPED_RESERVE = 16 * 2**20
"""And where there is no address space for that, beyond the file itself."""
SPARE_TRANSACTIONS = 8
"""Finished read transactions kept to be used again, for as many threads."""
WAYS = 8
"""So many look-ups of one block have only what leads to it looked over, then all of the trees."""
ATTEMPTS = 100
"""So many transactions are begun anew where another process makes two commits meanwhile."""
BEYOND_PAGE = "a record goes beyond its page"

DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
    lmdb.BadValsizeError,
    lmdb.IncompatibleError,
)

Check: TypeAlias = Callable[[Pages], None]
"""A method of `Pages`."""


@contextmanager
def lmdb_errors(path: Path) -> Iterator[None]:
    """Raise what an `lmdb.Error` means here: `CorruptStoreError`, OSError or `StoreIOError`."""
    try:
        yield
    except lmdb.MapFullError:
        raise  # the writer's to handle
    except DAMAGE as error:
        raise CorruptStoreError(f"{path}: LMDB says: {error}; restore it from a copy") from error
    except lmdb.Error as error:
        if error.code > 0:  # an errno; LMDB's own codes are negative
            code = error.code
            if code == errno.EIO and not os.statvfs(path).f_bavail:
                code = errno.ENOSPC  # LMDB says EIO where a write got only a part on the disk
            raise OSError(code, os.strerror(code), os.fspath(path)) from error
        raise StoreIOError(f"{path}: LMDB says: {error}") from error


class Environment:
    """A shared environment; `Environment.of` finds or opens it, `leave` gives it back."""

    _shared: ClassVar[dict[tuple[int, int], "Environment"]] = {}
    _shared_lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, path: Path, key: tuple[int, int]) -> None:
        self._path = path
        self._key = key
        self._users = 0
        self._writer_durable: bool | None = None  # None: nobody here writes
        self._map_factor = 2
        self._cramped = False  # there is not the address space for a larger map
        self._environment: lmdb.Environment | None = None
        self._descriptor = -1  # of the data file, while the environment is open
        self._pages: Pages | None = None  # that were last looked over
        self._ways = 0  # looked over since it was opened
        self._is_sound = False  # all has been looked over since
        self._damage = ""  # or that has found this
        self._active = 0
        self._idle = threading.Condition(threading.RLock())

    @classmethod
    def of(cls, path: Path) -> "Environment":
        """The environment whose files are in the directory `path`, with one user more.

        Raises FileNotFoundError, `CorruptStoreError`.
        """
        status = os.lstat(f"{path}/{DATA}")
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            raise CorruptStoreError(
                f"{path}: {DATA} is empty or not a regular file; restore it from a copy"
            )
        key = (status.st_dev, status.st_ino)
        with cls._shared_lock:
            environment = cls._shared.setdefault(key, cls(path, key))
            environment._users += 1
        return environment

    def leave(self) -> None:
        """One user less; the last one closes it."""
        with self._shared_lock:
            self._users -= 1
            if not self._users:
                self._shared.pop(self._key, None)
                self.reset()

    def set_writer(self, durable: bool | None) -> None:
        """Let the process write, synced or not, or with None no longer."""
        with self._idle:
            self.reset()
            self._writer_durable = durable

    def reset(self) -> None:
        """Wait until no transaction is in progress and close; the next one opens again."""
        with self._idle:
            self._idle.wait_for(lambda: not self._active)
            if self._environment is not None:
                self._environment.close()
                self._environment = None
                os.close(self._descriptor)

    def grow(self) -> None:
        """Make room, the map was full; raises OSError where there is no address space."""
        if self._cramped:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), os.fspath(self._path))
        self._map_factor *= 2
        self.reset()

    def check(self, check: Check) -> None:
        """Look over the pages in a way of their own; raises `CorruptStoreError`."""
        with self.transaction(check=check):
            pass

    @contextmanager
    def transaction(
        self, write: bool = False, only: int | None = None, check: Check | None = None
    ) -> Iterator[lmdb.Transaction]:
        """A transaction whose values are memoryviews, valid only within it.

        only: the one key to be looked up, so that not all of the tree need be looked over
        check: what to look over, instead of what is to be relied upon

        Raises `CorruptStoreError`, `StoreIOError`, OSError, and lmdb.MapFullError when writing.
        """
        with lmdb_errors(self._path):
            transaction = self._begin(write, only, check)
            try:
                with transaction:
                    yield transaction
            finally:
                with self._idle:
                    self._active -= 1
                    self._idle.notify_all()

    def _begin(self, write: bool, only: int | None, check: Check | None) -> lmdb.Transaction:
        with self._idle:
            for attempt in range(ATTEMPTS):
                transaction = self._begin_unchecked(write)
                # Within it, since that keeps other processes from using its pages again.
                try:
                    self._look_over(transaction.id() - write, only, check)
                except CommitGoneError as error:
                    transaction.abort()
                    if attempt + 1 == ATTEMPTS:
                        raise self._damaged(str(error)) from error
                except BaseException:
                    transaction.abort()
                    raise
                else:
                    break
            self._active += 1
            return transaction

    def _begin_unchecked(self, write: bool) -> lmdb.Transaction:
        try:
            return self._opened().begin(write=write, buffers=True)
        except (lmdb.MapResizedError, lmdb.PanicError):
            # By a writer in another process; or a meta page could not be written, and until
            # the file is opened again LMDB refuses everything.
            self.reset()
            return self._opened().begin(write=write, buffers=True)
        except lmdb.ReadersFullError:  # perhaps by processes that no longer live
            self._opened().reader_check()
            return self._opened().begin(write=write, buffers=True)

    def _opened(self) -> lmdb.Environment:
        if self._environment is None:
            descriptor = os.open(f"{self._path}/{DATA}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    environment = self._open(self._map_factor * size + MAP_RESERVE)
                except (lmdb.MemoryError, MemoryError):
                    self._cramped = True
                    environment = self._open(size + CRAMPED_RESERVE)
                self._environment = self._checked(environment, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            self._pages, self._ways, self._is_sound, self._damage = None, 0, False, ""
        return self._environment

    def _open(self, map_size: int) -> lmdb.Environment:
        durable = self._writer_durable is not False
        open_with = partial(
            lmdb.open,
            str(self._path),
            map_size=map_size,
            readonly=self._writer_durable is None,
            create=False,
            sync=durable,
            metasync=durable,
            readahead=False,
            max_readers=MAX_READERS,
            max_spare_txns=SPARE_TRANSACTIONS,
        )
        try:
            return open_with()
        except lmdb.Error as error:
            if self._writer_durable is None and error.code in (errno.EACCES, errno.EROFS):
                return open_with(lock=False)  # where nobody may write, no reader need register
            raise

    def _checked(self, environment: lmdb.Environment, descriptor: int) -> lmdb.Environment:
        """Refuse a file that ends before its last page: reading that would kill the process.

        Also clears the slots of readers that no longer live.
        """
        try:
            info = environment.info()
            if 2 * info["num_readers"] > MAX_READERS:
                # Before the slots of killed readers are all there are: to open takes one too.
                environment.reader_check()
            page_size = environment.stat()["psize"]
            needed = (info["last_pgno"] + 1) * page_size
            held = os.fstat(descriptor).st_size
            if held < needed:
                raise CorruptStoreError(
                    f"{self._path / DATA}: has {held} bytes but its pages take {needed}; restore"
                    " it from a copy"
                )
        except BaseException:
            environment.close()
            raise
        return environment

    def _look_over(self, commit: int, only: int | None, check: Check | None) -> None:
        """Refuse what would lead LMDB out of the file, which would kill the process.

        For one key only what leads there, unless that is asked for again and again and the rest is
        not known to be damaged; for a writer also what would make it overwrite pages in use.
        """
        if self._is_sound and check is None:
            return
        try:
            if self._pages is None or self._pages.commit != commit:
                self._pages = Pages(self._descriptor, self._opened().stat()["psize"], commit)
            if check is not None:
                check(self._pages)
                return
            if only is None:
                self._check_trees(self._pages)
            elif self._ways < WAYS or not self._are_sound(self._pages):
                self._ways += 1
                self._pages.check_way(only)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        except struct.error as error:
            raise self._damaged(BEYOND_PAGE) from error

    def _are_sound(self, pages: Pages) -> bool:
        """Whether nothing is wrong in all of the trees."""
        with suppress(ValueError):
            self._check_trees(pages)
        return self._is_sound

    def _check_trees(self, pages: Pages) -> None:
        """Check all of them, once; raises ValueError, the same again."""
        if not self._damage:
            try:
                if self._writer_durable is None:
                    pages.check_blocks()
                else:
                    pages.check_all()
                self._is_sound, self._pages = True, None
                return
            except ValueError as error:
                self._damage = str(error)
            except struct.error:
                self._damage = BEYOND_PAGE
        raise ValueError(self._damage)

    def _damaged(self, reason: str) -> CorruptStoreError:
        return CorruptStoreError(
            f"{self._path / DATA}: its pages are damaged: {reason}; restore it from a copy, or copy"
            " what can be read into another store"
        )

    @classmethod
    def _before_fork(cls) -> None:
        cls._shared_lock.acquire()
        for environment in cls._shared.values():
            environment._idle.acquire()
            environment.reset()

    @classmethod
    def _after_fork(cls) -> None:
        for environment in cls._shared.values():
            environment._idle.release()
        cls._shared_lock.release()

    @classmethod
    def _after_fork_in_child(cls) -> None:
        # The locks are held by a thread that the child has too: the one that forked.
        cls._after_fork()
        for environment in cls._shared.values():
            environment._writer_durable = None


os.register_at_fork(
    before=Environment._before_fork,
    after_in_parent=Environment._after_fork,
    after_in_child=Environment._after_fork_in_child,
)
