"""Stores made of parts that never change: one file or folder for each commit.

A part is named `FIRST-STOP` plus the store's suffix: the id of its first image and the id after
its last, twelve digits each. It is written under a temporary name, synced and renamed, so that it
is there whole or not at all, and a listing of the directory tells the length of the store without
opening anything. A format may put the next commit into the last part, behind what is there, and
rename that: only what the name covers is of the store. A part whose ids all lie within an earlier,
longer one was rewritten into that by `compact` and no longer counts.
"""

import errno
import os
import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._base import Record, Store
from ._errors import CorruptRecordError, CorruptStoreError
from ._files import TEMPORARY, remove, sync
from ._records import (
    Batch,
    Checksums,
    Image,
    Images,
    Labels,
    Shape,
    checksum,
    checksums,
    common_shape,
    slab_length,
    stacked,
)

Rows: TypeAlias = NDArray[np.int64]
Result = TypeVar("Result")

READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""How files are opened: no symbolic link is followed, and no pipe in a file's place waited for."""
MAX_OPEN_PARTS = 64
MAX_LISTINGS = 100
LARGE_PART = 1_000_000
"""Of more images than this a name is not believed without a look at the part."""
SMALL_PART = 10_000
"""Parts of fewer images than this are worth merging with their neighbours."""


class PartName(NamedTuple):
    """What a part is called and which ids it holds: `first` to `stop - 1`."""

    file: str
    first: int
    stop: int


class Part(ABC):
    """An open part. `rows` are positions in it, counted from 0.

    shape: the shape of all its images, or None where they differ
    """

    shape: Shape | None

    def __init__(self, folder: Path, name: PartName) -> None:
        self.name = name
        self.path = folder / name.file

    def _open_descriptor(self, flags: int = 0) -> int:
        """Open the part's own file or folder, not one that a symbolic link in its place names."""
        try:
            return os.open(self.path, READING | flags)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise self._broken("a symbolic link, or not of its kind") from error
            raise

    def _broken(self, reason: str) -> CorruptStoreError:
        return CorruptStoreError(f"{self.path}: {reason}; restore it from a copy")

    @abstractmethod
    def shapes(self, rows: Rows) -> list[Shape]:
        """The shape of each row."""

    @abstractmethod
    def read_into(self, rows: Rows, images: Image) -> None:
        """Fill `images`, (len(rows), H, W[, C]); all rows have that shape."""

    @abstractmethod
    def table(self, rows: Rows) -> tuple[Labels, Checksums]:
        """The labels and checksums of the rows."""

    @abstractmethod
    def labels(self, check: bool) -> Labels:
        """The labels of all rows, on their own."""

    def read(self, rows: Rows, images: Image, check: bool) -> Labels:
        """Fill `images` slab by slab, check each while it is in the cache; return the labels."""
        labels, stored = self.table(rows)
        shape = images.shape[1:]
        step = slab_length(shape)
        for start in range(0, len(rows), step):
            piece = slice(start, start + step)
            self.read_into(rows[piece], images[piece])
            if check:
                flat = images[piece].reshape(len(rows[piece]), -1)
                found = checksums(rows[piece] + self.name.first, labels[piece], shape, flat)
                wrong = np.flatnonzero(found != stored[piece])
                if len(wrong):
                    raise self.damaged(int(rows[piece][wrong[0]]), "its checksum does not match")
        return labels

    def read_one(self, row: int, check: bool) -> Record:
        """One record: the same as `read`, without what only pays for many."""
        rows = np.array([row], np.int64)
        image = np.empty((1, *self.shapes(rows)[0]), np.uint8)
        labels, stored = self.table(rows)
        self.read_into(rows, image)
        label = int(labels[0])
        if check and checksum(self.name.first + row, label, image.shape[1:], image) != stored[0]:
            raise self.damaged(row, "its checksum does not match")
        return image[0], label

    def problems(self) -> list[str]:
        """What is wrong with the part's files beyond what reading the records shows."""
        return []

    def damaged(self, row: int, reason: str) -> CorruptRecordError:
        return CorruptRecordError(
            f"{self.path}: image {self.name.first + row} is damaged: {reason}; restore it"
            " from a copy"
        )


def grouped(ids: Rows, starts: Rows) -> Iterator[tuple[int, slice | Rows]]:
    """For each interval that begins at one of `starts`: its index and the positions in `ids`."""
    owner = np.searchsorted(starts, ids, side="right") - 1
    if owner[0] == owner[-1] and (owner == owner[0]).all():
        yield int(owner[0]), slice(0, len(ids))
        return
    if (np.diff(owner) >= 0).all():
        cuts = np.flatnonzero(np.diff(owner)) + 1
        for start, stop in zip([0, *cuts], [*cuts, len(ids)], strict=True):
            yield int(owner[start]), slice(int(start), int(stop))
        return
    order = np.argsort(owner, kind="stable")
    for positions in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        yield int(owner[positions[0]]), positions


