"""Pairs of fresh processes, one of each side, that measure the same benchmarks in turns."""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .channel import Message
from .errors import InvalidError
from .judge import MeasuredPair
from .process import Injection, Process, Side
from .profile import Profile


@dataclass
class ProcessPairs:
    """Starts pairs of processes.

    trees: the directory of each side's code
    profiles: what each side can measure
    log: the file for a process's output, without the ending
    injection: a slow-down of the head, or None
    expected: parts of the names of benchmarks that may fail on the base
    all_cores: whether the stores may use every core
    left_out: the benchmarks that did fail there, and why
    """

    trees: Mapping[Side, Path]
    profiles: Mapping[Side, Profile]
    log: Path
    injection: Injection | None
    expected: Sequence[str]
    all_cores: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    _measured: set[str] = field(default_factory=set)
    _chance: random.Random = field(default_factory=random.Random)

    @contextmanager
    def _on_one_core(self) -> Iterator[None]:
        """Keep this process, and all that it starts, on one randomly chosen core.

        One core may be slower than another for seconds; on the same core this affects both sides.
        A process that waits for its turn leaves the core to the other at once.
        """
        cores = os.sched_getaffinity(0)
        if self.all_cores:
            yield
            return
        os.sched_setaffinity(0, {self._chance.choice(sorted(cores))})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)

    @contextmanager
    def _started(self) -> Iterator[dict[Side, Process]]:
        with self._on_one_core(), ExitStack() as stack:
            processes = {
                side: stack.enter_context(
                    Process(
                        side,
                        tree,
                        self.profiles[side],
                        self.log.with_suffix(f".{side}"),
                        self.injection if side is Side.HEAD else None,
                    )
                )
                for side, tree in self._shuffled(self.trees)
            }
            yield processes
            for process in processes.values():  # all of them, before the first is waited for
                process.finish()

    def _shuffled(self, sides: Mapping[Side, Path]) -> list[tuple[Side, Path]]:
        # The order must be independent of the side, even in starting, or it would bias the ratio.
        return self._chance.sample([*sides.items()], len(sides))

    def names(self) -> dict[Side, list[str]]:
        """The benchmarks that the head's suite has collected with each side's stores."""
        with self._started() as processes:
            names = {side: process.names() for side, process in processes.items()}
            for process in processes.values():
                process.choose([])
            return names

    def measure(self, names: Sequence[str]) -> Iterator[MeasuredPair]:
        """Measure the benchmarks `names`, in that order, the rounds of both sides in turns."""
        with self._started() as processes:
            for process in processes.values():
                process.names()
                process.choose(names)
            for name in names:
                outcomes = self._take_turns(processes)
                self._look_for_problems(name, outcomes)
                if name not in self.left_out:
                    base, head = (outcomes[side]["benchmark"] for side in Side)
                    self._measured.add(name)
                    yield MeasuredPair(name, base, head)

    def _take_turns(self, processes: Mapping[Side, Process]) -> dict[Side, Message]:
        """The outcomes of the next benchmark on both sides."""
        outcomes: dict[Side, Message] = {}
        waiting = [side for side, _ in self._shuffled(self.trees)]
        while waiting:
            side = waiting.pop(0)
            outcome = processes[side].take_turn()
            if outcome is None:
                waiting.append(side)
            else:
                outcomes[side] = outcome
        return outcomes

    def _look_for_problems(self, name: str, outcomes: Mapping[Side, Message]) -> None:
        """Leave out what fails on the base as expected; raises InvalidError for other failures."""
        for side in reversed(Side):  # the head first, since its failures matter more
            if "problem" not in outcomes[side]:
                continue
            problem = outcomes[side]["problem"]
            expected = side is Side.BASE and any(part in name for part in self.expected)
            # A benchmark that worked before has measurements, which must not end half-way.
            if not expected or name in self._measured:
                raise InvalidError(f"{name} fails on the {side}: {problem}")
            self.left_out[name] = problem
