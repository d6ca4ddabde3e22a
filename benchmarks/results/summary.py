"""The tables at the end of a run: back ends by cutoffs, as multiples of the limit too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any, Self  # Any: for JSON

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import FILE_ROWS, ROWS
from benchmarks.harness.protocol import FEW_ROUNDS

from .ratio import Ratio, SweepRounds
from .recorded import COLD, OF_FILES, WARM, Recorded

LIMIT, LIMIT_OF_FILES = "limit", "limit-encoded"
"""The floors of the rows that keep pixels, and of those that keep the files of pictures."""
TITLES = {
    "store_single": "store_single: open, store one image, close; µs per call",
    "store_many": "store_many: create, store n images, close; µs per image",
    "append": "append: open a store of n, store a batch, close; µs per image",
    "commits": "commits: n calls of store_single, buffered, on an open store; µs per image, open per call",
    "read_single": "read_single: open, read one image, close; µs per call",
    "read_many": "read_many: open, read n images, close; µs per image",
    "read_batch": "read_batch: a batch of random images of an open store; µs per image",
    "epoch": "epoch: all images of an open store, shuffled, in batches; µs per image",
    "iterate": "iterate: up to 2,000 images in order, one by one or as a slice; µs per image",
    "parallel_read": "parallel_read: random batches, all processes together; µs per image",
    "loader": "loader: shuffled batches from PyTorch's DataLoader; µs per image",
}
"""The operations, in the order of their tables."""
PER_CALL = {
    *(("store_single", ""), ("read_single", ""), ("read_single", OF_FILES), ("commits", "open"))
}
"""Operations and variants whose figure is per call, not per image."""
ORDER = {name: place for place, name in enumerate((*ROWS, *FILE_ROWS, *PEERS))}
"""The place of each row in a table."""

# The labels and five columns, separated by spaces, fit in `keys.WIDTH` characters.
LABEL_WIDTH = 16
FIGURE_WIDTH = 8
MULTIPLE_WIDTH = 8


@dataclass(frozen=True)
class Figure:
    """The result of one benchmark."""

    operation: str
    variant: str
    backend: str
    n: int
    microseconds: float  # the median, per image or per call
    rounds: int
    allocated_per_image: float | None  # None if the operation is not `store_many`
    sweeps: SweepRounds  # as `microseconds`; one sweep if they were not recorded
    cold: bool = False
    keeps_files: bool = False  # whether the row keeps the files of pictures
    decodes: bool = False  # whether it decodes pictures, before it stores or after it reads them
    first_batch: float | None = None  # milliseconds, the median; None if there are no batches

    @classmethod
    def of(cls, recorded: Recorded, stats: Mapping[str, Any]) -> Self:
        """The figure of a benchmark from pytest-benchmark's statistics, in memory or saved."""
        images = recorded.images_per_round
        rounds = recorded.rounds_of_sweeps() or {0: [stats["median"]]}
        stored = recorded.operation == "store_many"
        first = recorded.first_batch_seconds
        return cls(
            operation=recorded.operation,
            variant=recorded.variant,
            backend=recorded.backend,
            n=recorded.n,
            microseconds=stats["median"] / images * 1e6,
            rounds=stats["rounds"],
            allocated_per_image=recorded.allocated_bytes / images if stored else None,
            sweeps={
                (0, number): [seconds / images * 1e6 for seconds in of_sweep]
                for number, of_sweep in rounds.items()
            },
            cold=recorded.is_cold,
            keeps_files=recorded.file_bytes is not None,
            decodes=recorded.decoder is not None,
            first_batch=median(first) * 1e3 if first else None,
        )

    def ratio_to(self, other: "Figure") -> Ratio:
        """The factor between this figure and that of another row of the same run."""
        found = Ratio.within(self.sweeps, other.sweeps)
        # Without a common sweep, nothing is known of the error.
        return found or Ratio.between(*({(0, 0): [of.microseconds]} for of in (self, other)))

    @property
    def per_call(self) -> bool:
        return (self.operation, self.variant) in PER_CALL

    @property
    def reads(self) -> bool:
        """Whether it reads a store, which is in memory or, if it is cold, is not."""
        storing = ("store_single", "store_many", "append")
        return self.operation not in storing and (self.operation, self.variant) != (
            "commits",
            "store",
        )

    @property
    def is_limit(self) -> bool:
        return self.backend in (LIMIT, LIMIT_OF_FILES)

    def limit(self, figures: Iterable["Figure"]) -> "Figure | None":
        """What one plain file takes for the same, if that is among `figures` and this is another.

        A row that keeps files is compared with one plain file of files.
        """
        if self.is_limit:
            return None
        name = LIMIT_OF_FILES if self.keeps_files else LIMIT
        variant = self.variant if self.keeps_files else ""
        wanted = (self.operation, variant, name, self.n)
        found = (f for f in figures if (f.operation, f.variant, f.backend, f.n) == wanted)
        return next(found, None)

    @property
    def label(self) -> str:
        return f"{self.backend} {self.variant}".strip()


