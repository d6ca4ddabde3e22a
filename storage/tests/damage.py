"""Damage of every kind to the files of a store, and what reading them then gives.

Each kind changes a store on disk, as its generator says, and returns what it has done in words.
"""

import re
import resource
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .. import StorageError, Store
from . import raw
from .children import in_child
from .histories import Step, some, stream
from .model import append, are_right, image_of, readings
from .trials import BAD, GOOD

Random: TypeAlias = np.random.Generator

STEPS: list[Step] = [
    *[some(1)] * 16,
    *(some(1), some(1), stream(10), some(1), some(1)),
    *(some(9), some(3), some(1), some(1)),
]
"""The calls that make the store: sixteen that become one part, then images of several shapes and of
one, many at once and alone.
"""
LENGTH = sum(step.adds for step in STEPS)
FOLDED = 16
"""After this many calls of one image, the parts at the end become one, or fail to."""

MANY = 10**11
"""Images, or bytes, of which there cannot be as many in a file of some kilobytes."""

SPARE_MEMORY = 2**30
"""Bytes that reading a damaged store of some kilobytes may take: who needs more believes a lie."""


# ---- kinds of damage ---------------------------------------------------------------------------


def change_a_file(path: Path, random: Random, change: Callable[[bytearray], str]) -> str:
    """Change the bytes of a file, one that is as likely as all others or likely by its size."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size]
    sizes = np.array([file.stat().st_size for file in files])
    file = files[random.choice(len(files), p=(sizes / sizes.sum() + 1 / len(files)) / 2)]
    data = bytearray(file.read_bytes())
    what = change(data)
    file.write_bytes(data)
    return f"{file.relative_to(path)} of {file.stat().st_size} bytes: {what}"


def flip_a_bit(_name: str, path: Path, random: Random) -> str:
    def change(data: bytearray) -> str:
        at, bit = int(random.integers(len(data))), int(random.integers(8))
        data[at] ^= 1 << bit
        return f"bit {bit} of byte {at} flipped"

    return change_a_file(path, random, change)


def zero_4_kib(_name: str, path: Path, random: Random) -> str:
    """On a boundary of 4 KiB, as disks lose them, or anywhere."""

    def change(data: bytearray) -> str:
        at = int(random.integers(len(data)))
        at -= at % 4096 if random.random() < 0.5 else 0
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        return f"zeros from byte {at} on"

    return change_a_file(path, random, change)


def truncate(_name: str, path: Path, random: Random) -> str:
    def change(data: bytearray) -> str:
        del data[random.integers(len(data)) :]
        return "cut off there"

    return change_a_file(path, random, change)


def change_structure(_name: str, path: Path, random: Random) -> str:
    """One byte to any other value, or a field of 4 or 8 to all ones, outside the pixels.

    Half of them not in zeros, which most of a file's structure is: room that nobody looks at.
    """

    def change(data: bytearray) -> str:
        places = structure(data)
        used = places[np.frombuffer(bytes(data), np.uint8)[places] != 0]
        at = int(random.choice(used if len(used) and random.random() < 0.5 else places))
        width = int(random.choice([1, 1, 4, 8]))
        new = b"\xff" * width if width > 1 else bytes([data[at] ^ int(random.integers(1, 256))])
        data[at : at + width] = new[: len(data) - at]
        return f"byte {at} and on: {new.hex()}"

    return change_a_file(path, random, change)


def structure(data: bytearray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where the bytes are that are no pixels, neither plain nor compressed in PNGs."""
    is_structure = np.ones(len(data), bool)
    for chunk in re.finditer(b"IDAT", data):
        length = int.from_bytes(data[chunk.start() - 4 : chunk.start()], "big")
        is_structure[chunk.end() : chunk.end() + length] = False
    for pixels in (image_of(i).tobytes() for i in range(LENGTH)):
        at = data.find(pixels) if len(pixels) >= 8 else -1
        if at >= 0:
            is_structure[at : at + len(pixels)] = False
    return np.flatnonzero(is_structure)


def swap_records(name: str, path: Path, random: Random) -> str:
    """Whole, or only their images, labels or checksums."""
    one, other = random.choice(LENGTH, 2, replace=False).tolist()
    fields = [*raw.Record._fields]
    if random.random() < 0.75:
        fields = [fields[random.integers(len(fields))]]
    before = raw.read(name, path)
    after = [*before]
    first, second = before[one], before[other]
    after[one] = first._replace(**{field: getattr(second, field) for field in fields})
    after[other] = second._replace(**{field: getattr(first, field) for field in fields})
    for ids in raw.places(path):
        if one in ids or other in ids:
            part = slice(ids.start, ids.stop)
            raw.put(name, path, ids, after[part], before[part])
    return f"{', '.join(fields)} of {one} and {other} swapped"


def swap_files(_name: str, path: Path, random: Random) -> str:
    """Two parts of one image each, or of their files those of one name, or any two of one part."""
    single = [ids for ids in raw.places(path) if len(ids) == 1]
    one, other = (
        raw.folder_of(path, single[i]) for i in random.choice(len(single), 2, replace=False)
    )
    how = random.integers(3)
    if how == 1:
        names = sorted(
            {file.name for file in one.iterdir()} & {file.name for file in other.iterdir()}
        )
        name = names[random.integers(len(names))]
        one, other = one / name, other / name
    elif how == 2:
        parts = raw.places(path)
        files = sorted(raw.folder_of(path, parts[random.integers(len(parts))]).iterdir())
        one, other = (files[i] for i in random.choice(len(files), 2, replace=False))
    raw.swap_paths(one, other)
    return f"{one.relative_to(path)} and {other.relative_to(path)} swapped"


