"""How every figure is measured: the same way for every row.

Each round gets fresh state, made before the clock starts. After the clock has stopped, its result
is checked and its files are removed. One round, or up to five short ones, warm up and do not count,
since the first may look up what later ones find. If a small part of a round shows that a whole one
takes very long, that part is the warm-up; if one takes more than LONGEST, the row is left out.
Then timed rounds run: up to 100, as many as fit the time budget. If they may take up to STRETCH times
the budget to be five, they are; else they are three. The median is the figure.

A cold row makes fewer rounds, since its store has to be evicted from memory before each.

The rounds are spread over the row's passes, one in each sweep of the run, and each pass warms up.
After the first, the part is enough if a round takes more than a pass's share of the budget.

Python's garbage collector stays on, but objects from before the first round are frozen: searching
all that pytest has in memory takes longer than many rounds, and would happen in about every fourth.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from .passes import Passes

Result = TypeVar("Result")

WARM_UP_ROUNDS, WARM_UP_SHARE = 0.05, 0.1
"""Warm-up ends once it has made this share of the most rounds, or taken this one of the budget."""
MIN_ROUNDS = 3
MAX_ROUNDS = 100
FEW_ROUNDS = 5
"""The tables mark a figure from fewer rounds than this: its median may be off."""
STRETCH = 5
"""A benchmark may take STRETCH times its budget to reach FEW_ROUNDS, or for a whole warm-up."""
LONGEST, LONGEST_TIMES = 60, 300
"""A row is left out if one of its rounds would take so many seconds, and so many times its budget."""
SETTLING = 0.01
"""Seconds of random batches until a store that was just opened is as fast as it stays."""
SMALL_PART, FEWEST_OF_PART = 100, 10
"""A round's part is 1/SMALL_PART of its images, if that is at least FEWEST_OF_PART images."""
LARGE_BYTES = 2**18
"""Of images of more bytes, FEWEST_OF_PART are a part too, since what each costs is most of a round."""


class TooLongError(Exception):
    """A round would take so long that the row is left out; seconds: about how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def nothing() -> None:
    pass


class RoundPart(NamedTuple):
    """A part of a round, the warm-up if a whole round takes long.

    run: does this part, in the state that `before` makes for a round
    share: the fraction of the round's images, 0 to 1
    """

    run: Callable[[], object]
    share: float


@dataclass
class Work(Generic[Result]):
    """One operation to be timed.

    run: the timed call, and nothing else
    check: takes the result of `run`; raises WrongResultError if it is not what was stored
    before: makes the state that `run` needs
    after: removes what `run` left, also after an error or an interruption
    rewind: called once, after the warm-up: a stream of ids to read begins anew, so that the rounds
        of fast and slow rows, which warm up in more and in fewer, read the same images
    part: given if a round may take very long and every image costs the same
    most: the most timed rounds
    settling: seconds of rounds that warm up in each pass, at least: a store that was just opened is
        slower until most of its pages are mapped
    """

    run: Callable[[], Result]
    check: Callable[[Result], None]
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    rewind: Callable[[], None] = nothing
    part: RoundPart | None = None
    most: int = MAX_ROUNDS
    settling: float = 0.0


class Statistics(Protocol):
    """Statistics of the rounds' durations, in seconds."""

    data: list[float]  # in the order they were measured
    median: float


class Measured(Protocol):
    """A result of pytest-benchmark."""

    stats: Statistics


class Benchmark(Protocol):
    """The part of pytest-benchmark's fixture that is used here."""

    enabled: bool
    has_error: bool
    group: str
    extra_info: dict[str, Any]  # any JSON
    stats: Measured

    def pedantic(
        self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int
    ) -> None: ...


def images_of_part(n: int, image_bytes: float) -> int:
    """How many of a round's `n` images a `RoundPart` has; 0 for no part."""
    few = n // SMALL_PART
    if few >= FEWEST_OF_PART:
        return few
    return FEWEST_OF_PART if image_bytes >= LARGE_BYTES and n > FEWEST_OF_PART else 0


def rounds_within(budget: float, duration: float, most: int = MAX_ROUNDS) -> int:
    """How many rounds of `duration` seconds to make in about `budget` seconds, `most` at most."""
    if duration * most <= budget:
        return most
    if duration * FEW_ROUNDS > budget * STRETCH:
        return MIN_ROUNDS
    return max(FEW_ROUNDS, int(budget / duration))


class Rounds(Generic[Result]):
    """Runs the functions of a `Work` in the order of a round, whichever the benchmark times."""

    def __init__(self, work: Work[Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._open = False

    def begin(self) -> None:
        """Finish the previous round, and make the state for the next."""
        self.finish()
        self._open = True
        self._work.before()

    def run(self) -> None:
        # The result is kept so that neither checking nor freeing it is timed.
        self._results.append(self._work.run())

    def finish(self) -> None:
        """Check and free the round's result, and clean up."""
        if self._results:
            self._work.check(self._results[-1])
        self.close()

    def close(self) -> None:
        """Clean up, unless that is done."""
        self._results.clear()
        if self._open:
            self._open = False
            self._work.after()


def measure(
    benchmark: Benchmark,
    work: Work[Result],
    budget: float,
    passes: Passes,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Measure a pass of `work`; all passes have about `budget` seconds of timed rounds.

    Raises TooLongError, before any timed round, if one would take longer than LONGEST.
    With `--benchmark-disable`, one round is run and checked. A round that fails its check or is
    interrupted marks the benchmark as failed, so that it is not saved as a good one.
    """
    rounds = Rounds(work)
    count = 1
    gc.freeze()
    try:
        if benchmark.enabled:
            count = _prepare(rounds, work, budget, passes, clock)
        work.rewind()
        benchmark.pedantic(rounds.run, setup=rounds.begin, rounds=count)
        rounds.finish()
    except BaseException:
        benchmark.has_error = True
        raise
    finally:
        rounds.close()
        gc.unfreeze()


def _prepare(
    rounds: Rounds[Result],
    work: Work[Result],
    budget: float,
    passes: Passes,
    clock: Callable[[], float],
) -> int:
    """Warm up; return how many rounds this pass makes, by how long one has taken so far."""
    if passes.done:
        share = budget / passes.planned
        _warm_up(rounds, work, share, share, clock)
        duration = median(passes.seconds)
    else:
        duration = _warm_up(rounds, work, STRETCH * budget, budget, clock)
        if duration > max(LONGEST, LONGEST_TIMES * budget):
            raise TooLongError(duration)
    return passes.plan(rounds_within(budget, duration, work.most))


def _warm_up(
    rounds: Rounds[Result],
    work: Work[Result],
    longest: float,
    budget: float,
    clock: Callable[[], float],
) -> float:
    """Run the warm-up; return how long one round takes, in seconds.

    longest: of a round that takes more seconds than this, a part is enough
    """
    if work.part is not None:
        rounds.begin()
        start = clock()
        work.part.run()
        duration = (clock() - start) / work.part.share
        rounds.close()
        if duration > longest:
            return duration
    spent = duration = 0.0
    usual = max(1, int(WARM_UP_ROUNDS * work.most))
    for done in range(1, work.most + 1):
        rounds.begin()
        start = clock()
        rounds.run()
        duration = clock() - start
        spent += duration
        if spent >= work.settling and (done >= usual or spent >= WARM_UP_SHARE * budget):
            break
    return duration
