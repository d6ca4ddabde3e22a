"""`verify` finds each record that is missing, extra, swapped or altered, and names it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from .. import CorruptStoreError, Store
from . import raw
from .damage import LENGTH, STEPS, Random
from .histories import History, run_in_child
from .model import image_of, label_of
from .samples import each_store
from .trials import Trials


class Edit(NamedTuple):
    """What was done, and the ids of which each is to be named, or one of each range."""

    what: str
    ids: Sequence[int | range]


Editor: TypeAlias = Callable[[str, Path, Random], Edit]


def rewrite(name: str, path: Path, ids: range, change: Callable[[raw.Records], object]) -> None:
    """Write a file or a call anew with all its tables' checksums, by the plain library."""
    part = raw.READERS[name](path)[ids.start : ids.stop]
    change(part)
    raw.PUTTERS[name](path, ids, part, None)


def place_of(name: str, path: Path, image_id: int) -> range:
    (place,) = (ids for ids in raw.places(name, path) if image_id in ids)
    return place


def flip_a_pixel(record: raw.Record, random: Random) -> raw.Record:
    image = record.image.copy()
    image.flat[random.integers(image.size)] ^= 1 << random.integers(8)
    return record._replace(image=image)


def transpose(record: raw.Record, _random: Random) -> raw.Record:
    """The same bytes as another shape; an image that would look the same gets a line more."""
    height, width, *channels = record.image.shape
    image = record.image.reshape(width, height, *channels)
    if width == height:
        image = np.concatenate([record.image, record.image[-1:]])
    return record._replace(image=image)


def relabel(record: raw.Record, random: Random) -> raw.Record:
    return record._replace(label=record.label ^ (1 << int(random.integers(63))))


def recalculate(record: raw.Record, random: Random) -> raw.Record:
    return record._replace(checksum=record.checksum ^ (1 << int(random.integers(64))))


ALTERATIONS = [flip_a_pixel, transpose, relabel, recalculate]


def alter(name: str, path: Path, random: Random) -> Edit:
    image_id = int(random.integers(LENGTH))
    alteration = ALTERATIONS[random.integers(len(ALTERATIONS))]
    ids = place_of(name, path, image_id)
    at = image_id - ids.start

    def change(part: raw.Records) -> None:
        part[at] = alteration(part[at], random)

    rewrite(name, path, ids, change)
    return Edit(f"{alteration.__name__} {image_id}", [image_id])


def swap(name: str, path: Path, random: Random) -> Edit:
    one, other = random.choice(LENGTH, 2, replace=False).tolist()
    fields = list(raw.Record._fields)
    if random.random() < 0.5:
        fields = [fields[random.integers(len(fields))]]
    records = raw.READERS[name](path)
    pair = records[one], records[other]
    records[one] = pair[0]._replace(**{field: getattr(pair[1], field) for field in fields})
    records[other] = pair[1]._replace(**{field: getattr(pair[0], field) for field in fields})
    for ids in {place_of(name, path, one), place_of(name, path, other)}:
        raw.PUTTERS[name](path, ids, records[ids.start : ids.stop], None)
    return Edit(f"swap {', '.join(fields)} of {one} and {other}", [one, other])


def repeat(name: str, path: Path, random: Random) -> Edit:
    """One record in the place of another."""
    one, other = random.choice(LENGTH, 2, replace=False).tolist()
    record = raw.READERS[name](path)[other]
    ids = place_of(name, path, one)

    def change(part: raw.Records) -> None:
        part[one - ids.start] = record

    rewrite(name, path, ids, change)
    return Edit(f"{other} in the place of {one}", [one])


def take_away(name: str, path: Path, random: Random) -> Edit:
    image_id = int(random.integers(LENGTH))
    ids = place_of(name, path, image_id)
    if len(ids) == 1:
        raw.drop(name, path, ids)
    else:
        rewrite(name, path, ids, lambda part: part.pop(image_id - ids.start))
    return Edit(f"take {image_id} away", [image_id])


def add(name: str, path: Path, random: Random) -> Edit:
    """One more, its checksum made for where it stands; those behind no longer fit theirs."""
    places = raw.places(name, path)
    ids = places[random.integers(len(places))]
    at = int(random.integers(len(ids) + 1))

    def change(part: raw.Records) -> None:
        image, label = image_of(LENGTH), label_of(LENGTH)
        part.insert(at, raw.Record(image, label, raw.checksum(ids.start + at, label, image)))

    rewrite(name, path, ids, change)
    return Edit(f"add one before {ids.start + at}", [range(ids.start, ids.stop + 1)])


EDITORS: list[Editor] = [alter, swap, repeat, take_away, add]


def is_named(problems: Sequence[str], ids: range, places: list[range]) -> bool:
    """Whether a problem is about one of the records, or a file or block where they belong."""
    own = [place for place in places if place.start <= ids.start < place.stop]
    return any(
        any(f"image {i} " in problem or f"images {i} to" in problem for i in ids)
        or any(f"{place.start:012d}-{place.stop:012d}" in problem for place in own)
        or any(f"block of image {place.start} " in problem for place in own)
        for problem in problems
    )


@each_store
def test_verify_names_every_edit(store_class: type[Store], tmp_path: Path, trials: Trials) -> None:
    """Opening may already refuse the store; then what it says is what counts."""
    original = tmp_path / "original"
    assert run_in_child(History(store_class, original, "x", STEPS).run) == 0
    places = raw.places(store_class.format, original)
    with trials.of("edits that verify names", store_class.format) as tally:
        for trial in trials.numbers():
            random = np.random.default_rng(trial)
            path = tmp_path / "store"
            shutil.copytree(original, path)
            edit = EDITORS[random.integers(len(EDITORS))](store_class.format, path, random)
            problems: tuple[str, ...] = ()
            try:
                with store_class(path) as store:
                    store.verify()
            except CorruptStoreError as error:
                problems = error.problems
            found = all(
                is_named(problems, ids if isinstance(ids, range) else range(ids, ids + 1), places)
                for ids in edit.ids
            )
            tally.add(trial, "refused" if found else "missed", f"{edit.what}: {problems}")
            shutil.rmtree(path)
