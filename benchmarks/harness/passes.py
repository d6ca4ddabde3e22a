"""What a row has measured so far: one pass in each sweep of the run."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol  # Any: for JSON

from benchmarks.results.recorded import Recorded

from .interruption import held

if TYPE_CHECKING:
    from .protocol import Ready


def nothing() -> None:
    pass


MOST_LEFT_OUT = 3
"""After as many passes that could not be measured, and none that could, a row is skipped."""


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
    skipped: bool
    group: str
    extra_info: dict[str, Any]  # any JSON
    stats: Measured

    def pedantic(self, target: Callable[[], None]) -> None: ...


@dataclass
class Passes:
    """The passes of one row.

    sweeps: how many it may make
    planned: how many it makes, fewer if rounds are long
    recorded: the row's record, made in the first pass
    rounds: rounds of each pass that is done
    numbers: the sweep of each
    seconds: the durations of all rounds, in the order measured
    left_out: passes that could not be measured
    is_left_out: whether the newest pass is one of them
    ready: the pass that waits for its turns
    benchmark: pytest-benchmark's fixture in the newest pass, which takes the record
    group: the benchmark's group
    """

    sweeps: int
    planned: int = 1
    recorded: Recorded | None = None
    rounds: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    left_out: int = 0
    is_left_out: bool = False
    ready: "Ready[Any] | None" = None
    benchmark: "Benchmark | None" = None
    group: str = ""

    def plan(self, rounds: int, most: int) -> int:
        """Spread about this many rounds over `most` passes at most; returns those of the next."""
        self.planned = min(self.sweeps, most, rounds)
        return round(rounds / self.planned)

    def add(self, seconds: Sequence[float]) -> None:
        """Note the durations of a pass that is done."""
        self.numbers.append(self.done + self.left_out)
        self.rounds.append(len(seconds))
        self.seconds += seconds

    def leave_out(self) -> None:
        """Note that this pass cannot be measured."""
        self.is_left_out = True
        self.left_out += 1

    def give_back(self) -> None:
        """Close the pass that is ready, if any; it makes no rounds, and counts for nothing."""
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.close()
            if ready.error is not None:
                warnings.warn(f"a pass that was given up: {ready.error!r}", stacklevel=2)

    def end(self) -> None:
        """End the pass that was ready; raises what one of its rounds has raised."""
        assert self.ready is not None
        ready, self.ready = self.ready, None
        if ready.error is not None:
            raise ready.error
        self.add(ready.seconds)

    def record(self) -> None:
        """Let pytest-benchmark record the rounds of all passes that are done."""
        benchmark, recorded = self.benchmark, self.recorded
        assert benchmark is not None
        assert recorded is not None
        benchmark.group = self.group
        with held():  # half a record could not be saved
            benchmark.pedantic(nothing)  # it makes the record, and times a round of its own
            if benchmark.enabled:
                stats = benchmark.stats.stats
                stats.data[:] = self.seconds
                recorded.add_rounds(self.seconds, stats.median, self.rounds)
                if self.left_out:
                    recorded.sweep_numbers = " ".join(map(str, self.numbers))
            benchmark.extra_info |= recorded.written()

    @property
    def has_given_up(self) -> bool:
        """Whether the row is to be skipped, since too many passes were left out."""
        return not self.done and self.left_out >= min(self.sweeps, MOST_LEFT_OUT)

    @property
    def done(self) -> int:
        return len(self.rounds)

    @property
    def are_complete(self) -> bool:
        return self.done >= self.planned
