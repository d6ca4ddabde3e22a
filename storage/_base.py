"""The contract that all stores share. A store's own module holds only what differs.

To add a store, derive from `Store`, set `format`, write the abstract methods and name the class in
`_registry.py`; a store of one immutable part per commit derives from `PartStore` instead.

Beside a store's own files, its directory holds

    store.json          {"format": ..., "version": ...}, written last when a store is created
    store.lock          empty; a writer holds a lock on it
    count-000000001000  empty; the name tells how many images there are, or were a commit ago
"""

import json
import os
import re
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from ._errors import (
    BusyError,
    ClosedError,
    CorruptRecordError,
    CorruptStoreError,
    DTypeError,
    FormatError,
    ImageIdError,
    ImageIdTypeError,
    LabelError,
    LengthError,
    ReadOnlyError,
    ShapeError,
    StoreExistsError,
    StoreNotFoundError,
    os_errors,
)
from ._files import (
    TEMPORARY,
    DiskUsage,
    WriterLock,
    disk_usage,
    remove,
    sync,
    write_atomically,
)
from ._records import Batch, Image, Images, Labels, is_integer_type, make_batch

Mode: TypeAlias = Literal["r", "a", "x"]
Ids: TypeAlias = Sequence[int] | NDArray[np.integer]
Record: TypeAlias = tuple[Image, int]

HEADER = "store.json"
LOCK = "store.lock"
COUNT = re.compile(r"count-(\d{12})")
"""Without this file, the loss of what was stored last would look like an earlier state.

It is renamed after each commit and never synced: that it lags behind does no harm.
"""
EMPTY_COUNT = "count-000000000000"
MAX_PROBLEMS_SHOWN = 3


def read_header(path: Path) -> tuple[str, int]:
    """The format and version that the store at `path` says it has.

    Raises `StoreNotFoundError`, `CorruptStoreError`, OSError.
    """
    try:
        header = json.loads(_header_text(path))
    except ValueError:
        header = None
    match header:
        case {"format": str(name), "version": int(version)}:
            return name, version
    raise CorruptStoreError(f"{path}: {HEADER} does not name a format and a version; restore it")


