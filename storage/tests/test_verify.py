"""`verify` finds each record that is missing, extra, swapped or altered, and names it."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from .. import STORES, CorruptStoreError, Store
from . import raw
from .damage import LENGTH, STEPS, Random
from .histories import History, run_in_child
from .model import image_of, label_of
from .samples import each_store
from .trials import Trials


class Edit(NamedTuple):
    """What was done to which images, and so what `verify` has to say."""

    what: str
    altered: Sequence[int] = ()  # each to be named as damaged, by itself
    lost: Sequence[int] = ()  # each to be named, by itself or among those of its part
    extra: range = range(0)  # the part that holds too many: to be named, or one of its images


Editor: TypeAlias = Callable[[str, Path, Random], Edit]


def rewrite(name: str, path: Path, ids: range, change: Callable[[raw.Records], object]) -> None:
    """Write a part anew with digests that fit, by the plain library."""
    part = raw.read_part(name, raw.folder_of(path, ids))
    change(part)
    raw.put(name, path, ids, part)


def place_of(path: Path, image_id: int) -> range:
    (place,) = (ids for ids in raw.places(path) if image_id in ids)
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
    ids = place_of(path, image_id)
    at = image_id - ids.start

    def change(part: raw.Records) -> None:
        part[at] = alteration(part[at], random)

    rewrite(name, path, ids, change)
    return Edit(f"{alteration.__name__} {image_id}", altered=[image_id])


def swap(name: str, path: Path, random: Random) -> Edit:
    one, other = random.choice(LENGTH, 2, replace=False).tolist()
    fields = list(raw.Record._fields)
    if random.random() < 0.5:
        fields = [fields[random.integers(len(fields))]]
    records = raw.read(name, path)
    pair = records[one], records[other]
    records[one] = pair[0]._replace(**{field: getattr(pair[1], field) for field in fields})
    records[other] = pair[1]._replace(**{field: getattr(pair[0], field) for field in fields})
    for ids in {place_of(path, one), place_of(path, other)}:
        raw.put(name, path, ids, records[ids.start : ids.stop])
    return Edit(f"swap {', '.join(fields)} of {one} and {other}", altered=[one, other])


def repeat(name: str, path: Path, random: Random) -> Edit:
    """One record in the place of another."""
    one, other = random.choice(LENGTH, 2, replace=False).tolist()
    record = raw.read(name, path)[other]
    ids = place_of(path, one)

    def change(part: raw.Records) -> None:
        part[one - ids.start] = record

    rewrite(name, path, ids, change)
    return Edit(f"{other} in the place of {one}", altered=[one])


def take_away(name: str, path: Path, random: Random) -> Edit:
    image_id = int(random.integers(LENGTH))
    ids = place_of(path, image_id)
    if len(ids) == 1:
        raw.drop(path, ids)
    else:
        rewrite(name, path, ids, lambda part: part.pop(image_id - ids.start))
    return Edit(f"take {image_id} away", lost=[image_id])


def take_a_cell_away(name: str, path: Path, random: Random) -> Edit:
    """The index, whose digest of the structure fits, goes on to say that it is there."""
    ids = place_of_several(path, random)
    image_id = int(random.choice(ids))
    folder = raw.folder_of(path, ids)
    before = raw.read_index(folder)
    rewrite(name, path, ids, lambda part: part.pop(image_id - ids.start))
    raw.write_index(folder, raw.refit(folder, before))
    return Edit(f"take the cell of {image_id} away", lost=[image_id])


def add(name: str, path: Path, random: Random) -> Edit:
    """One more, its checksum made for where it stands; those behind no longer fit theirs."""
    places = raw.places(path)
    ids = places[random.integers(len(places))]
    at = int(random.integers(len(ids) + 1))

    def change(part: raw.Records) -> None:
        image, label = image_of(LENGTH), label_of(LENGTH)
        part.insert(at, raw.Record(image, label, raw.checksum(ids.start + at, label, image)))

    rewrite(name, path, ids, change)
    return Edit(f"add one before {ids.start + at}", extra=ids)


def place_of_several(path: Path, random: Random) -> range:
    several = [ids for ids in raw.places(path) if len(ids) > 1]
    return several[random.integers(len(several))]


def take_several_away(_name: str, path: Path, random: Random) -> Edit:
    """A whole part."""
    ids = place_of_several(path, random)
    raw.drop(path, ids)
    return Edit(f"take {ids} away", lost=ids)


def add_several(name: str, path: Path, random: Random) -> Edit:
    """A whole part once more, an image further on."""
    ids = place_of_several(path, random)
    further = range(ids.start + 1, ids.stop + 1)
    raw.put(name, path, further, raw.read_part(name, raw.folder_of(path, ids)))
    return Edit(f"add {ids} as {further}", extra=further)


EDITORS: list[Editor] = [
    *(alter, swap, repeat, take_away, take_a_cell_away),
    *(add, take_several_away, add_several),
]


def is_damaged(problems: Sequence[str], image_id: int) -> bool:
    return any(f"image {image_id} is damaged" in problem for problem in problems)


def is_lost(problems: Sequence[str], image_id: int, place: range) -> bool:
    """Whether it is named by itself, or in a run of images of what is or was one part."""
    runs = [
        range(int(first), int(last) + 1)
        for problem in problems
        for first, last in re.findall(r"images (\d+) to (\d+)(?: are| cannot|:)", problem)
        if "metadata.csv" not in problem  # which is another thing that is wrong
    ]
    return any(
        image_id in run and place.start <= run.start and run.stop <= place.stop for run in runs
    ) or any(
        re.search(rf"image {image_id} (?:is damaged|cannot be read)", problem)
        for problem in problems
    )


def is_too_many(problems: Sequence[str], extra: range, place: range) -> bool:
    """Whether the part is named, or an image."""
    part = f"{extra.start:012d}-{extra.stop:012d}"
    return any(part in problem for problem in problems) or any(
        is_lost(problems, i, place) for i in range(extra.start, extra.stop + 1)
    )


def is_named(problems: Sequence[str], edit: Edit, places: list[range]) -> bool:
    def place(image_id: int) -> range:
        (found,) = (ids for ids in places if image_id in ids)
        return found

    return (
        all(is_damaged(problems, i) for i in edit.altered)
        and all(is_lost(problems, i, place(i)) for i in edit.lost)
        and (not edit.extra or is_too_many(problems, edit.extra, place(edit.extra.start)))
    )


@each_store
def test_verify_names_every_edit(store_class: type[Store], tmp_path: Path, trials: Trials) -> None:
    """Opening may already refuse the store; then what it says is what counts."""
    original = tmp_path / "original"
    assert run_in_child(History(store_class, original, "x", STEPS).run) == 0
    places = raw.places(original)
    with trials.of("edits that verify names", store_class.format) as tally:
        for trial in trials.numbers():
            random = np.random.default_rng(trial)
            path = tmp_path / "store"
            shutil.copytree(original, path)
            place = trial + [*STORES].index(store_class.format)  # few trials are of several edits
            edit = EDITORS[place % len(EDITORS)](store_class.format, path, random)
            problems: tuple[str, ...] = ()
            try:
                with store_class(path) as store:
                    store.verify()
            except CorruptStoreError as error:
                problems = error.problems
            found = is_named(problems, edit, places)
            tally.add(trial, "refused" if found else "missed", f"{edit.what}: {problems}")
            shutil.rmtree(path)