def cache_in_words(figures: Iterable[Figure]) -> str:
    """Whether the stores that were read were in the page cache; "" if none was read."""
    found = {figure.cold for figure in figures if figure.reads}
    states = [name for name, cold in ((WARM, False), (COLD, True)) if cold in found]
    return f"{' and '.join(states)} cache" if states else ""


def format_number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def format_multiple(value: float) -> str:
    return f"×{value:,.0f}" if value >= 10 else f"×{value:.2f}"


def tables(figures: Sequence[Figure]) -> list[str]:
    """The lines of one table per operation and cache state, and of one for the space on disk."""
    lines = []
    for operation, cold in product(TITLES, (False, True)):
        chosen = [f for f in figures if (f.operation, f.cold) == (operation, cold)]
        title = TITLES[operation]
        if cold:
            title = title.replace(":", ", cold:", 1)
        if chosen:
            limits = [f for f in chosen if f.is_limit]
            cells = {
                (f.label, f.n): _figure_cell(f) + (_multiple_cell(f, limits) if limits else "")
                for f in chosen
            }
            lines += [title + _floors(limits), *_matrix(chosen, cells), ""]
    stored = [figure for figure in figures if figure.allocated_per_image is not None]
    if stored:
        sizes = {(f.label, f.n): f"{f.allocated_per_image:,.0f}" for f in stored}
        lines += ["disk: allocated bytes per image, after store_many", *_matrix(stored, sizes), ""]
    begun = {(f.label, f.n): format_number(f.first_batch) for f in figures if f.first_batch}
    if begun:
        title = "first_batch: loader, from starting its workers to the first batch; ms"
        lines += [title, *_matrix([f for f in figures if f.first_batch], begun), ""]
    few = sum(figure.rounds < FEW_ROUNDS for figure in figures)
    if few:
        lines += [
            f"* too few rounds, {min(f.rounds for f in figures)} to {FEW_ROUNDS - 1}, in {few} of"
            f" {len(figures)} figures: their medians may be off; raise --round-budget"
        ]
    return lines


def _figure_cell(figure: Figure) -> str:
    number = format_number(figure.microseconds) + ("*" if figure.rounds < FEW_ROUNDS else " ")
    return f"{number:>{FIGURE_WIDTH}}"


def _floors(limits: Sequence[Figure]) -> str:
    """What the multiples in a table are of."""
    if not limits:
        return ""
    if {limit.backend for limit in limits} == {LIMIT}:
        return " (× limit)"
    return " (× its limit)"


def _multiple_cell(figure: Figure, limits: Sequence[Figure]) -> str:
    limit = figure.limit(limits)
    multiple = format_multiple(figure.ratio_to(limit).value) if limit else ""
    return f"{multiple:>{MULTIPLE_WIDTH}}"


def _matrix(figures: Iterable[Figure], cells: Mapping[tuple[str, int], str]) -> list[str]:
    columns = sorted({figure.n for figure in figures})
    labels = dict.fromkeys(
        f.label for f in sorted(figures, key=lambda f: ORDER.get(f.backend, len(ORDER)))
    )
    heads = [f"n={n:,}" for n in columns]
    label_width = max(LABEL_WIDTH, *(len(label) + 1 for label in labels))
    width = max(map(len, (*cells.values(), *heads)))
    return [
        (" " * label_width + " ".join(f"{head:>{width}}" for head in heads)).rstrip(),
        *(
            f"{label:{label_width}}"
            + " ".join(f"{cells.get((label, n), '-'):>{width}}" for n in columns).rstrip()
            for label in labels
        ),
    ]
