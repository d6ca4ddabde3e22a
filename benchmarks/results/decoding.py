"""How much of reading pictures is storage, and how much is decoding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from benchmarks.contenders.rows import STORE_ROWS

from .recorded import OF_FILES
from .summary import TITLES, Figure, format_number

MOST = 0.95
"""Where decoding is more than this fraction, no other store of files can be 5 % faster."""

WIDTH = 80
"""Of lines for a terminal."""


@dataclass(frozen=True)
class Split:
    """Reading of a row that keeps files, at one n: the files alone, and the images."""

    files: Figure
    images: Figure

    @property
    def operation(self) -> str:
        cold = "cold" * self.images.cold
        return " ".join(filter(None, (self.images.operation, self.images.variant, cold)))

    @property
    def decoding(self) -> float:
        """The fraction of the time for the images that the files alone do not take, 0 to 1."""
        return max(0.0, 1 - self.files.ratio_to(self.images).value)


def splits(figures: Iterable[Figure]) -> list[Split]:
    """What was read with and without decoding at the largest n, in the order of the tables."""
    at = {(f.operation, f.variant, f.backend, f.n, f.cold): f for f in figures}
    found = []
    for (operation, variant, backend, n, cold), images in at.items():
        files = at.get((operation, f"{variant} {OF_FILES}".strip(), backend, n, cold))
        if files:
            found.append(Split(files, images))
    n = max((split.images.n for split in found), default=0)
    places = [*TITLES]
    return sorted(
        (split for split in found if split.images.n == n),
        key=lambda split: (
            *(split.images.cold, places.index(split.images.operation)),
            split.images.variant,
        ),
    )


def shares(figures: Iterable[Figure]) -> dict[str, str]:
    """By reading operation, how much of it is decoding; none where no files were read."""
    grouped = groupby(splits(figures), key=lambda split: split.operation)
    return {operation: _in_words([*group]) for operation, group in grouped}


def _in_words(group: Sequence[Split]) -> str:
    low, high = (bound(split.decoding for split in group) for bound in (min, max))
    least, most = (bound(split.files.microseconds for split in group) for bound in (min, max))
    share = f"{low:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
    return f"{share}; the files alone take {format_number(least)} to {format_number(most)} µs"


def conclusion(figures: Iterable[Figure]) -> list[str]:
    """Whether the choice among this project's stores of files matters, in sentences."""
    found = [split for split in splits(figures) if split.images.backend in STORE_ROWS]
    least = dict.fromkeys((split.operation for split in found), 1.0)
    for split in found:
        least[split.operation] = min(least[split.operation], split.decoding)
    little = [operation for operation, share in least.items() if share > MOST]
    others = [operation for operation in least if operation not in little]
    said = []
    if little:
        where = f"in {', '.join(little)}" if others else "in any reading"
        said.append(
            f"The choice of a store of files does not matter {where}: decoding is more than"
            f" {MOST:.0%} of the time in each."
        )
    if others:
        said.append(f"It may matter in {', '.join(others)}, where reading the files takes longer.")
    return said


def in_lines(figures: Sequence[Figure]) -> list[str]:
    """The shares and the conclusion as lines for a terminal; none where no files were read."""
    found = shares(figures)
    if not found:
        return []
    n = splits(figures)[0].images.n
    table = (f"  {operation:18}{share}" for operation, share in found.items())
    said = (line for sentence in conclusion(figures) for line in wrap(sentence, WIDTH))
    return [f"decoding, n={n:,}: its share of reading images", *table, *said, ""]
