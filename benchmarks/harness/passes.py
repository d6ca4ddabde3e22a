"""What a row has measured so far: one pass in each sweep of the run."""

from dataclasses import dataclass, field

from benchmarks.results.recorded import Recorded

MOST_LEFT_OUT = 3
"""After as many passes that could not be measured, and none that could, a row is skipped."""


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
    """

    sweeps: int
    planned: int = 1
    recorded: Recorded | None = None
    rounds: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    left_out: int = 0

    def plan(self, rounds: int) -> int:
        """Spread about this many rounds over the passes; returns how many the next one makes."""
        self.planned = min(self.sweeps, rounds)
        return round(rounds / self.planned)

    def add(self, data: list[float]) -> None:
        """Note a pass's durations, and put those of the earlier passes before them in `data`."""
        self.numbers.append(self.done + self.left_out)
        self.rounds.append(len(data))
        data[:0] = self.seconds
        self.seconds = [*data]

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
