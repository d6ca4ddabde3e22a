"""Pairs of fresh processes, one of each side, that measure the same benchmarks in turns."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .channel import Message
from .errors import InvalidError
from .judge import Measured
from .process import Injection, Process, Side
from .profile import Profile


@dataclass
class Pairs:
    """Starts pairs of processes.

    trees: where each side's code is
    log: what a process prints
    injection: makes the head slower
    expected: parts of names of benchmarks that may fail
    """

    trees: Mapping[Side, Path]
    profile: Profile
    log: Path
    injection: Injection | None
    expected: Sequence[str]
    _chance: random.Random = field(default_factory=random.Random)

    @contextmanager
    def _started(self) -> Iterator[dict[Side, Process]]:
        with ExitStack() as stack:
            processes = {
                side: stack.enter_context(
                    Process(
                        side,
                        tree,
                        self.profile,
                        self.log.with_suffix(f".{side}"),
                        self.injection if side is Side.HEAD else None,
                    )
                )
                for side, tree in self._shuffled(self.trees)
            }
            yield processes
            for process in processes.values():  # all, before one is waited for
                process.finish()

    def _shuffled(self, sides: Mapping[Side, Path]) -> list[tuple[Side, Path]]:
        # Which comes first must not go with what is slower: not even in starting.
        return self._chance.sample([*sides.items()], len(sides))

    def names(self) -> dict[Side, list[str]]:
        """What the head's suite has collected with each side's stores."""
        with self._started() as processes:
            names = {side: process.names() for side, process in processes.items()}
            for process in processes.values():
                process.choose([])
            return names

    def measure(self, names: Sequence[str]) -> Iterator[Measured]:
        """Measure the benchmarks `names`, in that order, one side right after the other."""
        with self._started() as processes:
            for process in processes.values():
                process.names()
                process.choose(names)
            for name in names:
                outcomes = {
                    side: processes[side].measure() for side, _ in self._shuffled(self.trees)
                }
                if not self._may_be_left_out(name, outcomes):
                    base, head = (outcomes[side]["benchmark"] for side in Side)
                    yield Measured(name, base, head)

    def _may_be_left_out(self, name: str, outcomes: Mapping[Side, Message]) -> bool:
        """Whether it has failed as expected; raises InvalidError where it has unexpectedly."""
        for side, outcome in outcomes.items():
            if "problem" in outcome:
                if any(part in name for part in self.expected):
                    return True
                raise InvalidError(f"{name} fails on the {side}: {outcome['problem']}")
        return False
