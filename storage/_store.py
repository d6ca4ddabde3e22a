"""The contract that all stores share: what users call."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import prod
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ._batch import Batch, GivenError, make_batch, numbered
from ._catalog import Catalog
from ._checksum import Image, Images, Labels, Rows, Shape, checksums
from ._errors import BusyError, CorruptStoreError, ShapeError
from ._files import DiskUsage
from ._ids import Ids, check_id, check_ids, is_integer_type
from ._index import Piece
from ._names import Name, pack, unpack
from ._part import Record
from ._progress import Progress
from ._reading import read
from ._session import Session
from ._verify import problems
from .containers.base import Container
from .payloads.base import Payload

MAX_PROBLEMS_SHOWN = 3
STORES: "dict[str, type[Store]]" = {}
"""The class of each format, by name."""


class Prepared(NamedTuple):
    """What one call stores; pieces: makes them, given the first id; names: complete after the last."""

    labels: Labels
    pieces: Callable[[int], Iterator[Piece]]
    names: bytearray


class Store(Session):
    """Images with labels, numbered from 0 in the order they were stored.

    An image is uint8 of shape (H, W) or (H, W, C), 1 <= C <= 4; a label is any int64. One call
    that stores is one commit: after a crash the store holds exactly the calls that returned, or
    those and all of the call that was running. There is one writer at a time and any number of
    readers. A reader sees the images that the store had when it was opened. Every record carries
    a checksum.

    path: the store's directory
    mode: "r" reads (the default), "a" opens or creates, "x" creates
    durable: whether a call returns only when its images are on the disk; if False, when the
        operating system has them
    verify: whether each record read is checked against its checksum
    classes: the names of the labels 0, 1, ..., which a new store keeps

    Raises `StoreExistsError`, `StoreNotFoundError`, `FormatError`, `BusyError`, `ReadOnlyError`,
    `CorruptStoreError`; ValueError for another mode.
    """

    def __init_subclass__(
        cls, name: str = "", container: Container | None = None, payload: Payload | None = None
    ) -> None:
        if not (name or container or payload):
            return  # a subclass of an existing store
        if not (name and container and payload):
            raise TypeError(f"{cls.__name__}: give a name, a container and a payload")
        if name in STORES:
            raise ValueError(f"{name!r}: a store of that name exists; choose another")
        cls.format, cls.container, cls.payload = name, container, payload
        STORES[name] = cls

    # ---- storing ---------------------------------------------------------------------------

    def store_single(self, image: Image, label: int) -> int:
        """Store one image and its label, and return the image's id; one commit.

        Raises `DTypeError`, `ShapeError`, `LabelError`, `ReadOnlyError`, `DiskFullError`,
        `StoreIOError`; nothing is stored then.
        """
        return self.store_many([image], [label]).start

    def store_many(
        self,
        images: Image | Iterable[Image],
        labels: Sequence[int] | NDArray[np.integer],
        names: Sequence[Name] | None = None,
    ) -> range:
        """Store images in order and return their ids; one commit.

        images: uint8, as an array (N, H, W) or (N, H, W, C), which no other thread may change
            meanwhile; a list of images, whose shapes may differ; or any other iterable of images,
            which is read once and never held whole
        labels: N integers within int64
        names: of N images, such as their files'; text, or bytes that need not be UTF-8

        Raises `LengthError` if the numbers differ or are zero, and what `store_single` raises;
        nothing is stored then. What the iterable itself raises is passed on.
        """

        def prepare() -> Prepared:
            batch = make_batch(images, labels, self._check_shape)
            packed = pack(names, len(batch.labels))
            return Prepared(batch.labels, partial(self._pieces, batch), packed)

        return self._store(prepare)

    def _pieces(self, batch: Batch, first: int) -> Iterator[Piece]:
        for images, ids, labels in numbered(batch.slabs, first, batch.labels, "image"):
            yield image_piece(self.payload, images, ids, labels)

    def _store(self, prepare: Callable[[], Prepared]) -> range:
        """Store what `prepare` returns; an OSError of the caller's own iterable is passed on."""
        self._refuse_reader()
        try:
            with self._errors:
                prepared = prepare()
            return self._change(lambda catalog: self._commit(catalog, prepared))
        except GivenError as error:
            given: OSError = error.args[0]
        raise given

    def _commit(self, catalog: Catalog, prepared: Prepared) -> range:
        labels, pieces, names = prepared
        first = catalog.listing.length
        catalog.publish(labels, pieces(first), names, self.durable)
        self._length = catalog.listing.length
        catalog.fold(self.durable)
        return range(first, self._length)

    def _check_shape(self, shape: Shape) -> None:
        self.payload.check_shape(shape)
        if self.payload.is_raw and prod(shape) > (limit := self.container.largest_cell):
            raise ShapeError(f"an image of shape {shape} exceeds the limit of {limit} bytes")

    def compact(self, *, progress: Progress = iter) -> None:
        """Rewrite many small commits as few; readers go on as before.

        progress: wraps the numbers of the images, to show how far it is

        It is as crash-safe as a commit. Raises `ReadOnlyError`, `DiskFullError`, `StoreIOError`,
        `CorruptStoreError`.
        """
        self._refuse_reader()

        def rewrite(catalog: Catalog) -> None:
            catalog.compact(self.durable, progress)

        self._change(lambda _: self._while_compacted(rewrite))

    # ---- reading ---------------------------------------------------------------------------

    def read_single(self, image_id: int) -> Record:
        """Return one image, as a new writable uint8 array of the stored shape, and its label.

        Raises `ImageIdError`, `ImageIdTypeError`, `CorruptRecordError`.
        """
        catalog = self._ready()
        checked = check_id(image_id, self._length, self._name)
        return self._while_compacted(lambda found: found.read_one(checked, self._check), catalog)

    def read_many(self, ids: Ids | None = None) -> tuple[Images, Labels]:
        """Return the images `ids` in that order, repeats included, and their labels; all for None.

        The images are one array (N, H, W[, C]) if their shapes are equal, else a list of arrays, where
        neighbours may share a block of about 16 MiB, which is kept as long as any of them. Labels are
        (N,) int64. Without ids, the images are an empty list. Raises as `read_single`.
        """
        catalog = self._ready()
        ids = range(self._length) if ids is None else ids
        checked = check_ids(ids, self._length, self._name)
        if not len(checked):
            return [], np.empty(0, np.int64)
        return self._while_compacted(lambda found: read(found, checked, self._check), catalog)

    @property
    def labels(self) -> Labels:
        """All labels in id order, (N,) int64; no pixels are read."""
        return self._while_compacted(lambda catalog: catalog.labels(self._length, self._check))

    @property
    def names(self) -> list[str]:
        """The names that the images were given, in id order; "" for those that have none.

        Bytes that are not UTF-8 are as in Python's file names: `os.fsencode` gives them back.
        """
        packed = self._while_compacted(lambda catalog: catalog.names(self._length))
        return unpack(packed)[: self._length]

    def __len__(self) -> int:
        if not (self._is_settled or self._closed):
            self._ready()
        return self._length

    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Images, Labels]: ...
    def __getitem__(self, key: int | slice) -> Record | tuple[Images, Labels]:
        """`store[i]` is `read_single(i)`, from the end if i < 0; a slice is `read_many`."""
        if isinstance(key, slice):
            return self.read_many(range(*key.indices(len(self))))
        if is_integer_type(type(key)) and key < 0 and -len(self) <= key:
            key = int(key) + len(self)
        return self.read_single(key)

    def __getitems__(self, ids: Sequence[int]) -> list[Record]:
        """A list of (image, label), as PyTorch's `DataLoader` expects of a data set."""
        images, labels = self.read_many(ids)
        return list(zip(images, labels.tolist(), strict=True))

    def __iter__(self) -> Iterator[Record]:
        for image_id in range(len(self)):
            yield self.read_single(image_id)

    def iter_batches(
        self, n: int, *, shuffle: int | None = None, start: int = 0
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield what `read_many` returns for `n` images at a time; the last may be fewer.

        It holds no more than that, and 8 bytes for each image of the store if it shuffles.

        shuffle: the seed of a random order, 0 to 2**32 - 1; the same order in every store of as many
            images, in every process and release. The order of ids by default.
        start: leaves out this many images of that order, to go on in the middle of an epoch

        Raises ValueError for numbers outside these ranges.
        """
        if not is_integer_type(type(n)) or n < 1:
            raise ValueError(f"{self._name}: batches of {n!r} images; give a positive integer")
        self._ready()
        n, length = int(n), self._length
        if not is_integer_type(type(start)) or not 0 <= start <= length:
            raise ValueError(f"{self._name}: start={start!r}; give an integer from 0 to {length}")
        order: Sequence[int] | NDArray[np.int64] = range(length)
        if shuffle is not None:
            if not is_integer_type(type(shuffle)) or not 0 <= shuffle < 2**32:
                raise ValueError(
                    f"{self._name}: shuffle={shuffle!r}; give a seed from 0 to 2**32-1"
                )
            # NumPy keeps what this yields the same in all releases (NEP 19), unlike `default_rng`.
            order = np.random.RandomState(int(shuffle)).permutation(length)
        return (self.read_many(order[i : i + n]) for i in range(int(start), length, n))

    # ---- maintenance -----------------------------------------------------------------------

    def disk_usage(self) -> DiskUsage:
        """Apparent bytes, allocated bytes and number of files of everything in the store."""
        with self._errors:
            return self._ready().folder.usage()

    def verify(self, *, progress: Progress = iter) -> None:
        """Read and check everything.

        progress: wraps the numbers of the images, to show how far it is, for example `tqdm.tqdm`

        Raises `CorruptStoreError`, whose `problems` has a line for each problem, or `BusyError` if
        the only problem is that another program has a file open for writing.
        """
        errors = self._while_compacted(lambda found: problems(found, self._length, progress))
        found = [*map(str, errors)]
        if found:
            if isinstance(errors[0], BusyError) and len({*map(type, errors)}) == 1:
                raise errors[0]
            more = len(found) - MAX_PROBLEMS_SHOWN
            shown = [*found[:MAX_PROBLEMS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
            raise CorruptStoreError(f"{self._name}: {'; '.join(shown)}", tuple(found))

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._length} images"
        return f"{type(self).__name__}('{self._name}', mode={self.mode!r}, {state})"


def image_piece(payload: Payload, images: Image, ids: Rows, labels: Labels) -> Piece:
    """The cells of images of one shape, (n, H, W[, C]), and their checksums."""
    shape, cells = images.shape[1:], payload.encode(images)
    summed = cells if payload.sums_cells else images.reshape(len(images), -1)
    return Piece(cells, checksums(ids, labels, shape, summed), shape)
