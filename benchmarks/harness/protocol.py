"""How every figure is measured: the same way for every row.

Each round has fresh state, made before the clock starts; what it returned is checked, and what it
left removed, after the clock has stopped. One round warms up and counts for nothing, or some, if
they are short: the first may look for what later ones find. Where a small part of a round tells
that one takes very long, that part is the warm-up. Then come as many as the time budget allows, at
least three, and five if that does not take too much more; the median is the figure.

Python's garbage collector stays on, but what was there before the first round is kept from it: to
search all that pytest has in memory takes longer than many a round, and comes in every fourth or so.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")

MOST_WARM_UPS, WARM_UP_SHARE = 5, 0.1
"""There are so many rounds of warm-up, or fewer once they have taken that part of the budget."""
MIN_ROUNDS = 3
MAX_ROUNDS = 100
FEW_ROUNDS = 5
"""Fewer rounds than this are remarked upon: their median may be off."""
STRETCH = 5
"""By so much a budget may be exceeded for the sake of that many rounds, or of a whole warm-up."""
SMALL_PART, FEWEST_OF_PART = 100, 10
"""The part of a round that is tried first is a hundredth of its images, if these are so many."""


def nothing() -> None:
    pass


class RoundPart(NamedTuple):
    """A part of a round, with which a long one is warmed up.

    run: does it, in the state that a round finds
    share: of the round's images
    """

    run: Callable[[], object]
    share: float


@dataclass
class Work(Generic[Result]):
    """One operation to be timed.

    run: what is inside the timer, and nothing else
    check: given what `run` returned; raises WrongResultError where it is not what was stored
    before: makes the state that `run` needs
    after: removes what it left, also after an error or an interruption
    part: where a round may take very long, and each image costs what the last did
    """

    run: Callable[[], Result]
    check: Callable[[Result], None]
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    part: RoundPart | None = None


class Statistics(Protocol):
    """Of the rounds' durations, in seconds."""

    data: list[float]  # in the order they were measured
    median: float


class Measured(Protocol):
    """What pytest-benchmark has measured."""

    stats: Statistics


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    enabled: bool
    has_error: bool
    group: str
    extra_info: dict[str, Any]  # what JSON may hold
    stats: Measured

    def pedantic(
        self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int
    ) -> None: ...


def images_of_part(n: int) -> int:
    """How many of a round's `n` images a `RoundPart` has; 0 where there is to be none."""
    few = n // SMALL_PART
    return few if few >= FEWEST_OF_PART else 0


def rounds_within(budget: float, duration: float) -> int:
    """How many rounds of `duration` seconds to make in about `budget` seconds."""
    if duration * MAX_ROUNDS <= budget:
        return MAX_ROUNDS
    enough = min(FEW_ROUNDS, int(budget * STRETCH / duration))
    return max(MIN_ROUNDS, enough, int(budget / duration))


class Rounds(Generic[Result]):
    """Runs the parts of a `Work` in order, whichever of them the benchmark times."""

    def __init__(self, work: Work[Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._open = False

    def begin(self) -> None:
        """Finish the round before, and make the state for the next."""
        self.finish()
        self._open = True
        self._work.before()

    def run(self) -> None:
        # The result is kept so that neither checking nor freeing it is timed.
        self._results.append(self._work.run())

    def finish(self) -> None:
        """Check and free what the round returned, and clean up."""
        if self._results:
            self._work.check(self._results[-1])
        self.close()

    def close(self) -> None:
        """Clean up, if that is not done."""
        self._results.clear()
        if self._open:
            self._open = False
            self._work.after()


def measure(
    benchmark: Benchmark,
    work: Work[Result],
    budget: float,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Measure `work` in about `budget` seconds of timed rounds, besides those of warm-up.

    With `--benchmark-disable`, one round is run and checked. A round that fails its check, or is
    interrupted, marks the benchmark, so that it is not saved as a good one.
    """
    rounds = Rounds(work)
    count = 1
    gc.freeze()
    try:
        if benchmark.enabled:
            count = rounds_within(budget, _warm_up(rounds, work.part, budget, clock))
        benchmark.pedantic(rounds.run, setup=rounds.begin, rounds=count)
        rounds.finish()
    except BaseException:
        benchmark.has_error = True
        raise
    finally:
        rounds.close()
        gc.unfreeze()


def _warm_up(
    rounds: Rounds[Result], part: RoundPart | None, budget: float, clock: Callable[[], float]
) -> float:
    """Run rounds that do not count; return how long one takes, in seconds."""
    if part is not None:
        rounds.begin()
        start = clock()
        part.run()
        duration = (clock() - start) / part.share
        rounds.close()
        if duration > STRETCH * budget:
            return duration
    spent = duration = 0.0
    for _ in range(MOST_WARM_UPS):
        rounds.begin()
        start = clock()
        rounds.run()
        duration = clock() - start
        spent += duration
        if spent >= WARM_UP_SHARE * budget:
            break
    return duration
