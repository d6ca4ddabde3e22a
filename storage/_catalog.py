"""The catalog: which parts of a store count. The listing of their folders is the manifest."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain

import numpy as np

from ._batch import SLAB_BYTES
from ._checksum import Labels, Rows
from ._errors import CorruptStoreError, StorageError
from ._files import TEMPORARY, Folder
from ._gather import Gather
from ._header import HEADER, StoreFolder
from ._index import INDEX, RECORD, Index, PartCells, Piece
from ._names import END
from ._part import Kind, Part, PartName, Record, read_names, write_part
from ._progress import Progress, advance

PART = re.compile(r"([0-9]{12})-([0-9]{12})")
COUNT = re.compile(r"count-[0-9]{12}")
"""The name of this file tells the number of images. It shows when the last parts are lost. The file
is renamed after each commit and never synced, since it may lag behind.
"""
MAX_OPEN_PARTS = 100
"""An open part takes up to four file descriptors; a process often has 1,024."""
LARGE_PART = 1_000_000
"""A name that claims more images than this is compared with the length of the part's index."""
FOLD = 16
"""This many small parts of similar size at the end of a store are folded into one."""
FOLD_BYTES = SLAB_BYTES
"""A part with this many bytes of cells is not folded, only compacted."""
COMPACT_BYTES = 2**30
"""`compact` joins parts up to this many bytes of cells."""


def count_name(n: int) -> str:
    return f"count-{n:012d}"


LOCK = "store.lock"
NO_IMAGES = count_name(0)


def strangers(listed: Iterable[str], is_own: Callable[[str], object]) -> list[str]:
    """The names in a store's directory that are neither `is_own` nor from an interrupted call."""
    others = {name for name in listed if not name.startswith(TEMPORARY)} - {HEADER, LOCK, NO_IMAGES}
    return sorted(name for name in others if not is_own(name))


def parts_of(listed: Iterable[str]) -> list[PartName]:
    """The parts among the names in a store's directory."""
    found = filter(None, map(PART.fullmatch, listed))
    return [PartName(int(match[1]), int(match[2])) for match in found]


class Listing:
    """The parts that count at one time, in id order, and their `length` in images. Immutable."""

    def __init__(self, names: list[PartName]) -> None:
        self.names = names
        self.length = names[-1].stop if names else 0
        self._firsts = [name.first for name in names]
        self.firsts = np.array(self._firsts, np.int64)

    def name_of(self, image_id: int) -> PartName:
        # For one id, this takes far less time than NumPy's search.
        return self.names[bisect_right(self._firsts, image_id) - 1]

    def owners(self, ids: Rows) -> Rows:
        """The position in `names` of each id's part."""
        return np.searchsorted(self.firsts, ids, side="right") - 1


