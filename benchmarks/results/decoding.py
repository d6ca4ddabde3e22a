"""How much of reading pictures is storage, and how much is decoding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from benchmarks.contenders.rows import STORE_ROWS

from .keys import WIDTH
from .recorded import OF_FILES
from .summary import TITLES, Figure, format_number

MOST = 0.95
"""Where decoding is more than this fraction, no other store of files can be 5 % faster."""


@dataclass(frozen=True)
class Split:
    """Reading of a row that keeps files, at one n: the files alone, and the images.

    kind: the operation with its variant, and whether it is cold
    """

    files: Figure
    images: Figure

    @property
    def kind(self) -> str:
        cold = "cold" * self.images.cold
        return " ".join(filter(None, (self.images.operation, self.images.variant, cold)))

    @property
    def decoding(self) -> float:
        """The fraction of the time for the images that the files alone do not take, 0 to 1."""
        return max(0.0, 1 - self.files.ratio_to(self.images).value)


def splits(figures: Iterable[Figure]) -> list[Split]:
    """What was read with and without decoding, of each kind at its largest n, as tables order it."""
    at = {(f.operation, f.variant, f.backend, f.n, f.cold): f for f in figures}
    found = []
    for (operation, variant, backend, n, cold), images in at.items():
        files = at.get((operation, f"{variant} {OF_FILES}".strip(), backend, n, cold))
        if files:
            found.append(Split(files, images))
    largest: dict[str, int] = {}
    for split in found:
        largest[split.kind] = max(split.images.n, largest.get(split.kind, 0))
    places = [*TITLES]
    return sorted(
        (split for split in found if split.images.n == largest[split.kind]),
        key=lambda split: (
            *(split.images.cold, places.index(split.images.operation)),
            split.images.variant,
        ),
    )


def shares(figures: Iterable[Figure]) -> dict[str, str]:
    """By kind of reading and n, how much of it is decoding; none where no files were read."""
    grouped = groupby(splits(figures), key=lambda split: f"{split.kind} n={split.images.n:,}")
    return {kind: _in_words([*group]) for kind, group in grouped}


def _in_words(group: Sequence[Split]) -> str:
    low, high = (bound(split.decoding for split in group) for bound in (min, max))
    least, most = (bound(split.files.microseconds for split in group) for bound in (min, max))
    least_share, most_share = f"{100 * low:.1f}", f"{100 * high:.1f}"
    share = least_share if least_share == most_share else f"{least_share} to {most_share}"
    return f"{share} %; the files alone take {format_number(least)} to {format_number(most)} µs"


def conclusion(figures: Iterable[Figure]) -> list[str]:
    """Whether the choice among this project's stores of files matters, in sentences.

    It is judged where two of them were read, at the largest n of each kind of reading.
    """
    decoding: dict[str, list[float]] = {}
    for split in splits(figures):
        if split.images.backend in STORE_ROWS:
            decoding.setdefault(split.kind, []).append(split.decoding)
    least = {kind: min(of) for kind, of in decoding.items() if len(of) > 1}
    little = [kind for kind, share in least.items() if share > MOST]
    others = [kind for kind in least if kind not in little]
    said = []
    if little:
        where = f"in {', '.join(little)}" if others else "in any reading measured"
        said.append(
            f"The choice of a store of files does not matter {where}, at its largest n: decoding is"
            f" more than {100 * MOST:.0f} % of the time."
        )
    if others:
        said.append(f"It may matter in {', '.join(others)}, where reading the files takes longer.")
    return said


def in_lines(figures: Sequence[Figure]) -> list[str]:
    """The shares and the conclusion as lines for a terminal; none where no files were read."""
    found = shares(figures)
    if not found:
        return []
    width = max(map(len, found))
    table = (f"  {kind:{width}}  {share}" for kind, share in found.items())
    said = (line for sentence in conclusion(figures) for line in wrap(sentence, WIDTH))
    return ["decoding: its share of reading images, at the largest n", *table, *said, ""]
