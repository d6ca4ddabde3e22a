"""The common jobs with lots of images, and how the stores stand at each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.contenders.rows import STORE_ROWS

from .keys import SkippedRow
from .ratio import Ratio
from .standing import LEVEL, MARGIN, MOST_SWEEPS, Outcome, Rivals, Standing, standings
from .summary import Figure


@dataclass(frozen=True)
class Job:
    """A common task, and the operation that shows its cost.

    disk: whether disk space is compared instead of time
    cold: whether the stores were evicted from the page cache
    """

    name: str
    how: str
    operation: str
    variant: str = ""
    disk: bool = False
    cold: bool = False

    @property
    def unit(self) -> str:
        return "bytes per image" if self.disk else "µs per image"

    def value(self, figure: Figure) -> float:
        """A store's figure at this job, in `unit`; less is better."""
        allocated = figure.allocated_per_image
        return allocated if self.disk and allocated is not None else figure.microseconds

    def ratio(self, over: Figure, under: Figure) -> Ratio:
        """The factor between one store's figure and another's."""
        if self.disk:
            return Ratio.exact(self.value(over) / self.value(under))
        return over.ratio_to(under)


JOBS = (
    Job("Write once", "a new store, in one call", "store_many"),
    Job("Read everything", "all images, in one call", "read_many"),
    Job("Random batches for training", "up to 256 images of an open store", "read_batch"),
    Job("Feed PyTorch", "DataLoader, two workers", "loader", "2 forked workers"),
    Job("One image at a time", "in order, from an open store", "iterate", "single"),
    Job("Least disk", "what the file system allocates", "store_many", disk=True),
)
COLD_JOBS = tuple(
    replace(job, name=f"{job.name}, cold", cold=True)
    for job in JOBS
    if job.operation != "store_many"
)
"""The jobs that read, from stores that are not in memory."""


@dataclass(frozen=True)
class Cell:
    """One job at one n.

    figures: those of the stores, best first
    standing: None if only one store was measured
    missing: the stores of the run that were not measured here
    """

    job: Job
    n: int
    figures: tuple[Figure, ...]
    standing: Standing | None
    missing: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The standing in words, with the stores that it leaves out; "" if there is none."""
        if self.standing is None:
            return ""
        without = f", without {', '.join(self.missing)}" if self.missing else ""
        return self.standing.in_words + without


def cells(
    figures: Iterable[Figure],
    skipped: Iterable[SkippedRow] = (),
    jobs: Sequence[Job] = (*JOBS, *COLD_JOBS),
) -> list[Cell]:
    """Every job at every n that was measured, in the order of the jobs and by rising n.

    The standings are corrected for the number of these cells.

    skipped: the rows of the run that could not be measured
    """
    found: dict[tuple[Job, int], list[Figure]] = {}
    asked = {one.key.backend for one in skipped}
    for figure in figures:
        asked.add(figure.backend)
        for job in jobs:
            kind = (job.operation, job.variant, job.cold)
            own = (figure.operation, figure.variant, figure.cold)
            if own == kind and figure.backend in STORE_ROWS:
                found.setdefault((job, figure.n), []).append(figure)
    places = {job: place for place, job in enumerate(jobs)}
    at = {
        key: _best_first(key[0], found[key])
        for key in sorted(found, key=lambda key: (places[key[0]], key[1]))
    }
    several = {key: _rivals(key[0], of) for key, of in at.items() if len(of) > 1}
    standing = dict(zip(several, standings([*several.values()]), strict=True))
    stores = [name for name in STORE_ROWS if name in asked]
    return [
        Cell(*key, tuple(of), standing.get(key), _without(stores, of)) for key, of in at.items()
    ]


def _without(stores: Iterable[str], figures: Iterable[Figure]) -> tuple[str, ...]:
    measured = {figure.backend for figure in figures}
    return tuple(name for name in stores if name not in measured)


def _best_first(job: Job, figures: list[Figure]) -> list[Figure]:
    """The stores by rising value; first the one that no other is ahead of within sweeps."""
    by_value = sorted(figures, key=job.value)
    for first in by_value:
        others = [other for other in by_value if other is not first]
        if all(job.ratio(other, first).mean >= 0 for other in others):
            return [first, *others]
    return by_value


def _rivals(job: Job, figures: list[Figure]) -> Rivals:
    first, *others = figures
    return Rivals(first.backend, {other.backend: job.ratio(other, first) for other in others})


def in_lines(figures: Iterable[Figure], skipped: Iterable[SkippedRow] = ()) -> list[str]:
    """The standings as lines for a terminal; none if no two stores were measured at one n."""
    at: dict[Job, dict[str, list[str]]] = {}
    found = cells(figures, skipped)
    for cell in found:
        if cell.standing:
            at.setdefault(cell.job, {}).setdefault(cell.verdict, []).append(f"{cell.n:,}")
    if not at:
        return []
    lines = [
        f"best store, by ratios within sweeps: ahead of every other by {MARGIN:.0%}, or level"
        f" within {LEVEL:.0%}"
    ]
    for job, verdicts in at.items():
        lines.append(f"{job.name} ({job.how})")
        lines += [f"  {verdict} at n={', '.join(ns)}" for verdict, ns in verdicts.items()]
    return [*lines, *_what_decides(found), ""]


def _what_decides(found: Iterable[Cell]) -> list[str]:
    """A line on what would decide the cells that are undecided; none if there are none."""
    open_ones = [
        c.standing for c in found if c.standing and c.standing.outcome is Outcome.UNDECIDED
    ]
    if not open_ones:
        return []
    n, needed = len(open_ones), [standing.needed for standing in open_ones if standing.needed]
    if not needed:
        return [f"even {MOST_SWEEPS} sweeps would hardly decide the {n} undecided"]
    sweeps = f"about {max(needed)} sweeps, perhaps of several runs,"
    return [f"{sweeps} would decide {len(needed)} of the {n} undecided"]
