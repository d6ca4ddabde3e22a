"""The changes from one run to another, and which of them are more than noise."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.contenders.rows import STORE_ROWS, TWINS
from benchmarks.results import machine
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key
from benchmarks.results.pool import same_commit
from benchmarks.results.ratio import Interval, Ratio
from benchmarks.results.recorded import COLD, WARM
from benchmarks.results.runs import SavedRun
from benchmarks.results.standing import ERROR, MARGIN, holm
from benchmarks.results.summary import Figure

MIN_REFERENCES = 8
"""The noise between two runs can be estimated from at least this many reference rows; a default run
has so many cold ones.
"""
CALM_SHARE = 0.95
"""The share of the reference rows that estimates the noise: those that moved least."""
PILLOW_ALONE = "files"
"""The row that decodes pictures with Pillow alone; all others do with this project's decoder."""


@dataclass(frozen=True)
class Change:
    """The change of one row.

    ratio: its median divided by the earlier one: less than 1 is faster
    interval: the interval of the ratio, or None if a run has only one sweep of it
    beyond: whether it is shown to be larger than `MARGIN` and than the noise; never true for
        reference rows, which define the noise
    """

    ratio: float
    interval: Interval | None
    beyond: bool


@dataclass(frozen=True)
class Changes:
    """The changes of all rows that both runs have.

    noise: the factor by which rows move without a cause, of the warm rows and of the cold, if both
        runs have any; None if it cannot be estimated
    one_commit: whether both runs are of one commit, so that no code has changed
    appeared, gone: the rows that only the later run has, and only the earlier
    """

    before: SavedRun
    rows: Mapping[Key, Change]
    noise: Mapping[str, float | None]
    one_commit: bool
    appeared: tuple[Key, ...]
    gone: tuple[Key, ...]

    @classmethod
    def between(cls, before: SavedRun, now: SavedRun) -> Self:
        """Compare two runs; raises ResultsError unless machine, disk and data are the same."""
        differing = machine.differences(now.machine, before.machine)
        if differing:
            raise ResultsError(
                f"run {before.name} does not compare with {now.name}: it differs in"
                f" {', '.join(differing)}"
            )
        rows, noise = changed(before.figures, now.figures)
        return cls(
            before=before,
            rows=rows,
            noise=noise,
            one_commit=same_commit(before, now),
            appeared=tuple(key for key in now.rows if key not in before.rows),
            gone=tuple(key for key in before.rows if key not in now.rows),
        )

    @property
    def none(self) -> bool:
        """Whether both runs have the same rows with the same times, as a run has with itself."""
        moved = any(change.ratio != 1 for change in self.rows.values())
        return not (moved or self.appeared or self.gone)


def changed(
    before: Mapping[Key, Figure], now: Mapping[Key, Figure]
) -> tuple[dict[Key, Change], dict[str, float | None]]:
    """The change of each row that both runs have, and the noise between the runs.

    A row that comes from the disk moves further than one that comes from memory, so the noise of
    cold rows is their own.
    """
    ratios = {
        key: Ratio.between(figure.sweeps, before[key].sweeps)
        for key, figure in now.items()
        if key in before
    }
    noise = {
        state: _noise(
            r.value for k, r in ratios.items() if k.cold is cold and _is_reference(now[k])
        )
        for state, cold in ((WARM, False), (COLD, True))
        if any(key.cold is cold for key in ratios)
    }
    beyond = _beyond({k: r for k, r in ratios.items() if k.backend in STORE_ROWS}, noise)
    return {k: Change(r.value, r.interval, k in beyond) for k, r in ratios.items()}, noise


def _is_reference(figure: Figure) -> bool:
    """Whether it runs neither a store nor the decoder of this project."""
    if figure.backend in STORE_ROWS or figure.backend in TWINS:
        return False
    return not figure.decodes or figure.backend == PILLOW_ALONE


def _noise(ratios: Iterable[float]) -> float | None:
    """How far reference rows move, whose code stays the same.

    Rounds within the same second are more alike than two runs, so judged by the interval over
    rounds alone, nearly every row would have changed.
    """
    moved = [abs(math.log(ratio)) for ratio in ratios]
    if len(moved) < MIN_REFERENCES:
        return None
    return math.exp(float(np.quantile(moved, CALM_SHARE)))


def _beyond(ratios: Mapping[Key, Ratio], noise: Mapping[str, float | None]) -> set[Key]:
    """The rows that changed by more than the margin and the noise, corrected for their number.

    None, where the noise is not known.
    """
    p_values = []
    for key, ratio in ratios.items():
        if factor := noise[COLD if key.cold else WARM]:
            bound = max(1 + MARGIN, factor)
            p_values.append(2 * min(ratio.p_above(bound), ratio.p_below(1 / bound)))
        else:
            p_values.append(1.0)
    changed = holm(p_values, ERROR)
    return {key for key, has_changed in zip(ratios, changed, strict=True) if has_changed}
