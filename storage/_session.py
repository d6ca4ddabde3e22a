"""An open store: how it is created, found, locked, shared with other processes, and closed."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeAlias, TypeVar

from ._catalog import LOCK, NO_IMAGES, Catalog, strangers
from ._errors import (
    BusyError,
    ClosedError,
    CorruptStoreError,
    FormatError,
    ReadOnlyError,
    StorageError,
    StoreExistsError,
    os_errors,
    printable,
)
from ._files import TEMPORARY, Folder, StrPath, WriterLock
from ._header import HEADER, VERSION, Header, StoreFolder, check_classes, replaced
from ._part import Kind, PartName
from ._verify import problems_of
from .containers.base import Container
from .payloads.base import Payload

Mode: TypeAlias = Literal["r", "a", "x"]
Result = TypeVar("Result")
ErrorT = TypeVar("ErrorT", bound=StorageError)


class Session:
    """What every store does besides storing and reading; see `Store`."""

    format: ClassVar[str]
    container: ClassVar[Container]
    payload: Payload

    _alive: ClassVar = weakref.WeakSet["Session"]()
    _folder: Folder
    _catalog: Catalog | None = None
    _lock: WriterLock | None = None
    _closed = True  # until it is open
    _is_settled = True
    _length = 0

    def __init__(
        self,
        path: StrPath,
        mode: Mode = "r",
        *,
        durable: bool = True,
        verify: bool = True,
        classes: Sequence[str] = (),
    ) -> None:
        if mode not in ("r", "a", "x"):
            raise ValueError(f"mode {mode!r}: give 'r' (read), 'a' (open or create), 'x' (create)")
        if not (path := os.fspath(path)):
            raise ValueError("a path of no letters; it would be the current directory")
        # Absolute, so that `chdir` changes nothing. A Path takes far longer.
        self._path = path if path.startswith("/") else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118
        self._name = printable(self._path)  # for messages
        self._errors = os_errors(self._name)
        self.mode = mode
        self.durable, self._check = durable, verify
        self._process = os.getpid()
        self._new_mutex()
        Session._alive.add(self)
        with self._errors:
            self._classes = check_classes(classes)
            if mode == "r":
                self._enter()
            else:
                self._open_for_writing()
        self._closed = False

    @property
    def path(self) -> Path:
        """The store's directory, absolute."""
        return Path(self._path)

    @property
    def classes(self) -> list[str]:
        """The names of the labels 0, 1, ...; none if the store was created without."""
        return [*self._classes]

    def _error(self, kind: type[ErrorT], text: str) -> ErrorT:
        return kind(f"{self._name}: {text}")

    def _incomplete(self, name: PartName, reason: str) -> CorruptStoreError:
        text = f"{name.folder} takes the place of other parts but is not whole"
        advice = "copy it again, or remove that folder"
        return self._error(CorruptStoreError, f"{text} ({reason}); {advice}")

    # ---- opening and closing -------------------------------------------------------------------

    def _enter(self) -> None:
        """Open the directory of a store of this format, and find its parts."""
        self._folder = folder = StoreFolder(self._path)
        self._identity = folder.identity
        name, version, options, classes = folder.header()
        if (name, version) != (self.format, VERSION):
            wanted = f"not {self.format!r} version {VERSION}; use open_store, or another release"
            raise self._error(FormatError, f"is of format {name!r} version {version}, {wanted}")
        if self._classes not in ((), classes):
            text = "was made with other classes; leave them out, or convert it to a new store"
            raise self._error(FormatError, text)
        self._classes = classes
        try:
            self.payload = self.payload.with_options(options)
        except ValueError as error:
            text = f"was made with {error}; use another release"
            raise self._error(FormatError, text) from error
        self._attach(folder)

    def _attach(self, folder: StoreFolder) -> None:
        """Find the store's parts; a writer also removes what a killed writer has left."""
        self._catalog = catalog = Catalog(folder, Kind(self.container, self.payload))
        self._length = catalog.listing.length
        if self.mode != "r":
            for name in catalog.replacing():  # a copy of it may have been broken off
                for wrong in problems_of(catalog, name, name.stop, iter(())):
                    raise wrong if isinstance(wrong, BusyError) else self._incomplete(name, wrong)
            catalog.remove_remains()

    def _open_for_writing(self) -> None:
        path = Path(self._path)
        if path.exists() and not path.is_dir():
            raise self._error(StoreExistsError, "is not a directory; choose an empty or a new one")
        new_folders = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        try:
            self._folder = Folder(self._path)
            self._is_there()
            self._lock = WriterLock(self._folder, LOCK)
            if self._is_there():  # checked again, since now nobody else can create it
                self._enter()
            else:
                self._create(new_folders)
        except BaseException:
            self.close()
            for folder in new_folders:
                with suppress(OSError):  # not empty: another writer has created the store
                    folder.rmdir()
            raise

    def _is_there(self) -> bool:
        """Whether there is a store; refuses to create one over it, and refuses other data."""
        listed = self._folder.names()
        if HEADER in listed and self.mode == "x":
            raise self._error(StoreExistsError, "a store exists; open it with mode='a' or 'r'")
        if HEADER not in listed and strangers(listed, lambda _: False):
            advice = "choose an empty directory, or restore that file"
            raise self._error(StoreExistsError, f"is not empty but has no {HEADER}; {advice}")
        return HEADER in listed

    def _create(self, new_folders: list[Path]) -> None:
        folder, temporary = self._folder, TEMPORARY + HEADER
        header = Header(self.format, VERSION, self.payload.options, self._classes)
        try:
            for name, data in ((NO_IMAGES, b""), (temporary, header.written())):
                folder.remove(name)  # left by an interrupted creation
                folder.write(name, data)
            if self.durable:
                for path in new_folders:
                    Folder(os.fspath(path.parent)).sync()
                folder.sync([temporary])
            folder.rename(temporary, HEADER)  # last: without a header it is not a store yet
            if self.durable:
                folder.sync()
            self._enter()
        except BaseException:
            for name in (HEADER, temporary, NO_IMAGES, *([LOCK] if new_folders else [])):
                folder.remove(name)
            raise

    def close(self) -> None:
        """Close the store; a second call does nothing."""
        self._closed = True
        if self._lock is not None:
            self._lock.release()
        self._catalog = None
        self.__dict__.pop("_folder", None)

    def __enter__(self) -> Self:
        self._ready()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # ---- calls ---------------------------------------------------------------------------------

    def _ready(self) -> Catalog:
        """Return the catalog; refuses a closed store, and a writer in a forked process."""
        if self._closed:
            raise self._error(ClosedError, "the store is closed; open it again")
        if self.mode != "r" and self._process != os.getpid():
            text = "opened for writing by the parent process; open it with mode='r' in this one"
            raise self._error(BusyError, text)
        if not self._is_settled and not self._mutex.locked():
            self._locked(self._settled)
        if (catalog := self._catalog) is None:
            raise self._error(ClosedError, "the store was closed meanwhile; open it again")
        return catalog

    def _settled(self) -> Catalog:
        """As `_ready`, under the lock; finds the parts again after an interrupted call."""
        if not self._is_settled:
            with self._errors:
                if self._catalog is not None:
                    self._attach(self._catalog.folder)
            self._is_settled = True
        return self._ready()

    def _locked(self, call: Callable[[], Result]) -> Result:
        """Make a call under the lock, which that call cannot take again."""
        if self._owner == threading.get_ident() and self._mutex.locked():
            raise self._error(BusyError, "the iterable of images must not store images itself")
        # On one line, since a trace function could raise between two and leave it locked.
        with self._mutex: return self._owned(call)  # fmt: skip  # noqa: E701

    def _owned(self, call: Callable[[], Result]) -> Result:
        self._owner = threading.get_ident()
        try:
            return call()
        finally:
            self._owner = 0

    def _refuse_reader(self) -> None:
        self._ready()
        if self.mode == "r":
            raise self._error(ReadOnlyError, "opened for reading; open it with mode='a'")

    def _change(self, call: Callable[[Catalog], Result]) -> Result:
        """Make a call that writes, one thread at a time."""

        def change() -> Result:
            with self._errors:
                catalog = self._settled()
                catalog.folder.refuse_replaced()
                if self._lock is not None:
                    self._lock.check(catalog.folder)
                self._is_settled = False  # until the call has succeeded
                result = call(catalog)
            self._is_settled = True
            return result

        return self._locked(change)

    def _while_compacted(
        self, read: Callable[[Catalog], Result], catalog: Catalog | None = None
    ) -> Result:
        """Call `read`; call it again if a writer has meanwhile joined the listed parts.

        catalog: what `_ready` has just returned, if it has
        """
        with self._errors:
            while True:
                catalog = catalog or self._ready()
                listing = catalog.listing
                if listing.length < self._length:
                    raise replaced(self._name)
                try:
                    return read(catalog)
                except FileNotFoundError as error:
                    if self.mode == "r":
                        catalog.look_again()
                    if catalog.listing is listing:
                        missing = f"{error.filename} is missing; restore it from a copy"
                        raise CorruptStoreError(missing) from error

    # ---- other processes -----------------------------------------------------------------------

    def _new_mutex(self) -> None:
        self._mutex = threading.Lock()
        self._owner = 0

    @classmethod
    def _after_fork(cls) -> None:
        for session in list(cls._alive):
            session._new_mutex()  # the old one may be held by a thread that the child lacks
            if session._lock is not None:
                session._lock.release()

    def __reduce__(self) -> tuple[object, ...]:
        if self.mode != "r":
            raise TypeError(f"{self._name}: only a store opened with mode='r' can be pickled")
        self._ready()
        state = self._path, self.durable, self._check, self._length, self._identity
        return opened_again, (type(self), *state)


def opened_again(
    kind: type[Session], path: str, durable: bool, verify: bool, length: int, identity: object
) -> Session:
    """A reader of the same store as a pickled one, with as many images."""
    session = kind(path, durable=durable, verify=verify)
    if session._identity != identity:
        raise replaced(session._name)
    session._length = length
    return session


os.register_at_fork(after_in_child=Session._after_fork)
