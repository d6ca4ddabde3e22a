"""Which store wins, which are level, and what is undecided: one rule for all that compares stores.

A store wins a cell, one job at one n, if it is shown to be ahead of every other by `MARGIN`. Stores
are level if they are shown to lie within `LEVEL` of the first, and all others to be behind it.
Else the cell is undecided between the first and all that are not shown to be behind it by `MARGIN`.
Holm's correction over the cells keeps the chance of one wrong winner, and that of one wrong
"level", at `ERROR` for all cells together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .ratio import Ratio

MARGIN = 0.05
"""A winner is ahead of every other store by more than this fraction."""
LEVEL = 0.10
"""Stores that differ by less than this fraction are level."""
ERROR = 0.05
MOST_SWEEPS = 100
"""If more sweeps than this were needed, the stores are too close or the machine too noisy."""


class Outcome(StrEnum):
    """The outcome of a cell."""

    WINS = "wins"
    LEVEL = "level"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Standing:
    """How stores stand in a cell.

    first: the best store
    others: of each other store, by what factor its figure is that of the first
    level: the stores that are level with the first, if that is the outcome
    open: the stores that are not shown to be behind the first, if it is undecided
    needed: about how many sweeps would decide it, if it is undecided; None if too many
    """

    outcome: Outcome
    first: str
    others: Mapping[str, Ratio]
    level: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    needed: int | None = None

    @property
    def in_words(self) -> str:
        """The outcome and the names of those that it is about."""
        match self.outcome:
            case Outcome.WINS:
                return self.first
            case Outcome.LEVEL:
                return f"level: {', '.join((self.first, *self.level))}"
            case _:
                *most, last = sorted((self.first, *self.open))
                return f"undecided: {', '.join(most)} or {last}"


@dataclass(frozen=True)
class Rivals:
    """The stores of a cell: the best, and of each other the ratio of its figure to the best's."""

    first: str
    others: Mapping[str, Ratio]


def standings(cells: Sequence[Rivals]) -> list[Standing]:
    """The standing in each cell of a page, in their order; every cell has at least two stores."""
    wins = holm([p_wins(cell.others) for cell in cells], ERROR)
    level = holm([_p_decided(cell.others) for cell in cells], ERROR)
    made = []
    for cell, has_won, is_level in zip(cells, wins, level, strict=True):
        near = tuple(name for name, r in cell.others.items() if _p_level(r) < _p_behind(r))
        if has_won:
            made.append(Standing(Outcome.WINS, cell.first, cell.others))
        # With none near, all are behind, if anything; whether that is shown, `wins` says.
        elif is_level and near:
            made.append(Standing(Outcome.LEVEL, cell.first, cell.others, near))
        else:
            error = ERROR / len(cells)
            # At least one: if all were shown to be behind, the first would have won.
            still = tuple(name for name, r in cell.others.items() if _p_behind(r) > error)
            needed = _needed(cell.others, error)
            made.append(
                Standing(Outcome.UNDECIDED, cell.first, cell.others, open=still, needed=needed)
            )
    return made


def _p_behind(ratio: Ratio) -> float:
    # Doubled, since either of the two could have been the first.
    return min(1.0, 2 * ratio.p_above(1 + MARGIN))


def _p_level(ratio: Ratio) -> float:
    """The p of the two one-sided tests (Schuirmann, 1987)."""
    return max(ratio.p_above(1 / (1 + LEVEL)), ratio.p_below(1 + LEVEL))


def p_wins(others: Mapping[str, Ratio]) -> float:
    """The p of the test that one is ahead of all others by `MARGIN`, as in `Standing.others`."""
    return max(map(_p_behind, others.values()))


def _p_decided(others: Mapping[str, Ratio]) -> float:
    return max(min(_p_behind(ratio), _p_level(ratio)) for ratio in others.values())


def _needed(others: Mapping[str, Ratio], error: float) -> int | None:
    fewest = min(ratio.sweeps for ratio in others.values())
    if fewest < 2:
        return None
    for sweeps in range(fewest + 1, MOST_SWEEPS + 1):
        then = {name: ratio.after(sweeps) for name, ratio in others.items()}
        if min(p_wins(then), _p_decided(then)) <= error:
            return sweeps
    return None


def holm(p_values: Sequence[float], error: float) -> list[bool]:
    """Which hypotheses to reject so that the chance of rejecting any true one is at most `error`.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    rejected = [False] * len(p_values)
    for rank, i in enumerate(np.argsort(p_values)):
        if p_values[i] > error / (len(p_values) - rank):
            break
        rejected[i] = True
    return rejected