def _header_text(path: Path) -> bytes:
    try:
        with open(f"{path}/{HEADER}", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(
            f"{path}: no store here; create one with mode='x' or mode='a'"
        ) from None


@cache
def header_of(name: str, version: int) -> bytes:
    """The contents of the header file of a format's stores."""
    return json.dumps({"format": name, "version": version}).encode() + b"\n"


def recorded_count(names: Iterable[str]) -> int:
    """How many images a store said it held, by the names in its directory; 0 if it said nothing."""
    return max((int(match[1]) for name in names if (match := COUNT.fullmatch(name))), default=0)


class Store(ABC):
    """Images with labels, numbered from 0 in the order they were stored.

    An image is uint8 of shape (H, W) or (H, W, C), 1 <= C <= 4; a label is any int64. One call
    that stores is one commit: after a crash the store holds exactly the calls that returned, or
    those and the one in flight, whole. There is one writer at a time and any number of readers;
    what a reader sees is fixed when it opens the store. Every record carries a checksum.

    path: the store's directory
    mode: "r" reads (the default), "a" opens or creates, "x" creates
    durable: what a call has stored has reached the disk when it returns; with False, the
        operating system
    verify: check each record read against its checksum

    Raises `StoreExistsError`, `StoreNotFoundError`, `FormatError`, `BusyError`, `ReadOnlyError`,
    `CorruptStoreError`; ValueError for another mode.
    """

    format: ClassVar[str]
    version: ClassVar[int] = 1
    _alive: ClassVar["weakref.WeakSet[Store]"] = weakref.WeakSet()

    # ---- what a store's own module provides ------------------------------------------------

    @abstractmethod
    def _create(self) -> None:
        """Make the files of an empty store in `self.path`, synced if `self.durable`."""

    def _remains_of_creation(self) -> Collection[str]:
        """Names of files that a `_create` cut short may have left, and that hold no image."""
        return ()

    @abstractmethod
    def _is_own(self, name: str) -> bool:
        """Whether the file or folder `name` in the store's directory holds its images."""

    @abstractmethod
    def _attach(self, names: list[str]) -> int:
        """Open the files and return how many images they hold.

        names: what the directory held just before; passed to `_check_count`

        Called again in another process after `fork` or unpickling, there only for reading.
        A writer removes here what a crash has left.
        """

    @abstractmethod
    def _append(self, batch: Batch) -> None:
        """Commit `batch`: whole if this returns, and not at all if it raises."""

    @abstractmethod
    def _read(self, ids: NDArray[np.int64]) -> tuple[Images, Labels]:
        """The records `ids` (at least one, all present) in that order.

        Images are new arrays, checked if `self._check`; raises `CorruptRecordError`.
        """

    @abstractmethod
    def _labels(self) -> Labels:
        """All labels or more, in id order, as a new array, checked if `self._check`.

        More where another process has stored since; the caller cuts them off.
        """

    @abstractmethod
    def _compact(self) -> None:
        """Rewrite many small commits as few. A crash at any instant leaves all records."""

    @abstractmethod
    def _detach(self) -> None:
        """Close whatever `_attach` opened."""

    def _read_one(self, image_id: int) -> Record:
        """One record. A store that knows a shorter way than `_read` overrides this."""
        images, labels = self._read(np.array([image_id], np.int64))
        return images[0], int(labels[0])

    def _structure_problems(self) -> list[str]:
        """What is wrong with the files beyond what reading the records shows.

        May raise `CorruptStoreError` instead.
        """
        return []

    # ---- opening and closing ---------------------------------------------------------------

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode = "r",
        *,
        durable: bool = True,
        verify: bool = True,
    ) -> None:
        if mode not in ("r", "a", "x"):
            raise ValueError(
                f"mode {mode!r}: give 'r' (read), 'a' (open or create) or 'x' (create)"
            )
        self.path = Path(path).absolute()  # so that a later chdir changes nothing
        self.mode: Mode = mode
        self.durable = durable
        self._check = verify
        self._closed = True  # until everything below has worked
        self._lock: WriterLock | None = None
        self._storing = False
        self._mutex = threading.RLock()
        Store._alive.add(self)
        self._process = os.getpid()
        with os_errors(self.path):
            if mode == "r":
                self._check_header()
                self._length = self._attach(os.listdir(self.path))
            else:
                self._open_for_writing()
        self._closed = False

    def _check_header(self) -> None:
        if _header_text(self.path) == header_of(self.format, self.version):
            return
        name, version = read_header(self.path)
        if (name, version) != (self.format, self.version):
            raise FormatError(
                f"{self.path}: a store of format {name!r} version {version}, not {self.format!r}"
                f" version {self.version}; use open_store, or a release that knows it"
            )

    def _open_for_writing(self) -> None:
        new_folders = [] if self._exists() else self._make_folders()
        try:
            self._lock = WriterLock(self.path / LOCK)
            if self._exists():  # asked again now that nobody else can create it
                self._length = self._attach(os.listdir(self.path))
                self._record_count(self._length)  # for a writer that was killed before it could
            else:
                self._create_all(new_folders)
        except BaseException:
            self._release()
            for folder in new_folders:
                with suppress(OSError):  # not empty: another writer has created the store
                    folder.rmdir()
            raise

    def _exists(self) -> bool:
        if not (self.path / HEADER).exists():
            return False
        if self.mode == "x":
            raise StoreExistsError(f"{self.path}: a store exists; open it with mode='a' or 'r'")
        self._check_header()
        return True

    def _make_folders(self) -> list[Path]:
        """Make the store's directory and those above it; return the new ones, innermost first."""
        if self.path.exists():
            if not self.path.is_dir() or self._others(self._is_remains):
                raise StoreExistsError(
                    f"{self.path}: holds something, but no {HEADER}; choose an empty directory, or"
                    " restore that file"
                )
            return []
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True)
        return new

    def _others(self, is_own: Callable[[str], bool]) -> list[str]:
        """What is in the directory, but neither `is_own` nor left by a call cut short."""
        return sorted(
            name
            for name in os.listdir(self.path)
            if name not in (HEADER, LOCK) and not name.startswith(TEMPORARY) and not is_own(name)
        )

    def _create_all(self, new_folders: list[Path]) -> None:
        self._remove_remains()
        try:
            self._create()
            (self.path / EMPTY_COUNT).touch()
            if self.durable:
                for folder in new_folders:
                    sync(folder.parent)
            # The header comes last: what has none is not a store yet.
            header = header_of(self.format, self.version)
            write_atomically(self.path / HEADER, header, self.durable)
            self._length = self._attach(os.listdir(self.path))
        except BaseException:
            remove(self.path / HEADER)  # where only the last sync failed, or to open it
            self._remove_remains()
            if new_folders:
                remove(self.path / LOCK)
            raise

    def _is_remains(self, name: str) -> bool:
        return name == EMPTY_COUNT or name in self._remains_of_creation()

    def _remove_remains(self) -> None:
        for name in (EMPTY_COUNT, *self._remains_of_creation()):
            remove(self.path / name)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def close(self) -> None:
        """Close the store; a second call does nothing."""
        if not self._closed:
            self._closed = True
            if self._process == os.getpid():
                self._detach()
            self._release()

    def __enter__(self) -> Self:
        self._ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def _ready(self) -> None:
        """Refuse a closed store; attach again in a process that was forked or unpickled here."""
        if self._closed:
            raise ClosedError(f"{self.path}: the store is closed; open it again")
        if self._process != os.getpid():
            self._attach_here()

    def _attach_here(self) -> None:
        if self.mode != "r":
            raise BusyError(
                f"{self.path}: opened for writing by the parent process; open it again with"
                " mode='r' in this one"
            )
        with self._mutex, os_errors(self.path):
            if self._process != os.getpid():
                self._check_header()
                held = self._attach(os.listdir(self.path))
                if held < self._length:
                    raise CorruptStoreError(
                        f"{self.path}: holds {held} images where it held {self._length}; it was"
                        " replaced: open it again"
                    )
                self._process = os.getpid()

    @classmethod
    def _after_fork(cls) -> None:
        # A thread that the child does not have may hold the lock.
        for store in list(cls._alive):
            store._mutex = threading.RLock()

    def __getstate__(self) -> dict[str, object]:
        if self.mode != "r":
            raise TypeError(f"{self.path}: only a store opened with mode='r' can be pickled")
        self._ready()
        return {
            "path": self.path,
            "durable": self.durable,
            "check": self._check,
            "length": self._length,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.path = cast(Path, state["path"])
        self.durable = cast(bool, state["durable"])
        self._check = cast(bool, state["check"])
        self._length = cast(int, state["length"])
        self.mode = "r"
        self._closed = False
        self._lock = None
        self._mutex = threading.RLock()
        Store._alive.add(self)
        self._process = -1  # no process: the first use attaches

    # ---- storing ---------------------------------------------------------------------------

    def store_single(self, image: Image, label: int) -> int:
        """Store one image and return its id; one commit.

        image: uint8 (H, W) or (H, W, C)
        label: any int64

        Raises `DTypeError`, `ShapeError`, `LabelError`, `ReadOnlyError`, `DiskFullError`,
        `StoreIOError`; nothing is stored then.
        """
        return self._commit([image], [label]).start

    def store_many(
        self,
        images: Image | Iterable[Image],
        labels: Sequence[int] | NDArray[np.integer],
    ) -> range:
        """Store images in order and return their ids; one commit.

        images: an array (N, H, W) or (N, H, W, C) of uint8, a sequence of images whose shapes may
            differ, or any iterable of images, which is read once and never held whole
        labels: N integers within int64

        Raises `LengthError` where the numbers differ or are zero, and what `store_single` raises;
        nothing is stored then.
        """
        return self._commit(images, labels)

    def _commit(self, images: object, labels: object) -> range:
        self._ready()
        if self.mode == "r":
            raise ReadOnlyError(f"{self.path}: opened for reading; open it with mode='a'")
        with self._mutex, os_errors(self.path), self._naming_the_store():
            if self._storing:
                raise BusyError(f"{self.path}: the images being stored store images themselves")
            self._storing = True
            try:
                batch = make_batch(self._length, images, labels)
                self._append(batch)
                self._length += len(batch.labels)
                self._record_count(batch.first)
                return range(batch.first, self._length)
            finally:
                self._storing = False

    def _record_count(self, before: int) -> None:
        with suppress(OSError):  # what was stored is stored: the count may lag behind
            try:
                os.rename(self._count_file(before), self._count_file(self._length))  # noqa: PTH104  # for every commit; two paths take as long to make
            except FileNotFoundError:  # it does
                for name in filter(COUNT.fullmatch, os.listdir(self.path)):
                    (self.path / name).rename(self._count_file(self._length))

    def _count_file(self, n: int) -> str:
        return f"{self.path}/count-{n:012d}"

    def _check_count(self, names: Iterable[str], held: int) -> None:
        """Raise `CorruptStoreError` where the store holds fewer images than it said it did."""
        if held < (count := recorded_count(names)):
            raise CorruptStoreError(
                f"{self.path}: images {held} to {count - 1} are missing; restore them from a copy"
            )

    @contextmanager
    def _naming_the_store(self) -> Iterator[None]:
        """Begin what is said of a bad image or label with the store's path."""
        try:
            yield
        except (DTypeError, ShapeError, LabelError, LengthError) as error:
            error.args = (f"{self.path}: {error}",)
            raise

    def compact(self) -> None:
        """Rewrite many small commits as few; readers go on as they were.

        Crash-safe as any commit. Raises `ReadOnlyError`, `DiskFullError`, `StoreIOError`,
        `CorruptStoreError`.
        """
        self._ready()
        if self.mode == "r":
            raise ReadOnlyError(f"{self.path}: opened for reading; open it with mode='a'")
        with self._mutex, os_errors(self.path):
            self._compact()

    # ---- reading ---------------------------------------------------------------------------

    def read_single(self, image_id: int) -> Record:
        """Return one image, an own writable uint8 array of the stored shape, and its label.

        Raises `ImageIdError`, `ImageIdTypeError`, `CorruptRecordError`.
        """
        self._ready()
        if not is_integer_type(type(image_id)):
            raise ImageIdTypeError(
                f"{self.path}: an id is a {type(image_id).__name__}; give an integer"
            )
        if not 0 <= image_id < self._length:
            raise self._missing(int(image_id))
        with os_errors(self.path):
            return self._read_one(int(image_id))

    def read_many(self, ids: Ids | None = None) -> tuple[Images, Labels]:
        """Return the images `ids`, in that order and as often as named; all of them for None.

        The images are one array (N, H, W[, C]) where the shapes read are all equal, else a list
        of arrays; labels are (N,) int64. No ids give an empty list. Raises as `read_single`.
        """
        self._ready()
        checked = self._checked_ids(range(self._length) if ids is None else ids)
        if not len(checked):
            return [], np.empty(0, np.int64)
        with os_errors(self.path):
            return self._read(checked)

    def _checked_ids(self, ids: Ids) -> NDArray[np.int64]:
        if hasattr(ids, "__array__"):
            return self._checked_array(np.asarray(ids))
        if not isinstance(ids, Sequence) or isinstance(ids, str | bytes):
            raise ImageIdTypeError(
                f"{self.path}: ids are a {type(ids).__name__}; give a sequence of integers"
            )
        if not ids:
            return np.empty(0, np.int64)
        # Checked before NumPy sees them: it would make integers of Booleans, and floats of
        # integers beyond int64; a range may be too long to be listed.
        consecutive = isinstance(ids, range)
        for kind in {int} if consecutive else set(map(type, ids)):
            if not is_integer_type(kind):
                raise ImageIdTypeError(f"{self.path}: an id is a {kind.__name__}; give integers")
        ends = (ids[0], ids[-1]) if consecutive else ids
        if min(ends) < 0 or max(ends) >= self._length:
            raise self._missing(int(next(i for i in ids if not 0 <= i < self._length)))
        if isinstance(ids, range):
            return np.arange(ids.start, ids.stop, ids.step, dtype=np.int64)
        return np.array(ids, np.int64)

    def _checked_array(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ImageIdTypeError(
                f"{self.path}: ids are a {ids.ndim}-dimensional array of {ids.dtype}; give one"
                " dimension of integers"
            )
        if ids.size and not (ids.min() >= 0 and ids.max() < self._length):
            raise self._missing(int(ids[(ids < 0) | (ids >= self._length)][0]))
        return ids.astype(np.int64)

    def _missing(self, image_id: int) -> ImageIdError:
        return ImageIdError(
            f"{self.path}: no image {image_id}; ids run from 0 to {self._length - 1}"
            if self._length
            else f"{self.path}: no image {image_id}; the store is empty"
        )

    @property
    def labels(self) -> Labels:
        """All labels in id order, (N,) int64, read without touching pixels."""
        self._ready()
        with os_errors(self.path):
            return self._labels()[: self._length]

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Images, Labels]: ...
    def __getitem__(self, key: int | slice) -> Record | tuple[Images, Labels]:
        """`store[i]` is `read_single(i)`; `store[a:b]` is `read_many` of that range."""
        if isinstance(key, slice):
            return self.read_many(range(*key.indices(self._length)))
        return self.read_single(key)

    def __getitems__(self, ids: Sequence[int]) -> list[Record]:
        """A list of (image, label), which is what PyTorch's `DataLoader` asks of a data set."""
        images, labels = self.read_many(ids)
        return list(zip(images, labels.tolist(), strict=True))

    def __iter__(self) -> Iterator[Record]:
        for image_id in range(self._length):
            yield self.read_single(image_id)

    # ---- looking after it ------------------------------------------------------------------

    def disk_usage(self) -> DiskUsage:
        """Apparent bytes, allocated bytes and number of files of everything in the store."""
        self._ready()
        with os_errors(self.path):
            return disk_usage(self.path)

    def verify(self) -> None:
        """Read and check everything.

        Raises `CorruptStoreError` with one line for each thing wrong in its `problems`.
        """
        self._ready()
        with self._mutex, os_errors(self.path):
            # A reader that skips the checks still has them made here.
            check, self._check = self._check, True
            try:
                problems = list(dict.fromkeys(self._problems()))  # each once
            finally:
                self._check = check
        if problems:
            shown = "; ".join(problems[:MAX_PROBLEMS_SHOWN])
            more = len(problems) - MAX_PROBLEMS_SHOWN
            raise CorruptStoreError(
                f"{self.path}: {shown}" + (f"; and {more} more" if more > 0 else ""),
                tuple(problems),
            )

    def _problems(self) -> list[str]:
        others = self._others(self._is_own)
        counts = [name for name in others if COUNT.fullmatch(name)]
        problems = [f"{name} does not belong to the store" for name in others if name not in counts]
        if len(counts) != 1:
            problems.append(f"has {len(counts)} files named count-… where one belongs")
        try:
            problems += self._structure_problems()
            self._labels()
        except CorruptStoreError as error:
            problems += error.problems
        return problems + self._record_problems()

    def _record_problems(self) -> list[str]:
        """One line for each damaged record, and one for neighbours that share a reason."""
        problems = []
        unreadable = self._unreadable(np.arange(self._length, dtype=np.int64))
        # Of consecutive ids each is as far ahead of its place in the list as the others.
        for (_, reason, is_own), group in groupby(
            enumerate(unreadable), key=lambda each: (each[1][0] - each[0], *each[1][1:])
        ):
            ids = [image_id for _, (image_id, *_) in group]
            problems.append(
                reason if is_own else f"images {ids[0]} to {ids[-1]} cannot be read: {reason}"
            )
        return problems

    def _unreadable(self, ids: NDArray[np.int64]) -> Iterator[tuple[int, str, bool]]:
        """Each record of `ids` that cannot be read, why, and whether that is about it alone.

        They are found by halving.
        """
        if len(ids) <= 1024:
            try:
                if len(ids) == 1:
                    self._read_one(int(ids[0]))
                elif len(ids):
                    self._read(ids)
                return
            except CorruptStoreError as error:
                if len(ids) == 1:
                    yield int(ids[0]), str(error), isinstance(error, CorruptRecordError)
                    return
        half = len(ids) // 2
        yield from self._unreadable(ids[:half])
        yield from self._unreadable(ids[half:])

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._length} images"
        return f"{type(self).__name__}({str(self.path)!r}, mode={self.mode!r}, {state})"


os.register_at_fork(after_in_child=Store._after_fork)