class PartStore(Store):
    """A store of one part per commit; a format adds how a part is written, opened and merged."""

    suffix: ClassVar[str]

    # In id order; added to or replaced as a whole, because other threads may hold it.
    _names: list[PartName]

    @abstractmethod
    def _write_part(self, path: Path, batch: Batch) -> None:
        """Write `batch` to the new file or folder `path`, and sync it if `self.durable`."""

    @abstractmethod
    def _open_part(self, name: PartName) -> Part:
        """Open a part; raises FileNotFoundError, and `CorruptStoreError` where it cannot hold as
        many images as its name says.
        """

    def _create(self) -> None:
        pass  # a store without parts is an empty store

    def _attach(self, names: list[str]) -> int:
        self._open_parts: OrderedDict[PartName, Part] = OrderedDict()
        covered = self._scan(names)
        for name in self._names:
            if name.stop - name.first > LARGE_PART:
                self._open_part(name)  # which refuses a name that claims more than there can be
        if self.mode != "r":
            for file in (*covered, *(name for name in names if name.startswith(TEMPORARY))):
                remove(self.path / file)
        return self._names[-1].stop if self._names else 0

    def _detach(self) -> None:
        self._open_parts.clear()

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(r"(\d{12})-(\d{12})" + re.escape(self.suffix))

    def _is_own(self, name: str) -> bool:
        return self._pattern.fullmatch(name) is not None

    def _scan(self, listed: list[str]) -> list[str]:
        """Find the parts in a listing, or in a new one; return those that others have replaced."""
        for _ in range(MAX_LISTINGS):
            try:
                return self._chain(listed)
            except CorruptStoreError:
                # While a writer is at work a long listing may have a later part and not an
                # earlier one. What two listings lack is not there.
                before, listed = listed, os.listdir(self.path)
                if set(listed) == set(before):
                    raise
        return self._chain(listed)

    def _chain(self, listed: list[str]) -> list[str]:
        """Put the parts in order; return those that a longer one has replaced."""
        found = filter(None, map(self._pattern.fullmatch, listed))
        every = [PartName(match[0], int(match[1]), int(match[2])) for match in found]
        names: list[PartName] = []
        covered = []
        for name in sorted(every, key=lambda name: (name.first, -name.stop)):
            expected = names[-1].stop if names else 0
            if name.stop <= expected:
                covered.append(name.file)
            elif name.first > expected:
                raise CorruptStoreError(
                    f"{self.path}: images {expected} to {name.first - 1} are missing before"
                    f" {name.file}; restore them from a copy"
                )
            elif name.first < expected:
                raise CorruptStoreError(
                    f"{self.path}: {name.file} overlaps the part before it, which ends with image"
                    f" {expected - 1}; remove the wrong one"
                )
            else:
                names.append(name)
        self._check_count(listed, names[-1].stop if names else 0)
        self._names = names
        return covered

    def _append(self, batch: Batch) -> None:
        name = self._part_name(batch.first, batch.first + len(batch.labels))
        self._publish(name, partial(self._write_part, batch=batch))

    def _part_name(self, first: int, stop: int) -> PartName:
        return PartName(f"{first:012d}-{stop:012d}{self.suffix}", first, stop)

    def _publish(self, name: PartName, write: Callable[[Path], None]) -> None:
        """Write a part under a temporary name, then make it one of the store's."""
        temporary = self.path / (TEMPORARY + name.file)
        try:
            write(temporary)
            self._rename(temporary.name, name.file)
        except BaseException:
            remove(temporary)
            raise
        names = self._names
        if not names or names[-1].stop == name.first:
            names.append(name)  # who holds the list finds what was there before at its place
        else:
            before = [old for old in names if old.stop <= name.first]
            after = [old for old in names if old.first >= name.stop]
            self._names = [*before, name, *after]

    def _rename(self, old: str, new: str) -> None:
        """Give a part the name under which it counts, or undo that where it cannot be synced."""
        folder = os.fspath(self.path)
        os.rename(f"{folder}/{old}", f"{folder}/{new}")  # noqa: PTH104  # for every commit; two paths take as long to make
        try:
            if self.durable:
                sync(self.path)
        except BaseException:
            os.rename(f"{folder}/{new}", f"{folder}/{old}")  # noqa: PTH104  # as above
            raise

    def _part(self, name: PartName) -> Part:
        """The open part of that name; the ones used last are kept open."""
        with self._mutex:
            part = self._open_parts.pop(name, None) or self._open_part(name)
            self._open_parts[name] = part
            if len(self._open_parts) > MAX_OPEN_PARTS:
                # Dropped, not closed: another thread may be reading it.
                self._open_parts.popitem(last=False)
        return part

    def _read(self, ids: NDArray[np.int64]) -> tuple[Images, Labels]:
        return self._while_compacted(lambda: self._gather(ids))

    def _read_one(self, image_id: int) -> Record:
        return self._while_compacted(lambda: self._gather_one(image_id))

    def _labels(self) -> Labels:
        return self._while_compacted(self._gather_labels)

    def _while_compacted(self, read: Callable[[], Result]) -> Result:
        """Read again as often as a writer has meanwhile merged the parts that were listed."""
        while True:
            names = self._names
            try:
                return read()
            except FileNotFoundError as error:
                with self._mutex:
                    self._open_parts.clear()
                    self._scan(os.listdir(self.path))
                if self._names == names:
                    raise CorruptStoreError(f"{error.filename}: is missing; restore it") from error

    def _gather_labels(self) -> Labels:
        names = [name for name in self._names if name.first < self._length]
        every = [self._part(name).labels(self._check) for name in names]
        return np.concatenate([np.empty(0, np.int64), *every])[: self._length]

    def _gather_one(self, image_id: int) -> Record:
        names = self._names
        name = names[bisect_right(names, image_id, key=lambda name: name.first) - 1]
        return self._part(name).read_one(image_id - name.first, self._check)

    def _gather(self, ids: NDArray[np.int64]) -> tuple[Images, Labels]:
        names = self._names
        starts = np.array([name.first for name in names], np.int64)
        groups = [(names[i], positions) for i, positions in grouped(ids, starts)]
        labels = np.empty(len(ids), np.int64)
        shape = self._part(groups[0][0]).shape
        if shape is None:
            return self._gather_mixed(ids, groups, labels), labels
        images = np.empty((len(ids), *shape), np.uint8)
        step = slab_length(shape)
        for name, positions in groups:
            part = self._part(name)  # one at a time: there may be more than can be open at once
            if part.shape != shape:
                return self._gather_mixed(ids, groups, labels), labels
            rows = ids[positions] - part.name.first
            if isinstance(positions, slice):
                labels[positions] = part.read(rows, images[positions], self._check)
                continue
            for start in range(0, len(rows), step):
                piece = slice(start, start + step)
                slab = np.empty((len(rows[piece]), *shape), np.uint8)
                labels[positions[piece]] = part.read(rows[piece], slab, self._check)
                images[positions[piece]] = slab
        return images, labels

    def _gather_mixed(
        self, ids: NDArray[np.int64], groups: list[tuple[PartName, slice | Rows]], labels: Labels
    ) -> Images:
        """Images of any shapes, one by one; fills `labels`."""
        images: list[Image] = [np.empty(0, np.uint8)] * len(ids)
        every = np.arange(len(ids))
        for name, positions in groups:
            part = self._part(name)
            rows = ids[positions] - name.first
            for position, row in zip(every[positions].tolist(), rows.tolist(), strict=True):
                images[position], labels[position] = part.read_one(row, self._check)
        same = common_shape([image.shape for image in images])
        return images if same is None else np.stack(images)

    def _compact(self) -> None:
        for run in self._small_runs():
            name = self._part_name(run[0].first, run[-1].stop)
            self._publish(name, partial(self._merge, run=run))
            for old in run:
                self._open_parts.pop(old, None)
                remove(self.path / old.file)

    def _small_runs(self) -> list[list[PartName]]:
        """Neighbouring small parts, two or more together."""
        runs: list[list[PartName]] = [[]]
        for name in self._names:
            if name.stop - name.first < SMALL_PART:
                runs[-1].append(name)
            else:
                runs.append([])
        return [run for run in runs if len(run) > 1]

    def _merge(self, path: Path, run: list[PartName]) -> None:
        """Write the records of neighbouring parts, checked as they are read, as the part `path`."""
        every = []
        shapes = []
        for name in run:
            part = self._open_part(name)
            every.append(part.labels(check=True))
            shapes += part.shapes(np.arange(name.stop - name.first))
        labels = np.concatenate(every)
        first = run[0].first
        step = min(map(slab_length, set(shapes)))

        def groups() -> Iterator[Image]:
            for start in range(0, len(labels), step):
                ids = np.arange(first + start, first + min(start + step, len(labels)))
                yield from stacked(self._gather(ids)[0], step)

        self._write_part(path, Batch(first, labels, common_shape(shapes) or shapes, groups))

    def _structure_problems(self) -> list[str]:
        return self._while_compacted(
            lambda: [problem for name in self._names for problem in self._part(name).problems()]
        )
