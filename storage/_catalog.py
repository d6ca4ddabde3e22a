"""Which parts of a store count: their listing is the manifest.

A part whose ids all lie within a longer one was rewritten into that and no longer counts. Small
commits make small parts: `FOLD` of a kind become one, and as many of those again, so that there are
few; `compact` does the same with all that are small.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain

import numpy as np

from ._batch import SLAB_BYTES
from ._checksum import Labels, Rows
from ._errors import CorruptStoreError, StorageError
from ._files import TEMPORARY, Folder
from ._gather import Gather, gather_of
from ._index import INDEX, Index, PartCells, Piece
from ._part import Kind, Part, PartName, Record

PART = re.compile(r"([0-9]{12})-([0-9]{12})")
COUNT = re.compile(r"count-[0-9]{12}")
"""A file that tells by its name how many images there are: without it, the loss of the last ones
would look like an earlier state.

It is renamed after each commit and never synced: that it lags behind does no harm.
"""
MAX_OPEN_PARTS = 100
"""Each takes up to four file descriptors, of the 1,024 that a process often has."""
SMALL_PART, MAX_INDEXES = 100, 20_000
"""Indexes of parts of so few images are kept in memory, so many of them: 200 MB at most."""
LARGE_PART = 1_000_000
"""Of more images than this a name is not believed without a look at the part."""
FOLD = 16
"""So many parts at the end of a store become one, where they are of a kind and small."""
FOLD_BYTES = SLAB_BYTES
"""A part of as many bytes of cells is not small, and stays as it is until `compact`."""
COMPACT_BYTES = 2**30
"""What `compact` joins parts to."""


def count_name(n: int) -> str:
    return f"count-{n:012d}"


class Listing:
    """The parts that count at one time, in id order; it never changes.

    length: how many images they hold
    """

    def __init__(self, names: list[PartName]) -> None:
        self.names = names
        self.length = names[-1].stop if names else 0
        self._firsts = [name.first for name in names]
        self._array: Rows | None = None

    def name_of(self, image_id: int) -> PartName:
        return self.names[bisect_right(self._firsts, image_id) - 1]

    def owners(self, ids: Rows) -> Rows:
        """For each id the place of its part in `names`."""
        if self._array is None:
            self._array = np.array(self._firsts, np.int64)
        return np.searchsorted(self._array, ids, side="right") - 1


class Catalog:
    """The parts of a store, and those of them that are open.

    listing: replaced as a whole when parts are added or joined, so that a reader that has got one
        may go on with it
    """

    def __init__(self, folder: Folder, kind: Kind) -> None:
        """Find the parts in `folder`; raises `CorruptStoreError`, OSError."""
        self.folder = folder
        self.kind = kind
        self._parts: dict[PartName, Part] = {}
        self._indexes: dict[PartName, Index] = {}
        self._gather: tuple[Listing | None, Gather | None] = None, None
        self._fold_from = 0  # parts before are large, or joining them has failed
        self.listing = Listing([])
        listed = folder.names()
        self.look_again(listed)
        least = max((int(name[-12:]) for name in filter(COUNT.fullmatch, listed)), default=0)
        if self.listing.length < least:
            self.look_again()  # a commit came between what the listing has of parts and of counts
        if self.listing.length < least:
            raise self._missing(self.listing.length, least)

    # ---- what is there -------------------------------------------------------------------------

    def look_again(self, listed: list[str] | None = None) -> None:
        """Find the parts anew, as after another process has joined some."""
        listed = self.folder.names() if listed is None else listed
        while True:
            try:
                names = self._chain(listed)
                break
            except CorruptStoreError:
                # While a writer is at work a long listing may have a later part and not an
                # earlier one. What two listings lack is not there.
                before, listed = listed, self.folder.names()
                if set(listed) == set(before):
                    raise
        if names != self.listing.names:
            for name in names:
                if name.stop - name.first > LARGE_PART:
                    self.index(name)  # which refuses a name that claims more than there is
            self.listing = Listing(names)

    def _chain(self, listed: Iterable[str]) -> list[PartName]:
        """The parts that follow one another, without those that a longer one has replaced."""
        found = filter(None, map(PART.fullmatch, listed))
        every = [PartName(int(match[1]), int(match[2])) for match in found]
        names: list[PartName] = []
        expected = 0
        for name in sorted(every, key=lambda name: (name.first, -name.stop)):
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

    def index(self, name: PartName, folder: Folder | None = None) -> Index:
        """The index of a part, whose folder may be open; small ones are kept."""
        index = self._indexes.get(name)
        if index is None:
            if part := self._parts.get(name):
                return part.index
            index = Index(folder or Folder(name.folder, self.folder), name.first, name.stop)
            if index.length <= SMALL_PART:
                if len(self._indexes) >= MAX_INDEXES:
                    self._indexes = {}
                self._indexes[name] = index
        return index

    def part(self, name: PartName) -> Part:
        """The open part of that name; those opened last are kept open."""
        part = self._parts.get(name)
        if part is None:
            folder = Folder(name.folder, self.folder)
            part = self._parts[name] = Part(folder, self.index(name, folder), self.kind)
            if len(self._parts) > MAX_OPEN_PARTS:
                with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
                    self._parts.pop(next(iter(self._parts)))  # dropped: it may be in use
        return part

    # ---- reading ---------------------------------------------------------------------------------

    def read_one(self, image_id: int, check: bool) -> Record:
        """One record, for which less is done than pays for many."""
        name = self.listing.name_of(image_id)
        return self.part(name).read_one(image_id - name.first, check)

    def gather(self, listing: Listing) -> Gather | None:
        """The gather of all parts of a listing, or None where there can be none; found out once."""
        known = self._gather
        if known[0] is not listing:
            possible = self.kind.payload.is_raw and len(listing.names) <= MAX_OPEN_PARTS
            gather = gather_of([*map(self.part, listing.names)]) if possible else None
            known = self._gather = listing, gather
        return known[1]

    def labels(self, length: int, check: bool) -> Labels:
        """The labels of the first `length` images, (length,), read from the indexes alone."""
        every = [self._labels(name, check) for name in self.listing.names if name.first < length]
        return np.concatenate([np.empty(0, np.int64), *every])[:length]

    def _labels(self, name: PartName, check: bool) -> Labels:
        index = self.index(name)
        if check:
            index.check_table()
        labels: Labels = index.table["label"]
        return labels

    # ---- writing ---------------------------------------------------------------------------------

    def remove_remains(self) -> None:
        """Remove what a writer that was killed has left."""
        counting = {name.folder for name in self.listing.names}
        for name in self.folder.names():
            if name.startswith(TEMPORARY) or (PART.fullmatch(name) and name not in counting):
                self.folder.remove(name)
        self._count()

    def _count(self) -> None:
        """Let one file tell how many images there are."""
        name = count_name(self.listing.length)
        with suppress(OSError):  # what was stored is stored: the count may lag behind
            counts = {*filter(COUNT.fullmatch, self.folder.names())}
            if not counts:
                self.folder.write(name, b"")
            elif name not in counts:  # never two, as if the writer were killed in between
                self.folder.rename(counts.pop(), name)
            for other in counts - {name}:
                self.folder.remove(other)

    def publish(self, labels: Labels, pieces: Iterator[Piece], durable: bool) -> None:
        """Add a part at the end: whole if this returns, and not at all if it raises."""
        length = self.listing.length
        name = PartName(length, length + len(labels))
        self._write(name, labels, pieces, durable)
        self.listing = Listing([*self.listing.names, name])
        try:
            self.folder.rename(count_name(length), count_name(name.stop))
        except OSError:
            self._count()

    def _write(
        self, name: PartName, labels: Labels, pieces: Iterator[Piece], durable: bool
    ) -> None:
        temporary, (container, payload) = TEMPORARY + name.folder, self.kind
        self.folder.remove(temporary)  # left where it could not be removed
        try:
            folder = self.folder.make_folder(temporary)
            cells = PartCells(name.first, labels, pieces, payload.is_raw, container.largest_cell)
            cells.write_index(folder, container.file, container.write(folder, cells))
            if durable:
                folder.sync([INDEX, *container.files(name.first, name.stop)])
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
        """Join the last parts if they are many and small.

        What fails leaves them as they are, and is no error of the call that came before.
        """
        try:
            while run := self._small_run():
                self._join(run, durable)
        except (StorageError, OSError, MemoryError):
            self._fold_from = self.listing.length

    def _small_run(self) -> list[PartName]:
        """The parts at the end that are to be joined: `FOLD` or more, none much larger than others.

        So each image is written anew a few times only, however large calls and small ones mix.
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

    def compact(self, durable: bool) -> None:
        """Join neighbouring parts to such of about `COMPACT_BYTES`; raises what reading raises."""
        run: list[PartName] = []
        total = 0
        for name in self.listing.names:
            size = self.index(name).cell_bytes
            if total + size > COMPACT_BYTES:
                self._join(run, durable)
                run, total = [], 0
            run.append(name)
            total += size
        self._join(run, durable)

    def _join(self, run: list[PartName], durable: bool) -> None:
        """Write neighbouring parts as one. Their records are copied, with the checksums they have."""
        if len(run) < 2:
            return
        labels = [self._labels(name, check=True) for name in run]
        copies = chain.from_iterable(self.part(name).copies() for name in run)
        joined = PartName(run[0].first, run[-1].stop)
        self._write(joined, np.concatenate(labels), copies, durable)
        self._gather = None, None  # which keeps what is removed mapped
        names = self.listing.names
        start = names.index(run[0])
        self.listing = Listing([*names[:start], joined, *names[start + len(run) :]])
        for name in run:
            self._parts.pop(name, None)
            self._indexes.pop(name, None)
            # Put aside as a whole, so that nobody takes half of it for a part that is damaged.
            aside = TEMPORARY + name.folder
            self.folder.remove(aside)
            self.folder.rename(name.folder, aside)
            with suppress(OSError):
                self.folder.remove(aside)
            self.folder.remove(aside)  # once more, where a call of the system has failed
        if durable:
            self.folder.sync()
