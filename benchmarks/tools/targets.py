"""Which targets of the stores a saved run reaches.

    python -m benchmarks.tools.targets [RUN]

prints Markdown tables. Each figure is shown with its target, in bold if it misses it. RUN is a
saved run as for `python -m benchmarks.report`; by default the newest.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from typing import TypeAlias

from benchmarks.harness.output import say
from benchmarks.results import keys
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key
from benchmarks.results.machine import in_words
from benchmarks.results.runs import SavedRun, load
from benchmarks.results.summary import LIMIT, Figure, cache_in_words, format_number

Line: TypeAlias = tuple[str, Iterable[object]]

STORES = ("hdf5", "lmdb", "png")
MANY = (
    ("store_many", ""),
    ("read_many", ""),
    ("read_batch", ""),
    ("epoch", ""),
    ("iterate", "single"),
    ("iterate", "slice"),
    ("parallel_read", "1 process"),
    ("parallel_read", "2 processes"),
    ("parallel_read", "4 processes"),
)
"""Operations and variants; their cost per image should not grow with the store."""
MOST_GROWTH = 1.3
"""The largest acceptable ratio to the cost per image in a smaller store."""


@dataclass(frozen=True)
class AtMost:
    """A figure, its unit, and the largest value that reaches the target."""

    figure: float
    unit: str
    target: float

    def __str__(self) -> str:
        good = self.figure <= self.target
        text = f"{format_number(self.figure)}{self.unit} {'≤' if good else '>'} {self.target:,g}"
        return text if good else f"**{text}**"


@dataclass(frozen=True)
class AtLeast(AtMost):
    """A figure, its unit, and the smallest value that reaches the target."""

    def __str__(self) -> str:
        good = self.figure >= self.target
        text = f"{format_number(self.figure)}{self.unit} {'≥' if good else '<'} {self.target:,g}"
        return text if good else f"**{text}**"


class Figures:
    """The figures of a run; raises KeyError for a missing row.

    Times are medians, in microseconds per image. Ratios are medians of those within sweeps.

    n, fewer: images in the largest stores, and in those of the next smaller size
    commits: how many commits of one image the store of small commits has
    """

    def __init__(self, run: SavedRun) -> None:
        self._rows = run.rows
        *_, self.fewer, self.n = every = [0, *sorted({key.n for key in run.rows})]
        self.fewest = next((n for n in every if n > 1), self.n)  # store_single has n = 1
        self.commits = max((key.n for key in run.rows if key.operation == "commits"), default=0)

    def figure(
        self, operation: str, backend: str, n: int | None = None, variant: str = ""
    ) -> Figure:
        return self._rows[Key(operation, variant, backend, n or self.n)].figure

    def times(self, operation: str, backend: str, reference: str, target: float) -> AtMost:
        """The time as a multiple of another row's time for the same operation."""
        multiple = self.figure(operation, backend).ratio_to(self.figure(operation, reference))
        return AtMost(multiple.value, f" × {reference}", target)

    def microseconds(
        self, operation: str, backend: str, target: float, variant: str = ""
    ) -> AtMost:
        figure = self.figure(operation, backend, variant=variant)
        return AtMost(figure.microseconds, " µs", target)

    def decoding(self, operation: str, target: float, variant: str = "") -> AtMost:
        """The time of PNG as a multiple of reading every image in the tutorial's way."""
        png = self.figure(operation, "png", variant=variant)
        multiple = png.ratio_to(self.figure("read_many", "article-png"))
        return AtMost(multiple.value, " × article-png's read_many", target)

    def allocated(self, backend: str) -> float:
        row = self._rows[Key("store_many", "", backend, self.n)]
        return row.recorded.allocated_bytes / row.recorded.images_per_round

    def together(self, backend: str) -> AtLeast:
        """The images per second of two processes as a multiple of those of one."""
        one = self.figure("parallel_read", backend, variant="1 process")
        two = self.figure("parallel_read", backend, variant="2 processes")
        return AtLeast(one.ratio_to(two).value, " × one process", 1.7)

    def growth(self, operation: str, backend: str, n: int, variant: str = "") -> AtMost:
        """The cost per image in the largest store, as a multiple of that in a store of `n`."""
        smaller = self.figure(operation, backend, n, variant)
        larger = self.figure(operation, backend, variant=variant)
        return AtMost(larger.ratio_to(smaller).value, "", MOST_GROWTH)

    def per_doubling(self, operation: str, backend: str) -> str:
        """The additional time per image in a store twice as large."""
        least = min(key.n for key in self._rows if key.operation == operation)
        large, small = self.figure(operation, backend), self.figure(operation, backend, least)
        more = large.microseconds - small.microseconds
        return f"{more / log2(self.n / least):+.1f} µs"

    def commit(self, variant: str, backend: str) -> Figure:
        return self.figure("commits", backend, self.commits, variant)


