"""The folder that a conversion works in, hidden beside its result, on a file system that all share.

    plan                    what each part holds, see `plan.py`
    attempts/PART-NAME/     a part as a task writes it; each try has a name of its own
    receipts/PART-NAME      the receipt of such a try, once all of it is on the disk
    receipts/PART           the receipt of the try that counts
    new/                    the store: the parts that are published, in order

Nothing here needs a lock or a map of a file that changes: what others read is renamed into place
when it is on the disk. A file lock keeps away a second coordinator where there are file locks.
"""

import errno
import fcntl
import json
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

from xxhash import xxh3_64_hexdigest

from .._errors import BusyError, CorruptStoreError, StoreExistsError, os_errors, printable
from .._files import TEMPORARY, Folder, StrPath
from .._index import INDEX, Index
from .._names import NAMES
from .._part import Kind, PartName
from .plan import Plan, read_plan

TRIES, PAUSE_SECONDS = 20, 0.2
"""How often a folder's removal is tried: an orphan may still add files to it, for a part at most."""
NOT_THERE = FileNotFoundError, NotADirectoryError, CorruptStoreError
"""What a part raises that is not whole; any other error may pass, and nothing is removed for it."""
KEPT = "what is finished is kept: convert again in the same way to go on, or remove"


class Skipped(NamedTuple):
    """An image that was left out."""

    name: str
    reason: str

    @staticmethod
    def of(error: Exception, shown: str) -> "Skipped":
        return Skipped(shown, str(error).removeprefix(f"{shown}: "))


