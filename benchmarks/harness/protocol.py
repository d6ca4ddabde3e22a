"""How every figure is measured: the same way for every row.

Each round gets fresh state, made before the clock starts. After the clock has stopped, its result
is checked and freed, and its files are removed. One round, or up to five short ones, warm up and do
not count, since the first may look up what later ones find. If a small part of a round shows that a
whole one takes very long, that part is the warm-up; if one takes more than LONGEST, the row is left
out. Then timed rounds run: up to 600, as many as fit the time budget. If a round in each sweep fits
STRETCH times the budget, there are as many; else five, if they fit it; else three. The median is the
figure.

A cold row makes fewer rounds, since its store has to be evicted from memory before each.

The rounds are spread over the row's passes, one in each sweep of the run, and each pass warms up.
After the first, the part is enough if a round takes more than a pass's share of the budget.

Rows that are compared take turns, but for a few (`Work.in_turns`): once all have warmed up, each
makes a round before any makes its second. A machine's speed changes within milliseconds, by more
than stores differ, so two blocks of rounds that are measured one after the other do not compare.
pytest-benchmark times one function after the other; so the rounds are timed here, and it records
them.

Python's garbage collector stays on, but objects from before the first round are frozen: searching
all that pytest has in memory takes longer than many rounds, and would happen in about every fourth.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from traceback import clear_frames
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pytest

from .passes import Passes, nothing

Result = TypeVar("Result")

WARM_UP_ROUNDS, WARM_UP_SHARE = 1 / 120, 0.1
"""Warm-up ends once it has made this share of the most rounds, or taken this one of the budget."""
MIN_ROUNDS = 3
MAX_ROUNDS = 600
FEW_ROUNDS = 5
"""The tables mark a figure from fewer rounds than this: its median may be off."""
STRETCH = 5
"""A benchmark may take so many times its budget for few rounds, or for a whole warm-up."""
ENDS_RUN = (KeyboardInterrupt, pytest.exit.Exception)
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
    close: called once after the last round of a pass, also after an error
    most: the most timed rounds
    in_turns: whether it takes turns with other rows, which stay ready meanwhile
    few_passes: whether a quarter of the sweeps has to do, since each pass takes long to prepare
    settling: seconds of rounds that warm up in each pass, at least: a store that was just opened is
        slower until most of its pages are mapped
    """

    run: Callable[[], Result]
    check: Callable[[Result], None]
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    rewind: Callable[[], None] = nothing
    close: Callable[[], None] = nothing
    part: RoundPart | None = None
    most: int = MAX_ROUNDS
    in_turns: bool = True
    few_passes: bool = False
    settling: float = 0.0


def images_of_part(n: int, image_bytes: float) -> int:
    """How many of a round's `n` images a `RoundPart` has; 0 for no part."""
    few = n // SMALL_PART
    if few >= FEWEST_OF_PART:
        return few
    return FEWEST_OF_PART if image_bytes >= LARGE_BYTES and n > FEWEST_OF_PART else 0


def rounds_within(
    budget: float, duration: float, most: int = MAX_ROUNDS, sweeps: int = FEW_ROUNDS
) -> int:
    """How many rounds of `duration` seconds to make in about `budget` seconds, `most` at most."""
    if duration * most <= budget:
        return most
    for few in (sweeps, FEW_ROUNDS):
        if few >= FEW_ROUNDS and duration * few <= budget * STRETCH:
            return min(most, max(few, int(budget / duration)))
    return MIN_ROUNDS