def speed(f: Figures) -> Iterator[Line]:
    """Storing and reading at the largest n, compared with the limit and the tutorial's way."""
    yield (
        "store_many",
        (
            f.times("store_many", "hdf5", LIMIT, 1.15),
            f.times("store_many", "lmdb", LIMIT, 1.6),
            f.times("store_many", "png", "article-png", 0.3),
        ),
    )
    yield (
        "read_many",
        (
            f.times("read_many", "hdf5", LIMIT, 1.4),
            f.times("read_many", "lmdb", LIMIT, 1.6),
            f.times("read_many", "png", "article-png", 0.26),
        ),
    )
    for operation, variant, hdf5, lmdb, png in (
        ("read_batch", "", 1, 1.3, 0.26),
        ("epoch", "", 1, 1.2, 0.26),
        ("iterate", "single", 6, 5, 0.4),
    ):
        yield (
            f"{operation} {variant}".strip() + ", per image",
            (
                f.microseconds(operation, "hdf5", hdf5, variant),
                f.microseconds(operation, "lmdb", lmdb, variant),
                f.decoding(operation, png, variant),
            ),
        )
    yield (
        "open + read_single",
        [
            f.times("read_single", store, f"article-{store}", target)
            for store, target in zip(STORES, (0.3, 1, 1), strict=True)
        ],
    )
    yield (
        "allocated bytes per image",
        (
            AtMost(f.allocated("hdf5"), "", 3_100),
            AtMost(f.allocated("lmdb"), "", 3_150),
            f"{f.allocated('png'):,.0f}; article-png {f.allocated('article-png'):,.0f}",
        ),
    )
    yield "parallel_read, 2 processes", [f.together(store) for store in STORES]


def growth(f: Figures) -> Iterator[Line]:
    """The cost per image in the largest store, compared with the next smaller or the smallest."""
    for operation, variant in MANY:
        yield (
            f"{operation} {variant}".strip() + f", × that at n = {f.fewer:,}",
            [f.growth(operation, store, f.fewer, variant) for store in STORES],
        )
    yield (
        f"append, × that to a store of {f.fewest}",
        [f.growth("append", store, f.fewest) for store in STORES],
    )
    yield (
        "open + read_single, more for each doubling of n",
        [f.per_doubling("read_single", store) for store in STORES],
    )


def commits(f: Figures) -> Iterator[Line]:
    """Many small commits, compared with the tutorial's way for one image, and with one call."""
    yield (
        "store_single, buffered",
        [
            AtMost(
                f.commit("store", s).ratio_to(f.figure("store_single", a, 1)).value,
                f" × {a}",
                target,
            )
            for s, target in zip(STORES, (1.5, 1.5, 3), strict=True)
            if (a := f"article-{s}")
        ],
    )
    yield (
        "open",
        [AtMost(f.commit("open", store).microseconds / 1000, " ms", 100) for store in STORES],
    )
    for variant, name, target in (("read", "read_many", 10), ("compacted", "compacted", 1.2)):
        yield (
            f"{name}, × that of one call",
            [
                AtMost(
                    f.commit(variant, s).ratio_to(f.figure("read_many", s, f.commits)).value,
                    "",
                    target,
                )
                for s in STORES
            ],
        )


def table(title: str, lines: Iterable[Line]) -> Iterator[str]:
    yield f"| {' | '.join((title, *STORES))} |"
    yield "|---" * (len(STORES) + 1) + "|"
    for label, cells in lines:
        yield f"| {' | '.join((label, *map(str, cells)))} |"
    yield ""


def tables(run: SavedRun) -> Iterator[str]:
    """The lines of all tables; raises ResultsError if the run lacks a row."""
    f = Figures(run)
    try:
        yield from table(f"n = {f.n:,}", speed(f))
        yield from table(f"growth to n = {f.n:,}", growth(f))
        yield from table(f"{f.commits:,} commits of one image", commits(f))
    except KeyError as error:
        lacking = keys.in_words(error.args[0])
        raise ResultsError(f"run {run.name} lacks {lacking}; make a complete run") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; returns the exit code, 2 if there is no such run or printing fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tools.targets",
        description="Print which targets of the stores a saved run reaches.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="a file or a number (the newest)")
    try:
        run = load(parser.parse_args(arguments).run)
        known = in_words(run.machine, cache_in_words(run.figures.values()))
        lines = [f"run {run.name}: {'; '.join(known)}", "", *tables(run)]
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # this is the command line
        return 2
    return 0 if say(lines) else 2


if __name__ == "__main__":
    sys.exit(main())
