"""The tables at the end of a run: back ends by cutoffs, each beside the limit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from .protocol import FEW_ROUNDS
from .rows import ROWS

LIMIT = "limit"
TITLES = {
    "store_single": "store_single: open, store one image, close; µs per call",
    "store_many": "store_many: create, store n images, close; µs per image",
    "read_single": "read_single: open, read one image, close; µs per call",
    "read_many": "read_many: open, read n images, close; µs per image",
    "read_batch": "read_batch: 256 random images of an open store; µs per image",
    "epoch": "epoch: all images of an open store, shuffled, in batches of 256; µs per image",
    "iterate": "iterate: all images of an open store, one by one or as a slice; µs per image",
    "parallel_read": "parallel_read: random batches, all processes together; µs per image",
}
"""The operations, in the order of their tables."""
ORDER = {name: place for place, name in enumerate((*TITLES, *ROWS))}

LABEL_WIDTH = 18
FIGURE_WIDTH = 9
MULTIPLE_WIDTH = 7


@dataclass(frozen=True)
class Figure:
    """What one benchmark found."""

    operation: str
    variant: str
    backend: str
    n: int | None
    microseconds: float  # the median, per image
    rounds: int
    allocated_per_image: float | None  # where the operation made the store

    @classmethod
    def of(cls, extra_info: Mapping[str, Any], stats: Mapping[str, Any]) -> Self:
        """From what pytest-benchmark keeps of a benchmark, in memory or saved."""
        images = extra_info["images_per_round"]
        stored = extra_info["operation"] == "store_many"
        return cls(
            operation=extra_info["operation"],
            variant=extra_info["variant"],
            backend=extra_info["backend"],
            n=extra_info["n"],
            microseconds=stats["median"] / images * 1e6,
            rounds=stats["rounds"],
            allocated_per_image=extra_info["allocated_bytes"] / images if stored else None,
        )

    @property
    def label(self) -> str:
        return f"{self.backend} {self.variant}".strip()


def format_number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def format_multiple(value: float) -> str:
    return f"×{value:,.0f}" if value >= 10 else f"×{value:.2f}"


def tables(figures: Sequence[Figure]) -> list[str]:
    """The lines of a table per operation, and of one of the space on disk."""
    lines = []
    for operation, title in TITLES.items():
        chosen = [figure for figure in figures if figure.operation == operation]
        if chosen:
            limits = {f.n: f.microseconds for f in chosen if f.backend == LIMIT}
            cells = {
                (f.label, f.n): _cell(f, limits.get(f.n) if f.backend != LIMIT else None)
                for f in chosen
            }
            lines += [title + (" (× limit)" if limits else ""), *_matrix(chosen, cells), ""]
    stored = [figure for figure in figures if figure.allocated_per_image is not None]
    if stored:
        sizes = {(f.label, f.n): f"{f.allocated_per_image:,.0f}" for f in stored}
        lines += ["disk: allocated bytes per image, after store_many", *_matrix(stored, sizes), ""]
    few = sum(figure.rounds < FEW_ROUNDS for figure in figures)
    if few:
        lines += [
            f"* too few rounds, {min(f.rounds for f in figures)} to {FEW_ROUNDS - 1}, in {few} of"
            f" {len(figures)} figures: their medians may be off; raise --round-budget"
        ]
    return lines


def _cell(figure: Figure, limit: float | None) -> str:
    number = format_number(figure.microseconds) + ("*" if figure.rounds < FEW_ROUNDS else " ")
    multiple = format_multiple(figure.microseconds / limit) if limit else ""
    return f"{number:>{FIGURE_WIDTH}}{multiple:>{MULTIPLE_WIDTH}}"


def _matrix(figures: Iterable[Figure], cells: Mapping[tuple[str, int | None], str]) -> list[str]:
    columns = sorted({figure.n for figure in figures}, key=lambda n: n or 0)
    labels = dict.fromkeys(f.label for f in sorted(figures, key=lambda f: ORDER.get(f.backend, 99)))
    width = max(map(len, cells.values()))
    heads = [f"{'' if n is None else f'n={n:,}':>{width}}" for n in columns]
    return [
        f"{'':{LABEL_WIDTH}}" + " ".join(heads).rstrip(),
        *(
            f"{label:{LABEL_WIDTH}}"
            + " ".join(f"{cells.get((label, n), '-'):>{width}}" for n in columns).rstrip()
            for label in labels
        ),
    ]
