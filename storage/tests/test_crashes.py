"""A process killed at any instant leaves the calls that returned, or those and the one in flight."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from .. import Store
from .._session import Mode
from .children import fork
from .histories import COMPACT, History, Step, go_on, look, run_in_child, some, stream, trees
from .model import image_of, label_of
from .samples import Image, stores_of_each_kind
from .traced import CHANGES, listing, points, require_strace, traced
from .trials import Trials

pytestmark = [stores_of_each_kind, pytest.mark.usefixtures("small_pieces")]

POINTS_PER = 2
"""One in this many trials kills at a system call; the full trials kill at each."""
RANDOM_PER = 5
"""One in this many trials kills at random times: 200 of a thousand."""
KILLED = 3
SECONDS = 0.08
"""In which a process is killed at a random time; it opens a store and makes a dozen calls."""


def die_in_a_call(store: Store) -> None:
    """End the process when most of a call's images are stored."""

    def images() -> Iterator[Image]:
        for i in range(20):
            yield image_of(len(store) + i)
        os._exit(0)

    store.store_many(images(), [label_of(len(store) + i) for i in range(24)])


class CrashingScenario(NamedTuple):
    """What was done to a store before, and what the process that is killed does to it."""

    before: list[Step]
    mode: Mode
    steps: list[Step]


SCENARIOS = {
    "create": CrashingScenario([], "x", [some(3)]),
    "append one": CrashingScenario([some(6)], "a", [some(1), some(1)]),
    "append batches": CrashingScenario([some(6)], "a", [some(9), some(30)]),
    "append a stream": CrashingScenario([some(6)], "a", [stream(30)]),
    "fold": CrashingScenario([some(3), *[some(1)] * 14], "a", [some(1), some(2)]),
    "compact": CrashingScenario([some(1)] * 5 + [some(30), some(2)], "a", [COMPACT]),
    "reopen": CrashingScenario([some(6), Step(die_in_a_call)], "a", [some(1)]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_before_each_system_call(
    store_class: type[Store], tmp_path: Path, trials: Trials, name: str
) -> None:
    """Every write, sync, rename, link and removal, in turn; then the store goes on."""
    require_strace()
    scenario = SCENARIOS[name]
    base = tmp_path / "base"
    path = tmp_path / "folder" / "store"
    if scenario.before:
        before = History(store_class, base, "x", scenario.before)
        assert run_in_child(before.run) == 0

    def afresh() -> History:
        shutil.rmtree(path.parent, ignore_errors=True)
        if scenario.before:
            shutil.copytree(base, path)
        held = sum(step.adds for step in scenario.before)
        return History(store_class, path, scenario.mode, scenario.steps, held)

    tracing = "-e", f"trace={listing(*CHANGES)}"
    clean = trees(afresh())
    calls = points(traced(afresh().run, *tracing).calls, CHANGES, about=str(path.parent))
    Random(name + store_class.format).shuffle(calls)  # or few trials would be of the first
    with trials.of(f"killed: {name}", store_class.format) as tally:
        for i, point in trials.chosen(calls, POINTS_PER):
            history = afresh()
            status = traced(history.run, *tracing, *point.inject("signal=KILL")).status
            assert status == -signal.SIGKILL, f"it has not come to {point}"
            seen = go_on(history, clean)
            tally.add(i, seen.outcome, f"before {point.name} {point.number}: {seen.detail}")


def any_steps(random: np.random.Generator) -> list[Step]:
    """More than most processes have time for."""
    makers = [some, some, stream]
    steps = [makers[random.integers(3)](int(random.choice([1, 2, 7, 25]))) for _ in range(40)]
    for i in random.integers(0, 40, 4):
        steps[i] = COMPACT
    return steps


def test_killed_at_random_times(store_class: type[Store], tmp_path: Path, trials: Trials) -> None:
    """Three processes one after the other, each of which finds what the one before has left."""
    with trials.of("killed at random times", store_class.format) as tally:
        for trial in trials.numbers(RANDOM_PER):
            random = np.random.default_rng(trial)
            path = tmp_path / str(trial)
            length: int | None = None
            killed = 0
            seconds = SECONDS
            while killed < KILLED:
                mode: Mode = "x" if length is None else "a"
                history = History(store_class, path, mode, any_steps(random), length or 0)
                if is_killed_after(seconds * random.random(), history):
                    killed += 1
                else:
                    seconds /= 2  # it had come to its end by then; the next one goes on
                seen = look(history)
                if seen.outcome != "right":
                    break
                length = seen.length
            else:
                seen = go_on(history)
            tally.add(trial, seen.outcome, seen.detail)
            shutil.rmtree(path, ignore_errors=True)


def is_killed_after(seconds: float, history: History) -> bool:
    pid = fork(history.run)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
