"""The answers of the page: which store is best at each job, by what factor, how certainly."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness.protocol import FEW_ROUNDS
from benchmarks.results.jobs import COLD_JOBS, JOBS, Cell, Job, cells
from benchmarks.results.keys import SkippedRow
from benchmarks.results.ratio import Ratio
from benchmarks.results.runs import SavedRun
from benchmarks.results.standing import MOST_SWEEPS, Outcome, Standing
from benchmarks.results.summary import Figure, format_number


@dataclass(frozen=True)
class Answer:
    """The page's answer for one job.

    verdict: the winner's name, or why there is no winner
    won: whether there is a winner
    n: images in the compared stores, or None if none were measured
    reasons: sentences
    values: each store's figure, best first
    """

    job: Job
    verdict: str
    won: bool = False
    n: int | None = None
    reasons: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


def answers(run: SavedRun) -> list[Answer]:
    """One answer for each job, whether or not it was measured, and for those measured cold."""
    found = cells((row.figure for row in run.rows.values()), run.skipped)
    measured = {cell.job for cell in found}
    jobs = (*JOBS, *(job for job in COLD_JOBS if job in measured))
    every = [row.figure.sweeps for row in run.rows.values()]
    runs = len({place for sweeps in every for place, _ in sweeps})
    return [
        _answer(job, [cell for cell in found if cell.job == job], max(map(len, every)), runs)
        if job in measured
        else Answer(job, "not measured", reasons=_why(job, run.skipped))
        for job in jobs
    ]


def _why(job: Job, skipped: Sequence[SkippedRow]) -> tuple[str, ...]:
    """Why the rows of a job were skipped, a sentence for each reason."""
    found = [
        s.reason for s in skipped if (s.key.operation, s.key.cold) == (job.operation, job.cold)
    ]
    return tuple(f"{reason[0].upper()}{reason[1:]}." for reason in dict.fromkeys(found) if reason)


def _answer(job: Job, found: Sequence[Cell], sweeps: int, runs: int) -> Answer:
    """The answer from the cells of a job; so many runs made so many sweeps together."""
    # The largest of those n that have the most stores.
    shown = max(found, key=lambda cell: (len(cell.figures), cell.n))
    values = tuple(_value(job, figure) for figure in shown.figures)
    if shown.standing is None:
        (only,) = shown.figures
        return Answer(job, f"only {only.backend} was measured", n=shown.n, values=values)
    names = {figure.backend for figure in shown.figures}
    like = {
        cell.n: cell.standing.in_words
        for cell in found
        if cell.standing and {figure.backend for figure in cell.figures} == names
    }
    verdict = shown.standing.in_words
    return Answer(
        job,
        verdict,
        shown.standing.outcome is Outcome.WINS,
        shown.n,
        (
            *_missing(shown),
            *_ahead(job, shown.standing),
            *_open(job, shown.standing, sweeps, runs),
            *_elsewhere(like, shown.standing, len(found)),
        ),
        values,
    )


def _missing(cell: Cell) -> list[str]:
    """The stores of the run that the answer leaves out."""
    return [f"Not measured here: {', '.join(cell.missing)}."] if cell.missing else []


def _ahead(job: Job, standing: Standing) -> list[str]:
    """By what factor the first is ahead of each other store, with intervals."""
    won = standing.outcome is Outcome.WINS
    lead = "" if won else f"{standing.first}: "
    behind = [_behind(job, name, ratio) for name, ratio in standing.others.items()]
    return [lead + "; ".join(behind) + "."]


def _behind(job: Job, other: str, ratio: Ratio) -> str:
    times = format_number(ratio.value)
    if job.disk:
        return f"{other} takes {times} times as much"
    sure = ratio.interval
    between = f" ({format_number(sure.low)} to {format_number(sure.high)})" if sure else ""
    return f"{times}{between} times as fast as {other}"


def _open(job: Job, standing: Standing, most: int, runs: int) -> list[str]:
    """What would decide it, if it is undecided, where so many runs made at most so many sweeps."""
    if standing.outcome is not Outcome.UNDECIDED:
        return []
    sweeps = min(ratio.sweeps for ratio in standing.others.values())
    if sweeps < 2:
        return ["One sweep does not show how sure that is; a new run makes several."]
    if standing.needed is None:
        return [
            f"Even {MOST_SWEEPS} sweeps would hardly decide it: the stores are too close to the"
            " bounds, or the machine is too noisy."
        ]
    needed = math.ceil(standing.needed * runs / sweeps)
    like = "this" if runs == 1 else "these"
    if job.operation == "loader":  # it makes a quarter of the sweeps, so no option gives that many
        return [f"About {needed} runs like {like} would decide it."]
    # A row of long rounds makes few passes, whatever --sweeps says.
    options = ["--sweeps"] if standing.needed * runs > most or sweeps == most else []
    options += ["a larger --round-budget"] if sweeps < most else []
    return [
        f"About {standing.needed} sweeps would decide it ({' and '.join(options)}), or {needed} runs"
        f" like {like}."
    ]


def _elsewhere(verdicts: Mapping[int, str], standing: Standing, count: int) -> list[str]:
    """A sentence on the n with the same verdict as `standing`, or with others.

    verdicts: by n, without the n at which other stores were measured
    count: the number of all n
    """
    at: dict[str, list[str]] = {}
    for n in sorted(verdicts):
        at.setdefault(verdicts[n], []).append(f"{n:,}")
    others = [
        f"{found} at n = {_and(ns)}" for found, ns in at.items() if found != standing.in_words
    ]
    if others:
        return [f"But {'; '.join(others)}."]
    if standing.outcome is Outcome.UNDECIDED:
        return []
    if len(verdicts) == count > 1:
        return ["The same at every n."]
    return [f"The same at n = {_and(ns)}." for ns in at.values() if len(ns) > 1]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _value(job: Job, figure: Figure) -> str:
    few = "*" if figure.rounds < FEW_ROUNDS and not job.disk else ""
    return f"{figure.backend} {format_number(job.value(figure))}{few}"
