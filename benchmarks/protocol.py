"""How every figure is measured: the same way for every row.

Each round has fresh state, made before the clock starts; what it returned is checked, and what it
left removed, after the clock has stopped. One round warms up and counts for nothing, or some, if
they are short: the first may look for what later ones find. Of a long round the beginning is enough
to warm up, where the work says that it may be broken off. Then come as many as the time budget
allows, at least three, and five if that does not take too much more; the median is the figure.

Python's garbage collector stays on, but what was there before the first round is kept from it: to
search all that pytest has in memory takes longer than many a round, and comes in every fourth or so.
"""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar

Result = TypeVar("Result")

MOST_WARM_UPS, WARM_UP_SHARE = 5, 0.1
"""There are so many rounds of warm-up, or fewer once they have taken that part of the budget."""
MIN_ROUNDS = 3
MAX_ROUNDS = 200
FEW_ROUNDS = 5
"""Fewer rounds than this are remarked upon: their median may be off."""
LONGEST_TIMER = 1e6
"""Seconds; the system's timers do not take any number."""
STRETCH = 8
"""By so much a budget may be exceeded for the sake of that many rounds."""


def nothing() -> None:
    pass


@dataclass
class Work(Generic[Result]):
    """One operation to be timed.

    run: what is inside the timer, and nothing else
    check: given what `run` returned; raises AssertionError where it is not what was stored
    before: makes the state that `run` needs
    after: removes what it left, also after an error or an interruption
    breakable: whether the warm-up may be broken off, because each image costs what the last did
    """

    run: Callable[[], Result]
    check: Callable[[Result], None]
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    breakable: bool = False


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
            # Of a longer one there are only as few rounds as there must be.
            limit = budget * STRETCH / MIN_ROUNDS if work.breakable else None
            count = rounds_within(budget, _warm_up(rounds, WARM_UP_SHARE * budget, limit, clock))
        benchmark.pedantic(rounds.run, setup=rounds.begin, rounds=count)
        rounds.finish()
    except BaseException:
        benchmark.has_error = True
        raise
    finally:
        rounds.close()
        gc.unfreeze()


def _warm_up(
    rounds: Rounds[Result], budget: float, limit: float | None, clock: Callable[[], float]
) -> float:
    """Run rounds that do not count; return how long the last took, in seconds.

    limit: seconds after which a round is broken off, and taken to last for ever
    """
    spent = duration = 0.0
    for _ in range(MOST_WARM_UPS):
        rounds.begin()
        start = clock()
        try:
            with _broken_off_after(limit):
                rounds.run()
        except _BrokenOffError:
            rounds.close()
            return inf
        duration = clock() - start
        spent += duration
        if spent >= budget:
            break
    return duration


class _BrokenOffError(BaseException):
    """Not an error of the work, which must not handle it as one."""


@contextmanager
def _broken_off_after(seconds: float | None) -> Iterator[None]:
    """Raise `_BrokenOffError` in the block after so long, if it does not end before."""
    if seconds is None:
        yield
        return

    def break_off(_number: int, _frame: FrameType | None) -> None:
        raise _BrokenOffError

    handler = signal.signal(signal.SIGALRM, break_off)
    try:
        signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST_TIMER))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def throughput(images: int, pixel_bytes: int, seconds: float) -> dict[str, float]:
    """Images/s, MB/s of pixels (10**6 bytes) and microseconds per image of one round."""
    return {
        "images_per_second": images / seconds,
        "pixel_megabytes_per_second": pixel_bytes / seconds / 1e6,
        "microseconds_per_image": seconds / images * 1e6,
    }