@dataclass(frozen=True)
class Receipt:
    """What a task has written.

    content: the identity of what the part is made of, see `Plan`
    attempt: the name of its folder
    first: the id that the part begins with there
    digest: the xxh3_64 of its index, which holds the checksum of each record
    changed: of how many images decoding changes what, see `Converted`
    """

    content: str
    part: int
    attempt: str
    first: int
    records: int
    digest: str
    skipped: list[Skipped]
    changed: dict[str, int]

    @property
    def name(self) -> PartName:
        return PartName(self.first, self.first + self.records)

    def written(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def read_receipt(path: Path) -> Receipt | None:
    """The receipt in a file; None if it is not whole, or an orphan has just renamed it."""
    with suppress(ValueError, TypeError, KeyError, FileNotFoundError):
        found = json.loads(path.read_bytes())
        return Receipt(**found | {"skipped": [Skipped(*each) for each in found["skipped"]]})
    return None


class WorkFolder:
    """The folder of one conversion; it is made by `WorkFolder.held` alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan, self.new = path / "plan", path / "new"
        self.attempts, self.receipts = path / "attempts", path / "receipts"

    @property
    def target(self) -> Path:
        return self.path.with_name(self.path.name.removeprefix(TEMPORARY))

    # ---- written by tasks --------------------------------------------------------------------

    def hand_in(self, receipt: Receipt) -> None:
        """Keep a receipt; raises OSError."""
        folder, temporary = Folder(os.fspath(self.receipts)), TEMPORARY + receipt.attempt
        folder.write(temporary, receipt.written())
        folder.sync([temporary])
        folder.rename(temporary, receipt.attempt)

    # ---- of the coordinator ------------------------------------------------------------------

    def choose(self, receipt: Receipt) -> None:
        """Make a receipt the one that counts; raises OSError."""
        path = self.receipts / chosen(receipt.part)
        try:
            (self.receipts / receipt.attempt).rename(path)
        except FileNotFoundError:
            if read_receipt(path) != receipt:  # or it counts already
                raise

    def is_written(self, receipt: Receipt, kind: Kind) -> bool:
        """Whether the part of a try is there as its receipt says; raises OSError."""
        return is_part(self.attempts / receipt.attempt, receipt, receipt.name, kind)

    def clear(self, folder: Path, is_left_over: Callable[[str], bool]) -> None:
        """Remove what is left over in a folder.

        It is renamed first: a task that still writes to it then hands in a receipt for nothing.
        """
        for name in filter(is_left_over, os.listdir(folder)):
            gone = folder / f"{TEMPORARY}{uuid4().hex}"
            with suppress(FileNotFoundError):  # an orphan has just renamed it
                (folder / name).rename(gone)
            if not gone.exists():
                continue
            # What such a task adds meanwhile is removed at the end.
            if gone.is_dir():
                shutil.rmtree(gone, ignore_errors=True)
            else:
                gone.unlink()

    def planned(self) -> Plan | None:
        """The plan of an earlier conversion that did not come to its end; raises OSError."""
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            return read_plan(self.plan)
        return None

    def write_plan(self, write: Callable[[BinaryIO], Plan]) -> Plan:
        """Put a new plan in the place of an earlier one; raises OSError and what `write` raises.

        What is there stays: its receipts tell whether it is of the new plan, too.
        """
        self.make_folders()
        temporary = self.plan.with_name(TEMPORARY + self.plan.name)
        with temporary.open("wb") as file:
            plan = write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.plan)
        return plan

    def make_folders(self) -> None:
        for folder in (self.attempts, self.receipts, self.new):
            folder.mkdir(exist_ok=True)

    def empty(self) -> None:
        """Remove all that an earlier conversion has left."""
        self.plan.unlink(missing_ok=True)  # first: without it nothing else counts
        for entry in self.path.iterdir():
            _rmtree(entry) if entry.is_dir() else entry.unlink()

    def publish(self) -> None:
        """Give the result its name; raises `StoreExistsError`, OSError."""
        try:
            self.new.rename(self.target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                refuse_existing(self.target)
            raise
        Folder(os.fspath(self.target.parent)).sync()

    @property
    def is_published(self) -> bool:
        """Whether an earlier conversion came to its end, and was killed before it cleaned up."""
        return self.plan.exists() and not self.new.exists() and not is_free(self.target)

    def refuse_published(self) -> None:
        """Raise `StoreExistsError` if another conversion has published its result."""
        if self.is_published:
            self.empty()
            refuse_existing(self.target)

    def _is_worth_keeping(self) -> bool:
        """Whether the same call can go on with what is there, or nobody can tell now."""
        try:
            if self.is_published:
                return True
            every = map(read_receipt, self.receipts.iterdir())
            return self.new.exists() and any(receipt and receipt.records for receipt in every)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _remove(self) -> None:
        with suppress(OSError):  # the result is whole; a hidden folder stays
            self.plan.unlink(missing_ok=True)  # first: without it nothing else counts
            _rmtree(self.path)

    @staticmethod
    @contextmanager
    def held(target: Path) -> Iterator["WorkFolder"]:
        """The folder for a result, which no other conversion has.

        It is removed at the end, also after an exception unless parts are finished. Raises
        `BusyError`, `StoreExistsError`, OSError.
        """
        refuse_taken(target)
        work = WorkFolder(work_path(target))
        new_folders = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = _locked(work.path, target)
        try:
            if not work.is_published:
                refuse_existing(target)
            yield work
        except BaseException as error:
            if work._is_worth_keeping():
                error.add_note(f"{KEPT} {printable(str(work.path))}")
            else:
                work._remove()
                with suppress(OSError):  # others have put something there
                    for new_folder in new_folders:
                        new_folder.rmdir()
            raise
        work._remove()
        del folder  # with its lock, at last


_locks = weakref.WeakSet[Folder]()


def _release_in_child() -> None:
    """Workers that a pool has forked outlive a killed coordinator, and would keep its lock."""
    for folder in [*_locks]:
        os.close(folder.number)
        folder.number = -1


os.register_at_fork(after_in_child=_release_in_child)


def _locked(path: Path, target: Path) -> Folder:
    """Make the folder, and lock it where the file system has locks."""
    while True:
        with suppress(FileExistsError):
            path.mkdir()
        if path.is_symlink():
            raise StoreExistsError(f"{printable(str(path))}: a symbolic link; remove it")
        with suppress(FileNotFoundError):  # another conversion has just removed it
            folder = Folder(os.fspath(path))
            _lock(folder, target)
            if os.path.samestat(os.fstat(folder.number), path.stat()):
                return folder


def _lock(folder: Folder, target: Path) -> None:
    try:
        fcntl.flock(folder.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _locks.add(folder)
    except BlockingIOError:
        text = "another conversion writes to it; wait for its end, or choose another name"
        raise BusyError(f"{printable(str(target))}: {text}") from None
    except OSError as error:  # NFS locks no folders
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            raise


def _rmtree(path: Path) -> None:
    """Remove a folder to which a task may still write that nobody waits for; raises OSError."""
    for left in reversed(range(TRIES)):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            break
        except OSError:
            if not left:
                raise
            time.sleep(PAUSE_SECONDS)


def chosen(part: int) -> str:
    return f"{part:06d}"


def is_part(path: Path, receipt: Receipt, name: PartName, kind: Kind) -> bool:
    """Whether a folder is the whole part of a receipt, and no other, with the ids of `name`.

    Raises OSError.
    """
    if not receipt.records:
        return True
    with suppress(*NOT_THERE):
        folder = Folder(os.fspath(path))
        index = Index(folder.open(INDEX), name.first, name.stop)
        if xxh3_64_hexdigest(index.renumbered(receipt.first)) != receipt.digest:
            return False
        kind.container.open(folder, index)
        named = [NAMES] if index.has_names else []
        return {INDEX, *named, *kind.container.files(*name)} <= {*folder.names()}
    return False


def work_path(target: Path) -> Path:
    """Where the conversion to `target` works."""
    return target.with_name(f"{TEMPORARY}{target.name}")


def refuse_taken(dst: StrPath) -> None:
    """Raise `StoreExistsError` for what exists, and is of no conversion to go on with."""
    target = Path(os.path.abspath(os.fspath(dst)))  # noqa: PTH100  # links in it stay
    with os_errors(printable(str(target))):
        if not work_path(target).exists():
            refuse_existing(target)


def is_free(target: Path) -> bool:
    """Whether nothing is there but perhaps an empty folder, which a rename replaces."""
    return not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir()))


def refuse_existing(target: Path) -> None:
    with os_errors(printable(str(target))):
        if target.is_symlink() or target.is_mount():  # a rename cannot replace it
            text = "a symbolic link or a mount point; choose a name inside it"
            raise StoreExistsError(f"{printable(str(target))}: {text}")
        if not is_free(target):
            text = "exists and is not empty; choose another name, or remove it"
            raise StoreExistsError(f"{printable(str(target))}: {text}")