class Ready(Generic[Result]):
    """A pass of a row that has warmed up, and makes its rounds when it is its turn.

    rounds: how many it makes
    seconds: how long each has taken
    error: what a round has raised, after which no more are made; a skip counts as one
    """

    def __init__(self, work: Work[Result], clock: Callable[[], float], collects: bool) -> None:
        """`collects`: whether Python's garbage collector stays on during a round."""
        self._work = work
        self._clock = clock
        self._collects = collects
        self._is_open = True
        self.rounds = 1
        self.seconds: list[float] = []
        self.error: BaseException | None = None

    def warm_up(self, budget: float, passes: Passes) -> None:
        """Warm up; plan how many rounds this pass makes, by how long one has taken so far.

        Raises TooLongError.
        """
        if passes.done:
            share = budget / passes.planned
            self._warm_up(share, share)
            duration = median(passes.seconds)
        else:
            duration = self._warm_up(STRETCH * budget, budget)
            if duration > max(LONGEST, LONGEST_TIMES * budget):
                raise TooLongError(duration)
        sweeps = passes.sweeps
        if self._work.few_passes:
            sweeps = min(sweeps, max(FEW_ROUNDS, sweeps // 4))
        rounds = rounds_within(budget, duration, self._work.most, sweeps)
        self.rounds = passes.plan(rounds, sweeps)

    def _warm_up(self, longest: float, budget: float) -> float:
        """Run the warm-up; return how long one round takes, in seconds.

        longest: of a round that takes more seconds than this, a part is enough
        """
        part, work = self._work.part, self._work
        if part is not None:
            with self._round():
                start = self._clock()
                part.run()
                duration = (self._clock() - start) / part.share
            if duration > longest:
                return duration
        spent = duration = 0.0
        usual = max(1, int(WARM_UP_ROUNDS * work.most))
        for done in range(1, work.most + 1):
            duration = self.make_round()
            spent += duration
            if spent >= work.settling and (done >= usual or spent >= WARM_UP_SHARE * budget):
                break
        return duration

    @contextmanager
    def _round(self) -> Iterator[None]:
        try:
            self._work.before()
            yield
        finally:
            self._work.after()

    def make_round(self) -> float:
        """Make one round; return its seconds."""
        with self._round():
            if not self._collects:
                gc.disable()
            try:
                start = self._clock()
                result = self._work.run()
                seconds = self._clock() - start
            finally:
                if not self._collects:
                    gc.enable()
            self._work.check(result)
            del result  # freed before what it was read from
        return seconds

    def take_turn(self) -> None:
        """Make a round, unless one has failed."""
        if self.error is None:
            try:
                self.seconds.append(self.make_round())
            except ENDS_RUN:
                raise
            except BaseException as error:  # also a skip
                clear_frames(error.__traceback__)  # or they keep the result
                self.error = error

    def close(self) -> None:
        """End the pass, unless that is done."""
        if self._is_open:
            self._is_open = False
            try:
                self._work.close()
            except Exception as error:
                if self.error is None:
                    self.error = error
                else:
                    self.error.add_note(f"then, in closing: {error!r}")


def prepare(
    work: Work[Result],
    budget: float,
    passes: Passes,
    *,
    timed: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    collects: bool = True,
) -> Ready[Result]:
    """Begin a pass of `work`; all passes have about `budget` seconds of timed rounds.

    Raises TooLongError, before any timed round, if one would take longer than LONGEST.
    If it is not timed, there is no warm-up, and one round.

    collects: whether Python's garbage collector stays on during a round
    """
    ready = Ready(work, clock, collects)
    try:
        with _frozen():
            if timed:
                ready.warm_up(budget, passes)
            work.rewind()
    except BaseException:
        work.close()
        raise
    return ready


def take_turns(rows: Sequence[Ready[Any]], chance: np.random.Generator) -> None:
    """Let each row make its rounds, in turns, and end their passes.

    Those of a row are spread evenly, each at a drawn time in its share. So of rows that make equally
    many, each makes its first before any makes its second, and so on, each time in another order.
    """
    places = [
        ((number + drawn) / row.rounds, place)
        for place, row in enumerate(rows)
        for number, drawn in enumerate(chance.random(row.rounds))
    ]
    try:
        with _frozen():
            for _, place in sorted(places):
                rows[place].take_turn()
    finally:
        for row in rows:
            row.close()


@contextmanager
def _frozen() -> Iterator[None]:
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
