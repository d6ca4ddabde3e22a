"""The plan of a conversion, one file: what each part holds. It is written once and never changes.

    records  (label, size, modified) int64, then the name and a zero byte: of each image, in order
    footer   JSON: `Plan`
    end      the length of the footer, and its xxh3_64, which is the plan's identity: 8 bytes each

It is streamed to the disk, and a task reads the records of its own part alone.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from xxhash import xxh3_64, xxh3_64_digest, xxh3_64_hexdigest

from .._errors import StorageError, printable
from .._names import END
from .._part import Kind
from .._store import STORES
from ..payloads.base import Options
from .sources import PlannedImage, Source, open_source

PART_BYTES, PART_IMAGES = 2**30, 100_000
"""A part ends before it has more bytes of source or more images. The first bounds what is lost with
a task; the second bounds a task's memory, which has some 500 bytes for each image of its part.
"""
FIXED, TAIL = struct.Struct("<3q"), struct.Struct("<Q8s")


class Span(NamedTuple):
    """A part: its ids if no image is left out, and where its records are in the plan."""

    first: int
    stop: int
    start: int
    end: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """What a conversion was asked for, and its parts.

    path, source: of the source, and its identity
    options: of the source's files; None for images
    as_files: whether files are kept as they are
    listed: a digest of all records
    """

    format: str
    path: str
    source: str
    options: Options | None
    as_files: bool
    classes: list[str]
    passed_over: dict[str, int]
    listed: str
    parts: list[Span]

    def written(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @property
    def identity(self) -> str:
        return xxh3_64_hexdigest(self.written())

    def content_of(self, part: int) -> str:
        """The identity of what a part is made of, whatever there is in others."""
        span, asked = self.parts[part], (self.format, self.path, self.source, self.options)
        held = *asked, self.as_files, span.first, span.stop, span.digest
        return xxh3_64_hexdigest(json.dumps(held).encode())

    @property
    def images(self) -> int:
        return self.parts[-1].stop if self.parts else 0

    @property
    def store_options(self) -> Options:
        """What the new store's payload is made with."""
        return self.options if self.as_files and self.options else {}

    @property
    def kind(self) -> Kind:
        store = STORES[self.format]
        return Kind(store.container, store.payload.with_options(self.store_options))

    def opened(self) -> Source:
        return open_source(self.path, self.source, self.options)


def write_plan(file: BinaryIO, source: Source, format: str, as_files: bool) -> Plan:  # noqa: A002
    """Stream the plan of a conversion to a new file; raises `StorageError`, OSError."""
    parts, listed = list[Span](), xxh3_64()
    first = i = start = at = size = 0
    digest = xxh3_64()

    def cut() -> None:
        parts.append(Span(first, i, start, at, digest.hexdigest()))

    for row in source.rows():
        if i > first and (size + row.size > PART_BYTES or i - first == PART_IMAGES):
            cut()
            first, start, size = i, at, 0
            digest.reset()
        written = record_of(row)
        digest.update(written)
        listed.update(written)
        file.write(written)
        i, at, size = i + 1, at + len(written), size + row.size
    if i:
        cut()
    options = source.payload.options if source.payload else None
    asked = format, source.path, source.identity, options, as_files
    found = source.classes, dict(source.passed_over), listed.hexdigest()
    plan = Plan(*asked, *found, parts)
    footer = plan.written()
    file.write(footer + TAIL.pack(len(footer), xxh3_64_digest(footer)))
    return plan


def record_of(row: PlannedImage) -> bytes:
    return FIXED.pack(row.label, row.size, row.modified) + row.name + END


def is_of(plan: Plan, source: Source, format: str, as_files: bool) -> bool:  # noqa: A002
    """Whether a plan is of this conversion: the same files and the same options."""
    options = source.payload.options if source.payload else None
    asked = format, source.path, source.identity, options, as_files
    if asked != (plan.format, plan.path, plan.source, plan.options, plan.as_files):
        return False
    listed = xxh3_64()
    for row in source.rows():
        listed.update(record_of(row))
    return (listed.hexdigest(), source.classes) == (plan.listed, plan.classes)


def read_plan(path: Path) -> Plan | None:
    """The plan in a file; None if it is not whole. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < TAIL.size:
            return None
        file.seek(size - TAIL.size)
        length, digest = TAIL.unpack(file.read())
        if length > size - TAIL.size:
            return None
        file.seek(size - TAIL.size - length)
        footer = file.read(length)
    if xxh3_64_digest(footer) != digest:
        return None
    found = json.loads(footer)
    return Plan(**found | {"parts": [Span(*each) for each in found["parts"]]})


@lru_cache(maxsize=1)
def known_plan(path: Path, identity: str) -> Plan:
    """The plan that a task was given, read once in each process; raises `StorageError`, OSError."""
    plan = read_plan(path)
    if plan is None or plan.identity != identity:
        text = "another conversion has taken its place; this task is not needed"
        raise StorageError(f"{printable(str(path))}: {text}")
    return plan


def rows_of(path: Path, span: Span) -> Iterator[PlannedImage]:
    """The records of a part; raises `StorageError`, OSError."""
    with path.open("rb") as file:
        file.seek(span.start)
        data, at = file.read(span.end - span.start), 0
    if xxh3_64_hexdigest(data) != span.digest:
        raise StorageError(f"{printable(str(path))}: has changed; remove its folder, convert again")
    while at < len(data):
        end = data.index(END, at + FIXED.size)
        label, size, modified = FIXED.unpack_from(data, at)
        yield PlannedImage(label, size, data[at + FIXED.size : end], modified)
        at = end + 1
