"""Several runs as one: their sweeps are pooled, which narrows the intervals of what is compared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from . import machine
from .errors import ResultsError
from .keys import Key
from .runs import Row, SavedRun

HASH = re.compile("[0-9a-f]{7,}")
"""Of a commit; outside a repository, pytest-benchmark saves a word."""


def pool(runs: Sequence[SavedRun]) -> SavedRun:
    """One run with the rows of all; raises ResultsError unless it is as if one had been longer.

    Machine, disk, data and commit must be the same, and no run may be there twice.
    """
    first, *others = runs
    if not others:
        return first
    for place, run in enumerate(others, 1):
        differing = machine.differences(run.machine, first.machine)
        if not same_commit(run, first):
            known = has_known_code(run) and has_known_code(first)
            differing.append("commit" if known else "code, of which no commit tells all")
        if differing:
            raise ResultsError(
                f"runs {first.name} and {run.name} cannot be pooled: they differ in"
                f" {', '.join(differing)}; give them as RUN and --against RUN"
            )
        if any(run.when == earlier.when for earlier in runs[:place]):
            raise ResultsError(f"run {run.name} is named twice; each counts once")
    found: dict[Key, list[tuple[int, Row]]] = {}
    for place, run in enumerate(runs):
        for key, row in run.rows.items():
            found.setdefault(key, []).append((place, row))
    libraries: dict[str, str] = {}
    for run in runs:
        found_there = run.machine.get(machine.PEER_LIBRARIES)
        libraries |= found_there if isinstance(found_there, Mapping) else {}
    return replace(
        runs[-1],
        machine={**runs[-1].machine, machine.PEER_LIBRARIES: libraries},
        name=" + ".join(run.name for run in runs),
        rows={key: _joined(rows) for key, rows in found.items()},
        strangers=tuple(dict.fromkeys(name for run in runs for name in run.strangers)),
        unreadable=tuple(dict.fromkeys(name for run in runs for name in run.unreadable)),
        skipped=tuple(
            dict.fromkeys(one for run in runs for one in run.skipped if one.key not in found)
        ),
        interruption=next((run.interruption for run in runs if run.interruption), ""),
    )


def same_commit(one: SavedRun, other: SavedRun) -> bool:
    """Whether two runs are known to be of the same code."""
    return (
        has_known_code(one)
        and one.commit.get("id") == other.commit.get("id")
        and has_known_code(other)
    )


def has_known_code(run: SavedRun) -> bool:
    """Whether its commit tells all of its code: there is one, without other changes."""
    name = run.commit.get("id")
    return isinstance(name, str) and bool(HASH.fullmatch(name)) and not run.commit.get("dirty")


def _joined(rows: Sequence[tuple[int, Row]]) -> Row:
    """One row from those of several runs, by the place of each run.

    Those whose rounds are not known count only if no run has them.
    """
    known = [(place, row) for place, row in rows if row.rounds is not None] or rows[:1]
    (_, first), *_ = known
    sweeps = {
        (place, sweep): of_sweep
        for place, row in known
        for (_, sweep), of_sweep in row.figure.sweeps.items()
    }
    if first.rounds is None:
        return replace(first, figure=replace(first.figure, sweeps=sweeps))
    rounds = np.concatenate([row.rounds for _, row in known if row.rounds is not None])
    q1, median, q3 = (float(value) for value in np.quantile(rounds, (0.25, 0.5, 0.75)))
    figure = replace(first.figure, microseconds=median, rounds=len(rounds), sweeps=sweeps)
    return replace(first, figure=figure, rounds=rounds, q1=q1, q3=q3)
