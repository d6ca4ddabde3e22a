"""What is counted over many runs of one commit, and the rates that are wanted."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.report.changes import changed
from benchmarks.report.noise import pairs, told_apart
from benchmarks.results.jobs import Job, cells
from benchmarks.results.keys import Key
from benchmarks.results.ratio import WIDENED, Ratio, SweepRounds
from benchmarks.results.standing import Outcome, Standing
from benchmarks.results.summary import LIMIT, Figure

from .record import Replicate
from .slower import SLOWER

SLOW_ROUND = 100.0
"""Microseconds; a true difference of rows with longer rounds has to be found."""

POOLED = 4
"""Runs that are also looked at together, as a page of several runs does."""

RunFigures = Mapping[Key, Figure]
CellStandings = Mapping[tuple[Job, int], Standing]


class Rate(NamedTuple):
    """How often something happened, and the least and the greatest share that are wanted."""

    what: str
    counted: int
    of: int
    least: float
    most: float

    @classmethod
    def among(cls, what: str, found: Iterable[bool], least: float, most: float) -> "Rate":
        all_found = [*found]
        return cls(what, sum(all_found), len(all_found), least, most)

    @property
    def is_met(self) -> bool:
        return self.of > 0 and self.least <= self.counted / self.of <= self.most


def rates(records: Sequence[Replicate], defaults: Sequence[RunFigures]) -> list[Rate]:
    """All that is counted.

    defaults: the figures of default runs of one commit, if there are any
    """
    runs = [record.figures for record in records]
    slowed, pooled = slowed_rows(records), slowed_rows(records, POOLED)
    covered, covered_by_others = coverage(runs), coverage(runs, others=True)
    counted = [
        Rate.among("a winner that another run contradicts", contradictions(runs), 0, 0.01),
        Rate.among("a winner among two rows of the same store", same_rows(records), 0, 0.01),
        Rate.among(
            "a 95 % interval with the ratio of all runs",
            chain.from_iterable(covered.values()),
            0.90,
            0.98,
        ),
        *_by_kind(covered),
        Rate.among(
            "a 95 % interval with that of all others",
            chain.from_iterable(covered_by_others.values()),
            0.90,
            0.98,
        ),
        Rate.among(
            f"a true difference of {SLOWER:.0%} found, rounds over {SLOW_ROUND:.0f} µs",
            chain.from_iterable(slowed.values()),
            0.80,
            1,
        ),
        *_by_kind(slowed),
        Rate.among(
            f"the same, in {POOLED} runs pooled", chain.from_iterable(pooled.values()), 0.80, 1
        ),
        *_by_kind(pooled),
        Rate.among("a row marked by `--against`", marks(runs), 0, 0.01),
    ]
    if defaults:
        what = "default runs: a winner that another contradicts"
        counted.append(Rate.among(what, contradictions(defaults), 0, 0.01))
    return counted


def _by_kind(counted: Mapping[str, Sequence[bool]]) -> list[Rate]:
    return [Rate.among(f"of these, {kind}", found, 0, 1) for kind, found in counted.items()]


def contradictions(runs: Sequence[RunFigures]) -> Iterator[bool]:
    """For two runs and a cell in which one names a winner, whether the other contradicts it.

    Disk space is left out: it is counted, not measured.
    """
    for one, other in combinations(map(_standings, runs), 2):
        for cell in one.keys() & other.keys():
            verdicts = one[cell], other[cell]
            if any(verdict.outcome is Outcome.WINS for verdict in verdicts):
                yield _contradict(*verdicts)


def _standings(figures: RunFigures) -> CellStandings:
    found = cells(figures.values())
    return {(c.job, c.n): c.standing for c in found if c.standing and not c.job.disk}


def _contradict(one: Standing, other: Standing) -> bool:
    """Whether one names a winner, and the other says that it is not among the best."""
    return any(
        winner.outcome is Outcome.WINS
        and verdict.outcome is not Outcome.UNDECIDED
        and winner.first not in (verdict.first, *verdict.level)
        for winner, verdict in ((one, other), (other, one))
    )


def same_rows(records: Sequence[Replicate]) -> Iterator[bool]:
    """For each row that was measured twice, whether one of the two is called a winner."""
    for record in records:
        found = [pair for pair in pairs(record.figures) if pair.key.backend == record.same]
        apart = told_apart(found)
        yield from (pair in apart for pair in found)


def slowed_rows(records: Sequence[Replicate], together: int = 1) -> dict[str, list[bool]]:
    """For each row with a slower copy, whether the row is called the winner; by operations.

    together: of how many runs the sweeps are pooled, of any that follow each other among those with
        a slower row of the same store
    """
    found: dict[str, list[bool]] = {}
    for group in _groups(records, together):
        first = group[0]
        figures = _pooled_figures([record.figures for record in group])
        rows = [pair for pair in pairs(figures) if pair.key.backend == first.slowed]
        won = [pair for pair in told_apart(rows) if pair.ratio.mean > 0]
        for pair in rows:
            if first.round_microseconds[pair.key] > SLOW_ROUND:
                found.setdefault(_kind(pair.key), []).append(pair in won)
    return found


def _kind(key: Key) -> str:
    """The operation, which is counted apart from others."""
    return f"`{key.operation}`" + (", cold" if key.cold else "")


def _groups(records: Sequence[Replicate], size: int) -> Iterator[Sequence[Replicate]]:
    for store in sorted({record.slowed for record in records}):
        alike = [record for record in records if record.slowed == store]
        for first in range(len(alike) - size + 1):
            yield alike[first : first + size]


def beyond_sweeps(runs: Sequence[RunFigures]) -> float | None:
    """How far equal runs spread beyond what their sweeps show; None if nothing is compared.

    The median over all pairs of rows of the standard deviation of the logarithm of their ratio.
    """
    found = list[float]()
    if len(runs) < 2:
        return None
    for over, under in _compared(runs):
        ratios = [run[over].ratio_to(run[under]) for run in runs]
        between = np.var([ratio.mean for ratio in ratios], ddof=1)
        excess = float(between - np.mean([(ratio.error / WIDENED) ** 2 for ratio in ratios]))
        found.append(math.copysign(math.sqrt(abs(excess)), excess))
    return float(np.median(found)) if found else None


def coverage(runs: Sequence[RunFigures], *, others: bool = False) -> dict[str, list[bool]]:
    """For each interval of a ratio in a run, whether it holds the ratio of all pooled; by operations.

    A run is one of all: its interval holds their ratio a little too often. That of the `others` is
    itself uncertain, so it is held a little too seldom.
    """
    found: dict[str, list[bool]] = {}
    for over, under in _compared(runs) if len(runs) > 1 else ():
        for place, run in enumerate(runs):
            interval = run[over].ratio_to(run[under]).interval
            left_out = {place} if others else set()
            pooled = Ratio.within(_pooled(runs, over, left_out), _pooled(runs, under, left_out))
            if interval and pooled:
                holds = interval.low <= pooled.value <= interval.high
                found.setdefault(_kind(over), []).append(holds)
    return found


def _compared(runs: Sequence[RunFigures]) -> Iterator[tuple[Key, Key]]:
    """The rows whose ratios the page shows: two stores, or a store and the limit."""
    for one, other in combinations(_everywhere(runs), 2):
        of_one_cell = one == other._replace(backend=one.backend)
        backends = {one.backend, other.backend}
        if of_one_cell and backends <= STORE_ROWS.keys() | {LIMIT}:
            yield one, other


def _everywhere(runs: Sequence[RunFigures]) -> list[Key]:
    return [key for key in runs[0] if all(key in run for run in runs)]


def _pooled_figures(runs: Sequence[RunFigures]) -> RunFigures:
    """The rows that all runs have, with the sweeps of all."""
    return {
        key: replace(runs[0][key], sweeps=_pooled(runs, key, set())) for key in _everywhere(runs)
    }


def _pooled(runs: Sequence[RunFigures], key: Key, left_out: set[int]) -> SweepRounds:
    return {
        (place, sweep): of_sweep
        for place, run in enumerate(runs)
        if place not in left_out
        for (_, sweep), of_sweep in run[key].sweeps.items()
    }


def marks(runs: Sequence[RunFigures]) -> Iterator[bool]:
    """For two runs and each row that `--against` may mark, whether it does."""
    for before, now in combinations(runs, 2):
        rows, _ = changed(before, now)
        yield from (change.beyond for key, change in rows.items() if key.backend in STORE_ROWS)


def table(found: Sequence[Rate]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = ["| how often | counted | of | share | wanted | |", "|---|---|---|---|---|---|"]
    for rate in found:
        share = f"{rate.counted / rate.of:.1%}" if rate.of else "-"
        kept = "met" if rate.is_met else "missed" if rate.of else "not counted"
        if rate.least and rate.most < 1:
            wanted = f"{rate.least:.0%} to {rate.most:.0%}"
        elif rate.least or rate.most < 1:
            wanted = f"≥ {rate.least:.0%}" if rate.least else f"≤ {rate.most:.0%}"
        else:
            wanted = kept = ""
        lines.append(
            f"| {rate.what} | {rate.counted:,} | {rate.of:,} | {share} | {wanted} | {kept} |"
        )
    return lines
