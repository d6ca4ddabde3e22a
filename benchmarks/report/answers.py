"""The answers of the page: which store is best at each job, by what factor, how certainly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS
from benchmarks.results.interval import Interval, ratio_interval
from benchmarks.results.runs import Row, SavedRun
from benchmarks.results.summary import format_number

NO_WINNER = "no clear winner"
NOT_DECIDED = "not decided"


@dataclass(frozen=True)
class Job:
    """A common task with lots of images, and the operation that shows its cost.

    disk: whether disk space is compared instead of time
    """

    name: str
    how: str
    operation: str
    variant: str = ""
    disk: bool = False

    @property
    def unit(self) -> str:
        return "bytes per image" if self.disk else "µs per image"


JOBS = (
    Job("Write once", "a new store, in one call", "store_many"),
    Job("Read everything", "into one array", "read_many"),
    Job("Random batches for training", "a batch of an open store", "read_batch"),
    Job("One image at a time", "in order, from an open store", "iterate", "single"),
    Job("Least disk", "what the file system allocates", "store_many", disk=True),
)


@dataclass(frozen=True)
class Place:
    """One store at one job and n.

    value: the figure in the job's unit; less is better
    interval: the value's interval; None if the run does not hold its rounds
    """

    row: Row
    value: float
    interval: Interval | None

    @property
    def name(self) -> str:
        return self.row.figure.backend


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
    """One answer for each job, whether or not it was measured."""
    return [_answer(job, run) for job in JOBS]


def _answer(job: Job, run: SavedRun) -> Answer:
    by_n = _places_by_n(job, run)
    if not by_n:
        return Answer(job, "not measured")
    # The largest of those n that have the most stores.
    n = max(by_n, key=lambda n: (len(by_n[n]), n))
    places = by_n[n]
    if len(places) == 1:
        only = f"only {places[0].name} was measured"
        return Answer(job, only, n=n, values=(_value(job, places[0]),))
    verdict, won = _verdict(places)
    like = {k: _verdict(of)[0] for k, of in by_n.items() if _names(of) == _names(places)}
    reasons = [*_ahead(job, places, won), *_doubts(places), *_elsewhere(like, verdict, len(by_n))]
    return Answer(
        job, verdict, won, n, tuple(reasons), tuple(_value(job, place) for place in places)
    )


def _places_by_n(job: Job, run: SavedRun) -> dict[int, list[Place]]:
    """The stores at one job for each n, best first."""
    by_n: dict[int, list[Place]] = {}
    for row in run.of(job.operation, job.variant):
        if row.figure.backend in STORE_ROWS:
            by_n.setdefault(row.figure.n, []).append(_place(job, row))
    return {n: sorted(places, key=lambda place: place.value) for n, places in by_n.items()}


def _names(places: Iterable[Place]) -> set[str]:
    return {place.name for place in places}


def _place(job: Job, row: Row) -> Place:
    if job.disk:
        size = row.recorded.allocated_bytes / row.recorded.images_per_round
        return Place(row, size, Interval(size, size))  # a size is exact
    return Place(row, row.figure.microseconds, row.interval)


def _verdict(places: Sequence[Place]) -> tuple[str, bool]:
    """The verdict on several stores, and whether there is a winner; its interval overlaps none."""
    first, *others = places
    if any(place.interval is None for place in places):
        return NOT_DECIDED, False
    if _level_with(first, others):
        return NO_WINNER, False
    return first.name, True


def _level_with(first: Place, others: Sequence[Place]) -> list[Place]:
    return [
        other
        for other in others
        if first.interval and other.interval and first.interval.overlaps(other.interval)
    ]


def _ahead(job: Job, places: Sequence[Place], won: bool) -> list[str]:
    """By what factor the first is ahead of each other store, with intervals."""
    first, *others = places
    lead = "" if won else f"{first.name} has the lowest figure: "
    behind = [_behind(job, other, first) for other in others]
    return [lead + "; ".join(behind) + "."]


def _behind(job: Job, other: Place, first: Place) -> str:
    times = format_number(other.value / first.value)
    if job.disk:
        return f"{other.name} takes {times} times as much"
    sure = ratio_interval(other.row.rounds, first.row.rounds)
    between = f" ({format_number(sure.low)} to {format_number(sure.high)})" if sure else ""
    return f"{times}{between} times as fast as {other.name}"


def _doubts(places: Sequence[Place]) -> list[str]:
    """The reasons why there is no winner, if there is none."""
    first, *others = places
    doubts = []
    if any(place.interval is None for place in places):
        doubts.append("Without the durations of the rounds, the uncertainty is unknown.")
    level = _level_with(first, others)
    if level:
        names = " and ".join(place.name for place in level)
        doubts.append(f"The intervals of {first.name} and {names} overlap.")
    return doubts


def _elsewhere(verdicts: Mapping[int, str], verdict: str, count: int) -> list[str]:
    """A sentence on the n with the same verdict, or with others.

    verdicts: by n, without the n at which other stores were measured
    count: the number of all n
    """
    at: dict[str, list[str]] = {}
    for n in sorted(verdicts):
        at.setdefault(verdicts[n], []).append(f"{n:,}")
    others = [f"{found} at n = {_and(ns)}" for found, ns in at.items() if found != verdict]
    if others:
        return [f"But {'; '.join(others)}."]
    if verdict == NOT_DECIDED:
        return []
    if len(verdicts) == count > 1:
        return ["The same at every n."]
    return [f"The same at n = {_and(ns)}." for ns in at.values() if len(ns) > 1]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _value(job: Job, place: Place) -> str:
    few = "*" if place.row.figure.rounds < FEW_ROUNDS and not job.disk else ""
    return f"{place.name} {format_number(place.value)}{few}"
