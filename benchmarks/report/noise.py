"""The noise of a run that measured a second copy of a store's row: what the two differ by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.contenders.rows import TWINS
from benchmarks.results.keys import Key, in_words
from benchmarks.results.ratio import Ratio
from benchmarks.results.runs import SavedRun
from benchmarks.results.standing import Outcome, Rivals, standings
from benchmarks.results.summary import Figure, format_number


@dataclass(frozen=True)
class Pair:
    """A row and its second copy; the ratio is that of the copy's time to the row's."""

    key: Key
    ratio: Ratio


def pairs(figures: Mapping[Key, Figure]) -> list[Pair]:
    """Every pair of one row that was measured twice."""
    found = []
    for copied, figure in figures.items():
        if copied.backend in TWINS:
            key = copied._replace(backend=TWINS[copied.backend].copied)
            if key in figures:
                found.append(Pair(key, figure.ratio_to(figures[key])))
    return found


def told_apart(found: Sequence[Pair]) -> list[Pair]:
    """The pairs in which one is called a winner, by the rule for stores; each is an error."""
    cells = [
        Rivals("", {"": pair.ratio if pair.ratio.mean >= 0 else pair.ratio.inverse()})
        for pair in found
    ]
    wins = [standing.outcome is Outcome.WINS for standing in standings(cells)]
    return [pair for pair, won in zip(found, wins, strict=True) if won]


def sentences(run: SavedRun) -> list[str]:
    """A summary, and then each ratio with its interval; nothing without pairs."""
    found = pairs(run.figures)
    if not found:
        return []
    values = [pair.ratio.value for pair in found]
    low, middle, high = (format_number(float(v)) for v in np.quantile(values, (0, 0.5, 1)))
    known = [pair.ratio.interval for pair in found if pair.ratio.interval]
    outside = sum(not between.low <= 1 <= between.high for between in known)
    return [
        f"{len(found)} rows were measured twice, as if they were two. The ratios lie from {low} to"
        f" {high}, with a median of {middle}; {outside} of {len(known)} intervals leave out 1, and"
        f" {len(told_apart(found))} pairs would have a winner.",
        *(f"{in_words(pair.key)}: {_in_words(pair.ratio)}" for pair in found),
    ]


def _in_words(ratio: Ratio) -> str:
    sure = ratio.interval
    between = f" ({format_number(sure.low)} to {format_number(sure.high)})" if sure else ""
    return format_number(ratio.value) + between
