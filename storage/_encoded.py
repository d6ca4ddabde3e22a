"""Stores of the user's own image files, as they are."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._batch import SLAB_BYTES, given, numbered
from ._checksum import Labels, Rows, Shape, checksums
from ._errors import DTypeError, FormatError, ImageFileError, printable
from ._files import StrPath
from ._ids import Ids, check_ids, check_labels
from ._index import Piece
from ._names import Name, pack, packed
from ._reading import read_cells
from ._session import Mode
from ._store import Prepared, Store
from .images.decoding import refuse_by_start
from .images.headers import HEAD_BYTES, LARGE_FILE
from .payloads.base import in_threads
from .payloads.encoded import EncodedPayload


class KnownFile(NamedTuple):
    """The bytes of a file, the shape of its image, and, if it was read from a store, its label."""

    data: bytes
    shape: Shape
    label: int | None = None


File: TypeAlias = StrPath | bytes | bytearray | memoryview
"""The path of a file, or what is in it."""

MOST_FILES = 1024
"""At most this many files are held at a time, and `SLAB_BYTES` and one file more."""
READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Held(NamedTuple):
    """A file that was read."""

    data: bytes
    shown: str  # its name in messages


AnyFile = TypeVar("AnyFile", Held, KnownFile)


class EncodedStore(Store):
    """A store of image files; see `Store`.

    `store_files` keeps each file's bytes, and `read_bytes` returns them; all other reading decodes.
    Images that are stored as arrays are kept as PNG files, and read as they were.

    image_mode: "rgb" (the default) makes RGB of every file, as torchvision's loader does; "keep"
        keeps grey and alpha channels
    orientation: "apply" (the default) turns images upright by their EXIF or TIFF orientation;
        "ignore" does not
    max_pixels: no image of more is stored; 89 million by default

    A new store keeps these three. Raises `FormatError` if a store was made with others, ValueError
    for other values, and what `Store` raises.
    """

    payload: EncodedPayload

    def __init__(
        self,
        path: StrPath,
        mode: Mode = "r",
        *,
        durable: bool = True,
        verify: bool = True,
        classes: Sequence[str] = (),
        image_mode: str | None = None,
        orientation: str | None = None,
        max_pixels: int | None = None,
    ) -> None:
        every = {"image_mode": image_mode, "orientation": orientation, "max_pixels": max_pixels}
        asked = {name: value for name, value in every.items() if value is not None}
        self.payload = self.payload.with_options(asked)
        super().__init__(path, mode, durable=durable, verify=verify, classes=classes)
        made = self.payload.options
        for name, value in asked.items():
            if made[name] != value:
                self.close()
                text = f"was made with {name}={made[name]!r}; leave it out, or make a new store"
                raise self._error(FormatError, text)

    def store_files(
        self,
        files: Iterable[File],
        labels: Sequence[int] | NDArray[np.integer],
        names: Sequence[Name] | None = None,
        *,
        decode: bool = False,
    ) -> range:
        """Store image files in order, as they are, and return their ids; one commit.

        files: N paths, or the bytes of N files; any iterable, which is read once and never held
            whole
        labels: N integers within int64
        names: of N files; by default the last part of each path, and none for bytes
        decode: whether each file is decoded to find damage; otherwise its header alone is checked

        Raises `ImageFileError` for a file that is no regular file, or no image that the options
        allow; `LengthError`, `LabelError`, `DTypeError`, `ReadOnlyError`, `DiskFullError`,
        `StoreIOError`. Nothing is stored then. What the iterable itself raises is passed on.
        """

        def prepare() -> Prepared:
            checked = check_labels(labels)
            if isinstance(files, str | bytes) or not isinstance(files, Iterable):
                raise DTypeError(f"files are a {type(files).__name__}; give a list of paths")
            kept = pack(names, len(checked))
            every = self._held(files, names, kept)
            return Prepared(checked, partial(self._file_pieces, every, checked, decode), kept)

        return self._store(prepare)

    def _held(
        self, files: Iterable[File], names: Sequence[Name] | None, kept: bytearray
    ) -> Iterator[Held]:
        """Read each file; notes its name in `kept` if no names were given."""
        for i, file in enumerate(given(files)):
            shown, name = f"file {i}", b""
            if names and i < len(names) and names[i]:
                shown = printable(os.fsdecode(names[i]))
            if isinstance(file, bytes | bytearray | memoryview):
                held = Held(bytes(file), shown)
            elif isinstance(file, str | os.PathLike):
                held = self._read(path := os.fspath(file))
                name = os.path.basename(os.fsencode(path))  # noqa: PTH119  # it takes less time
            else:
                raise DTypeError(f"file {i} is a {type(file).__name__}; give a path or bytes")
            if names is None:
                kept += packed(name)
            yield held

    def _read(self, path: str) -> Held:
        try:
            return Held(read_file(path, self.payload.max_pixels), printable(path))
        except (OSError, MemoryError, ValueError) as error:  # the last for a path that is none
            reason = getattr(error, "strerror", "") or str(error) or "does not fit into memory"
            raise self._error(ImageFileError, f"{printable(path)}: {reason}") from error

    def _file_pieces(
        self, files: Iterator[Held], labels: Labels, decode: bool, first: int
    ) -> Iterator[Piece]:
        for held, ids, own in numbered(slabs(files), first, labels, "file"):
            size = sum(len(file.data) for file in held) // len(held) if decode else 0
            shapes = in_threads(partial(self._shape, decode=decode), held, size)
            yield file_piece(held, shapes, ids, own)

    def _shape(self, file: Held, decode: bool) -> Shape:
        try:
            return self.payload.shape_of(file.data, self.payload.info_of(file.data), decode)
        except ImageFileError as error:
            raise self._error(ImageFileError, f"{file.shown}: {error}") from error

    def read_bytes(self, ids: Ids | None = None) -> list[bytes]:
        """Return the files `ids` as they were stored, in that order, repeats included; all for None.

        Raises as `read_many`.
        """
        return [file.data for file in self.read_files(ids)]

    def read_files(self, ids: Ids | None = None) -> list[KnownFile]:
        """As `read_bytes`, with labels, and the shapes of the images."""
        self._ready()
        ids = range(self._length) if ids is None else ids
        checked = check_ids(ids, self._length, self._name)
        read = partial(read_cells, ids=checked, check=self._check)
        return [KnownFile(*each) for each in self._while_compacted(read)]


def read_file(path: StrPath, max_pixels: int) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Raises OSError, MemoryError, ValueError for text that is no path, or `ImageFileError` for a large
    file whose first bytes tell that it cannot be stored.
    """
    number = os.open(path, READING)  # does not wait for a pipe's other end
    with os.fdopen(number, "rb", 0) as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > LARGE_FILE:
            refuse_by_start(os.pread(number, HEAD_BYTES, 0), max_pixels)
        return file.read()


def file_piece(
    files: Sequence[Held | KnownFile], shapes: list[Shape], ids: Rows, labels: Labels
) -> Piece:
    """The bytes of files, and their checksums."""
    cells = [file.data for file in files]
    return Piece(cells, checksums(ids, labels, shapes, cells), shapes)


def slabs(files: Iterator[AnyFile]) -> Iterator[list[AnyFile]]:
    """Yield files together, up to `MOST_FILES` or until they have `SLAB_BYTES`."""
    slab, size = list[AnyFile](), 0
    for file in files:
        slab.append(file)
        size += len(file.data)
        del file  # the only copy is in the slab
        if size >= SLAB_BYTES or len(slab) == MOST_FILES:
            yield slab
            slab, size = [], 0
    if slab:
        yield slab
