"""SQLite: one table with a row for each cell, `cells.sqlite`.

    database = sqlite3.connect("cells.sqlite")
    (cell,) = database.execute("SELECT cell FROM cells WHERE row = ?", (i,)).fetchone()
    image = np.frombuffer(cell, np.uint8).reshape(shape)  # of a store of pixels

SQLite checks what it reads of its own pages, so only the header of a file, and that it is whole, are
compared before SQLite opens it. In one that never changes it needs no locks and no journal: it is
opened as `immutable`.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from weakref import finalize

from storage._errors import StorageError, StoreIOError
from storage._files import File, Folder
from storage._index import Index, PartCells, Structure
from storage.containers.base import Container, Reader
from storage.payloads.base import Cell

WRITING = """
    PRAGMA page_size = 16384;  -- five of CIFAR-10's images; 4,096 bytes hold one, and a quarter air
    PRAGMA journal_mode = OFF;  -- a part that is not finished is removed
    PRAGMA synchronous = OFF;  -- and one that is finished is synced as a whole
    CREATE TABLE cells (row INTEGER PRIMARY KEY, cell BLOB NOT NULL);
"""
INSERT = "INSERT INTO cells VALUES (?, ?)"
SELECT = "SELECT CAST(cell AS BLOB) FROM cells WHERE row = ?"
"""A bit flipped in the heading of a row may make a text, or a number, of its blob."""

WRITABLE, UNCHANGING = "mode=rw", "mode=ro&immutable=1"
"""Parameters of a file's URI. Without a mode, SQLite would make a file that has just been removed."""

ERRNO = {
    sqlite3.SQLITE_CANTOPEN: errno.ENOENT,  # removed after its descriptor was opened
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
PRIMARY_CODE = 0xFF
"""What of an extended error code (https://www.sqlite.org/rescode.html) is a key of `ERRNO`."""
HEADER_BYTES = 100
"""https://www.sqlite.org/fileformat2.html#the_database_header"""


LOCK = threading.RLock()
"""Held while SQLite is at work, by one thread. None may fork meanwhile: the child would find locks of
SQLite's own taken, and wait for them for ever.
"""
os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)


@contextmanager
def sqlite_at_work(path: str, error_of: Callable[[str], StorageError]) -> Iterator[None]:
    """Take turns, and raise what a `sqlite3.Error` means here: OSError, or `error_of` its reason."""
    try:
        # On one line, so that no exception of a trace function comes between and leaves it locked.
        with LOCK: yield  # fmt: skip  # noqa: E701
    except sqlite3.Error as error:
        code = ERRNO.get(getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE)
        if code:
            raise OSError(code, os.strerror(code), path) from error
        raise error_of(f"SQLite says of {path}: {error}") from error


def connect(file: File, parameters: str) -> sqlite3.Connection:
    """Open a file that is open, wherever it has been renamed to."""
    uri = f"file:/proc/self/fd/{file.number}?{parameters}"
    # Of its threads, any may be the last to need the connection, and closes it.
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def close(database: sqlite3.Connection) -> None:
    with LOCK: database.close()  # fmt: skip  # noqa: E701  # as above


class SqliteContainer(Container):
    """Cells in an SQLite file."""

    file = "cells.sqlite"
    largest_cell = 10**9 - 2**10  # SQLite's limit is 10**9 bytes for a row, with its heading

    def write(self, folder: Folder, cells: PartCells) -> Structure:
        folder.create(self.file).close()
        file = folder.open(self.file)
        at_work = partial(sqlite_at_work, file.path, StoreIOError)
        with at_work():
            database = connect(file, WRITABLE)
        try:
            with at_work():
                database.executescript(WRITING)
            row = 0
            for some in cells:  # runs the caller's code; its errors pass through
                with at_work():
                    database.executemany(INSERT, enumerate(some, row))
                row += len(some)
            with at_work():
                database.commit()
        finally:
            close(database)
        whole = os.fstat(file.number).st_size, 0  # the file is not shorter
        return Structure(trusted=[(0, HEADER_BYTES), whole])

    def open(self, folder: Folder, index: Index) -> Reader:
        file = folder.open(self.file)
        index.check_structure(file)
        return SqliteReader(file, index)

    def check(self, folder: Folder, index: Index) -> None:
        file = folder.open(self.file)
        at_work = sqlite_at_work(file.path, index.broken)
        with at_work, closing(connect(file, UNCHANGING)) as database:
            found = [text for (text,) in database.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            lines = ", ".join(found).splitlines()
            raise index.broken(f"SQLite finds in {file.path}: {', '.join(lines)}")


class SqliteReader(Reader):
    """An open file; SQLite opens it when the first cell is asked for."""

    def __init__(self, file: File, index: Index) -> None:
        super().__init__(index)
        self._file = file
        self._process = -1

    def cell(self, row: int, offset: int, size: int) -> Cell:
        with sqlite_at_work(self._file.path, self._index.broken):
            if self._process != os.getpid():  # a connection may not be carried across a fork
                self._database, self._process = connect(self._file, UNCHANGING), os.getpid()
                # Not as the program ends, when a thread may still read.
                finalize(self, close, self._database).atexit = False
            found = self._database.execute(SELECT, (row,)).fetchone()
        if found is None or found[0] is None or len(found[0]) != size:
            raise self._index.damaged(row, f"{self._file.path} has not the {size} bytes of it")
        cell: bytes = found[0]
        return cell