class Catalog:
    """The parts of a store. `listing` is replaced as a whole: readers go on with the old one."""

    def __init__(self, folder: StoreFolder, kind: Kind) -> None:
        """Find the parts in `folder`; raises `CorruptStoreError`, OSError."""
        self.folder = folder
        self.kind = kind
        self._parts: dict[PartName, Part] = {}
        self._gather: tuple[Listing | None, Gather | None] = None, None
        self._fold_from = 0  # earlier parts are large, or folding them has failed
        self.listing = Listing([])
        listed = folder.names()
        self.look_again(listed)
        least = max((int(name[-12:]) for name in filter(COUNT.fullmatch, listed)), default=0)
        if self.listing.length < least:
            self.look_again()  # a commit may have come while the directory was listed
        if self.listing.length < least:
            raise self._missing(self.listing.length, least)

    # ---- finding parts -------------------------------------------------------------------------

    def look_again(self, listed: list[str] | None = None) -> None:
        """List the parts again, since another process may have joined some."""
        if listed is None:
            listed = self.folder.names()
            self.folder.refuse_replaced()
        while True:
            try:
                names = self._chain(listed)
                break
            except CorruptStoreError:
                # While a writer works, a long listing may have a later part without an earlier one.
                # A part is missing if two listings in a row lack it.
                before, listed = listed, self.folder.names()
                if set(listed) == set(before):
                    raise
        if names != self.listing.names:
            for name in names:
                if (claimed := name.stop - name.first) > LARGE_PART:
                    file = self.folder.open(f"{name.folder}/{INDEX}")
                    if file.size < claimed * RECORD.itemsize:
                        wrong = f"it has less than the {claimed} images of its part's name"
                        raise CorruptStoreError(f"{file.path}: {wrong}; restore it from a copy")
            self.listing = Listing(names)

    def _chain(self, listed: Iterable[str]) -> list[PartName]:
        """The parts in id order, without those that a longer part has replaced."""
        names: list[PartName] = []
        expected = 0
        for name in sorted(parts_of(listed), key=lambda name: (name.first, -name.stop)):
            if name.first > expected:
                raise self._missing(expected, name.first)
            if name.first < expected < name.stop:
                wrong = f"{name.folder} overlaps the part that ends with image {expected - 1}"
                raise CorruptStoreError(f"{self.folder.path}: {wrong}; remove the wrong one")
            if expected < name.stop:
                names.append(name)
                expected = name.stop
        return names

    def _missing(self, first: int, stop: int) -> CorruptStoreError:
        missing = f"images {first} to {stop - 1} are missing"
        return CorruptStoreError(f"{self.folder.path}: {missing}; restore them from a copy")

    def index(self, name: PartName) -> Index:
        """The index of a part."""
        if part := self._parts.get(name):
            return part.index
        file = self.folder.open(f"{name.folder}/{INDEX}")
        self.folder.refuse_replaced()
        return Index(file, name.first, name.stop)

    def part(self, name: PartName) -> Part:
        """The open part of that name; the parts opened last stay open."""
        part = self._parts.get(name)
        if part is None:
            folder = Folder(name.folder, self.folder)
            self.folder.refuse_replaced()
            index = Index(folder.open(INDEX), name.first, name.stop)
            part = self._parts[name] = Part(folder, index, self.kind)
            if len(self._parts) > MAX_OPEN_PARTS:
                with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
                    self._parts.pop(next(iter(self._parts)))  # not closed: it may be in use
        return part

    # ---- reading ---------------------------------------------------------------------------------

    def read_one(self, image_id: int, check: bool) -> Record:
        """Read one record, without the preparation that pays only for many."""
        name = self.listing.name_of(image_id)
        return self.part(name).read_one(image_id - name.first, check)

    def gather(self, listing: Listing, owners: Rows) -> Gather | None:
        """A gather that knows the parts at these positions in `listing`; None if there is none."""
        kept, gather = self._gather
        if kept is not listing:
            gather = Gather(listing.firsts) if self.kind.container.file else None
        if gather:
            try:
                gather = gather.including(owners, lambda i: self.part(listing.names[i]))
            except MemoryError:  # all maps are given up, and made again as they are needed
                self._gather = None, None
                return None
        self._gather = listing, gather
        return gather

    def labels(self, length: int, check: bool) -> Labels:
        """The labels of the first `length` images, (length,), from the indexes alone."""
        names = [name for name in self.listing.names if name.first < length]
        labels = np.empty(names[-1].stop if names else 0, np.int64)
        for name in names:
            labels[name.first : name.stop] = self._labels(name, check)
        return labels[:length]

    def _labels(self, name: PartName, check: bool) -> Labels:
        index = self.index(name)
        if check:
            index.check_table()
        labels: Labels = index.table["label"]
        return labels

    def names(self, length: int) -> bytes:
        """The names of the first `length` images, as they are kept."""
        return b"".join(self.names_of(name) for name in self.listing.names if name.first < length)

    def names_of(self, name: PartName) -> bytes:
        """The names of a part; raises `CorruptStoreError` if they are not as they were written."""
        index = self.index(name)
        if not index.has_names:
            return END * index.length
        return read_names(Folder(name.folder, self.folder), index)

    def rows(self, first: int, check: bool) -> tuple[Labels, Rows, list[bytes]]:
        """Labels, bytes of cells and names of the records from `first` on, to the end of its part."""
        name = self.listing.name_of(first)
        index, start = self.index(name), first - name.first
        sizes: Rows = np.full(index.length, index.size) if index.size else index.table["size"]
        names = self.names_of(name).split(END)[start:-1]
        return self._labels(name, check)[start:], sizes[start:], names

    # ---- writing ---------------------------------------------------------------------------------

    def _joined(self) -> set[PartName]:
        """The parts that no longer count, since they were joined to larger ones."""
        return {*parts_of(self.folder.names())}.difference(self.listing.names)

    def replacing(self) -> set[PartName]:
        """The parts that count in the place of others which are still there."""
        return {self.listing.name_of(name.first) for name in self._joined()}

    def remove_remains(self) -> None:
        """Remove what a killed writer has left."""
        unfinished = [name for name in self.folder.names() if name.startswith(TEMPORARY)]
        for name in [*unfinished, *(name.folder for name in self._joined())]:
            self.folder.remove(name)
        self._count()

    def _count(self) -> None:
        """Make the name of one file tell the number of images."""
        name = count_name(self.listing.length)
        with suppress(OSError):  # the images are stored; the count may lag behind
            counts = {*filter(COUNT.fullmatch, self.folder.names())}
            if not counts:
                self.folder.write(name, b"")
            elif name not in counts:  # renamed, so that a kill never leaves two
                self.folder.rename(counts.pop(), name)
            for other in counts - {name}:
                self.folder.remove(other)

    def publish(
        self, labels: Labels, pieces: Iterator[Piece], names: bytes | bytearray, durable: bool
    ) -> None:
        """Add a part at the end; if this raises, nothing was added.

        names: as they are kept, complete after the last piece; empty for none
        """
        length = self.listing.length
        name = PartName(length, length + len(labels))
        self._write(name, labels, pieces, names, durable)
        self.listing = Listing([*self.listing.names, name])
        try:
            self.folder.rename(count_name(length), count_name(name.stop))
        except OSError:
            self._count()

    def _write(
        self,
        name: PartName,
        labels: Labels,
        pieces: Iterator[Piece],
        names: bytes | bytearray,
        durable: bool,
    ) -> None:
        temporary, (container, payload) = TEMPORARY + name.folder, self.kind
        self.folder.remove(temporary)  # an earlier removal may have failed
        try:
            folder = self.folder.make_folder(temporary)
            cells = PartCells(name.first, labels, pieces, payload.is_raw, container.largest_cell)
            write_part(folder, self.kind, cells, names, durable)
            self.folder.rename(temporary, name.folder)
            try:
                if durable:
                    self.folder.sync()
            except BaseException:
                self.folder.rename(name.folder, temporary)
                raise
        except BaseException:
            self.folder.remove(temporary)
            raise

    def fold(self, durable: bool) -> None:
        """Fold the last small parts if there are many. Errors are ignored: the commit is done."""
        try:
            while run := self._small_run():
                self._join(run, durable)
        except (StorageError, OSError, MemoryError):
            self._fold_from = self.listing.length

    def _small_run(self) -> list[PartName]:
        """The parts at the end to fold: `FOLD` or more, none much larger than the others.

        So each image is rewritten only a few times, however small and large calls mix.
        """
        names = self.listing.names
        largest = total = 0
        for n, name in enumerate(reversed(names), 1):
            if name.first < self._fold_from:
                return []
            length = name.stop - name.first
            largest, total = max(largest, length), total + length
            if n >= FOLD and 2 * total >= FOLD * largest:
                run = names[-n:]
                large = [part for part in run if self.index(part).cell_bytes >= FOLD_BYTES]
                if not large:
                    return run
                self._fold_from = large[-1].stop
                return self._small_run()
        return []

    def compact(self, durable: bool, progress: Progress) -> None:
        """Join neighbouring parts up to `COMPACT_BYTES`; raises what reading raises."""
        ticks = iter(progress(range(self.listing.length)))
        runs, total = list[list[PartName]](), 0
        for name in self.listing.names:
            total += (size := self.index(name).cell_bytes)
            if not runs or total > COMPACT_BYTES:
                runs.append([])
                total = size
            runs[-1].append(name)
        for run in runs:
            self._join(run, durable)
            advance(ticks, run[-1].stop - run[0].first)
        advance(ticks, 1)  # there is none, which ends a progress bar

    def _join(self, run: list[PartName], durable: bool) -> None:
        """Write neighbouring parts as one; the records keep their checksums."""
        if len(run) < 2:
            return
        labels = [self._labels(name, check=True) for name in run]
        copies = chain.from_iterable(self.part(name).copies() for name in run)
        joined = PartName(run[0].first, run[-1].stop)
        names = b"".join(map(self.names_of, run))
        self._write(joined, np.concatenate(labels), copies, names, durable)
        self._gather = None, None  # it would keep the removed files mapped
        listed = self.listing.names
        start = listed.index(run[0])
        self.listing = Listing([*listed[:start], joined, *listed[start + len(run) :]])
        for name in run:
            self._parts.pop(name, None)
            # Renamed first, so that nobody takes a half-removed folder for a damaged part.
            aside = TEMPORARY + name.folder
            self.folder.remove(aside)
            with suppress(OSError):  # then it is removed where it is
                self.folder.rename(name.folder, aside)
            with suppress(OSError):
                self.folder.remove(aside)
            for left in (name.folder, aside):  # once more, in case a system call has failed
                self.folder.remove(left)
        if durable:
            self.folder.sync()