def lose_files(_name: str, path: Path, random: Random) -> str:
    """Any one part, or all from there on; or a file of one."""
    parts = raw.places(path)
    first = int(random.integers(len(parts)))
    how = random.integers(3)
    if how == 0:
        files = sorted(raw.folder_of(path, parts[first]).iterdir())
        lost_file = files[random.integers(len(files))]
        lost_file.unlink()
        return f"{lost_file.relative_to(path)} is gone"
    lost = parts[first:] if how == 1 else parts[first : first + 1]
    for ids in lost:
        raw.drop(path, ids)
    return f"{lost[0].start} to {lost[-1].stop - 1} are gone"


FIELDS = raw.Trailer._fields[:-2]
COLUMNS = ("checksum", "height", "width", "channels", "offset", "size")
EXTREMES = [0, 1, -1, 7, 2**16, 2**31, 2**32 - 1, MANY, -MANY, 2**62, 2**63 - 1, -(2**63)]


def forge(_name: str, path: Path, random: Random) -> str:
    """Change a number of an index, or several of its pairs, but no label; the digests fit."""
    places = raw.places(path)
    part = raw.folder_of(path, places[random.integers(len(places))])
    index = raw.read_index(part)
    value = EXTREMES[random.integers(len(EXTREMES))]
    numbers: list[tuple[str, int]] = [(field, 0) for field in FIELDS]
    numbers += [("pairs", i) for i in range(index.pairs.size)] + [("some pairs", 0)]
    held = [column for column in COLUMNS if column in (index.table.dtype.names or ())]
    numbers += [(column, row) for column in held for row in range(len(index.table))]
    name, i = numbers[random.integers(len(numbers))]
    if name == "pairs":
        index.pairs.flat[i] = value
    elif name == "some pairs":
        some = random.random(index.pairs.shape) < 0.5
        index.pairs[some] = random.choice(EXTREMES, some.sum())
    elif name in held:
        index.table[name][i] = value % 2**64 if name == "checksum" else value
    else:
        index = index._replace(trailer=index.trailer._replace(**{name: value}))
    raw.write_index(part, raw.refit(part, index))
    return f"{part.name}: {name} {i} is {value}"


KINDS: dict[str, Callable[[str, Path, Random], str]] = {
    "bit flip": flip_a_bit,
    "4 KiB zeroed": zero_4_kib,
    "truncation": truncate,
    "structure changed": change_structure,
    "records swapped": swap_records,
    "files swapped": swap_files,
    "files lost": lose_files,
    "index forged": forge,
}


# ---- what reading then gives -------------------------------------------------------------------

Finding: TypeAlias = tuple[str, str]
"""An outcome of `trials`, and a detail."""


def outcome(store_class: type[Store], path: Path) -> Finding:
    """The worst of what using the store gives, found out in a forked process."""

    def worst() -> Finding:
        limit_memory()
        findings = [attempt(path, task) for task in uses(store_class, path)]
        *reading, verifying, _, _, _ = [result for result, _ in findings]
        if "refused" in reading and verifying == "right":
            findings.append(("missed", "verify() finds nothing, and reading does"))
        return max(findings, key=lambda finding: (*GOOD, *BAD).index(finding[0]))

    try:
        return in_child(worst)
    except ChildProcessError as error:
        return "died", str(error)


def limit_memory() -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_MEMORY, resource.RLIM_INFINITY))


def attempt(path: Path, use: Callable[[], Finding]) -> Finding:
    try:
        return use()
    except StorageError as error:
        return typed(path, str(error))
    except AssertionError as error:
        return "wrong", str(error)
    except Exception:  # what the stores promise not to raise
        return "untyped", traceback.format_exc()


def typed(path: Path, message: str) -> Finding:
    return ("refused" if str(path) in message and "\n" not in message else "untyped"), message


def uses(store_class: type[Store], path: Path) -> Iterator[Callable[[], Finding]]:
    """Every way to read, each with the store opened anew; then to verify, store, fold, and compact."""

    def read(n: int) -> Finding:
        with store_class(path) as store:
            if len(store) != LENGTH:
                return "lost", f"{len(store)} images, not {LENGTH}"
            right = next(islice(readings(store), n, None))()
            return ("right" if right else "wrong"), f"way {n} of reading"

    def verify() -> Finding:
        with store_class(path) as store:
            store.verify()
        return "right", ""

    def change(how: Callable[[Store], object], adds: int = 0) -> Finding:
        before = sound(store_class, path)
        refusal = ""
        try:
            with store_class(path, "a", durable=False) as store:
                length = len(store) + adds
                how(store)
        except StorageError as error:
            refusal = str(error)
        lost = before - sound(store_class, path)
        if lost:
            return "lost", f"{sorted(lost)}, by {how}, which {refusal or 'returned'}"
        if refusal:
            return typed(path, refusal)
        with store_class(path) as store:
            if len(store) != length:
                return "lost", f"{len(store)} images after {how}, not {length}"
        return "right", ""

    def append_two(store: Store) -> None:
        length = len(store)
        append(store, 2)
        assert are_right(store.read_many([length, length + 1]), range(length, length + 2))

    def append_and_fold(store: Store) -> None:
        for _ in range(FOLDED):
            append(store, 1)

    for n in range(3 + LENGTH):
        yield partial(read, n)
    yield verify
    yield partial(change, append_two, adds=2)
    yield partial(change, append_and_fold, adds=FOLDED)
    yield partial(change, store_class.compact)


def sound(store_class: type[Store], path: Path) -> set[int]:
    """The images that can still be read; raises AssertionError where one is wrong."""
    found = set()
    with suppress(StorageError), store_class(path) as store:
        for i in range(len(store)):
            with suppress(StorageError):
                image, label = store[i]
                assert are_right(([image], [label]), [i]), f"image {i} is wrong"
                found.add(i)
    return found
