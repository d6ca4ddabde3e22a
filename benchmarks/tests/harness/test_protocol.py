"""How every figure is measured, on a clock that the tests control."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.passes import Measured, Passes
from benchmarks.harness.protocol import (
    LONGEST_TIMES,
    MAX_ROUNDS,
    MIN_ROUNDS,
    STRETCH,
    Ready,
    RoundPart,
    TooLongError,
    Work,
    images_of_part,
    prepare,
    rounds_within,
    take_turns,
)

PARTS = ("before", "run", "check", "after")
CLOSED = [*PARTS, "close"]


class Clock:
    """A clock that only a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeBenchmark:
    """The part of pytest-benchmark's fixture that a pass uses."""

    enabled: bool = True
    skipped: bool = False
    group: str = ""
    extra_info: dict[str, Any] = field(default_factory=dict)
    stats: Measured = field(
        default_factory=lambda: SimpleNamespace(stats=SimpleNamespace(data=[0.0], median=0.0))
    )
    used: int = 0

    def pedantic(self, target: Callable[[], None]) -> None:
        target()
        self.used += 1


def measure(
    work: Work[Any],
    budget: float,
    clock: Clock,
    *,
    passes: Passes | None = None,
    timed: bool = True,
) -> list[float]:
    """Make a pass alone; return the seconds of its rounds, or raise what one of them has raised."""
    ready = prepare(work, budget, passes or Passes(1), timed=timed, clock=clock)
    take_turns([ready], np.random.default_rng(0))
    if ready.error:
        raise ready.error
    return ready.seconds


@dataclass
class Journal:
    """Work that notes which of its parts were called, and raises in one of them if told to."""

    clock: Clock
    seconds: dict[str, float] = field(default_factory=dict)
    warm_up_seconds: float | None = None
    fails_in: str = ""
    fails_at_round: int = 1
    error: BaseException | None = None
    calls: list[str] = field(default_factory=list)

    def part(self, name: str) -> None:
        self.calls.append(name)
        round_number = self.calls.count(name)
        seconds = self.seconds.get(name, 0.0)
        if name == "run" and round_number == 1 and self.warm_up_seconds is not None:
            seconds = self.warm_up_seconds
        self.clock.now += seconds
        if name == self.fails_in and round_number == self.fails_at_round and self.error:
            raise self.error

    def work(self) -> Work[None]:
        return Work(
            run=lambda: self.part("run"),
            check=lambda _: self.part("check"),
            before=lambda: self.part("before"),
            after=lambda: self.part("after"),
            close=lambda: self.part("close"),
        )


def test_each_round_is_made_timed_checked_and_cleared_in_this_order() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 0.5})
    measure(journal.work(), 4.0, clock)
    rounds = 1 + 8  # a warm-up, and eight rounds of half a second
    assert journal.calls == [*(["before", "run", "check", "after"] * rounds), "close"]


def test_only_run_is_timed() -> None:
    clock = Clock()
    seconds = {"before": 64.0, "run": 0.25, "check": 32.0, "after": 16.0}
    assert measure(Journal(clock, seconds).work(), 2.0, clock) == [0.25] * 8


def test_the_warm_up_does_not_count_but_says_how_long_a_round_is() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 0.125}, warm_up_seconds=0.25)
    assert measure(journal.work(), 2.0, clock) == [0.125] * 8
    assert journal.calls.count("run") == 1 + 8


@pytest.mark.parametrize(
    ("first", "later", "warm_ups"),
    [(1 / 4, 1 / 64, 1), (5 / 32, 1 / 32, 3), (1 / 32, 1 / 64, 5), (0, 1 / 64, 5)],
)
def test_short_rounds_warm_up_for_a_tenth_of_the_budget_and_the_last_says_how_long_one_is(
    first: float, later: float, warm_ups: int
) -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": later}, warm_up_seconds=first)
    measure(journal.work(), 2.0, clock)
    rounds = rounds_within(2.0, first if warm_ups == 1 else later)
    assert journal.calls.count("run") == warm_ups + rounds
    assert journal.calls == [*([*PARTS] * (warm_ups + rounds)), "close"]


@pytest.mark.parametrize(
    ("settling", "warm_ups"), [(0.0, 5), (1 / 16, 5), (1 / 8, 8), (0.5, 32), (100.0, 600)]
)
def test_what_was_just_opened_warms_up_until_it_has_settled_in_each_pass(
    settling: float, warm_ups: int
) -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 1 / 64})
    work = replace(journal.work(), settling=settling)
    passes = measure_in_sweeps(work, clock, 2.0, 2)
    later = 5 if settling == 0 else warm_ups  # a tenth of a sweep's second takes longer
    assert journal.calls.count("run") == warm_ups + later + sum(passes.rounds)
    assert sum(passes.rounds) == 128


@pytest.mark.parametrize(
    ("seconds", "warm_ups"), [(0.375, 1), (0.5, 1), (0.50390625, 0), (30.0, 0)]
)
def test_of_a_round_that_takes_too_long_a_part_is_the_warm_up(
    seconds: float, warm_ups: int
) -> None:
    clock = Clock()
    journal = Journal(clock, {"part": seconds / 64, "run": seconds})
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 1 / 64))
    assert measure(work, 0.5 / STRETCH, clock) == [seconds] * MIN_ROUNDS
    assert journal.calls[:3] == ["before", "part", "after"]
    assert journal.calls[3:] == [*([*PARTS] * (warm_ups + MIN_ROUNDS)), "close"]


@pytest.mark.parametrize("part", [1 / 64, None])
def test_a_row_whose_round_would_take_far_too_long_is_left_out(part: float | None) -> None:
    clock = Clock()
    seconds = LONGEST_TIMES * 2.0 + 1
    journal = Journal(clock, {"part": seconds / 64, "run": seconds})
    work = journal.work()
    if part:
        work = replace(work, part=RoundPart(lambda: journal.part("part"), part))
    with pytest.raises(TooLongError) as caught:
        measure(work, 2.0, clock)
    assert caught.value.seconds == seconds
    warm_up = ["part"] if part else ["run", "check"]
    assert journal.calls == ["before", *warm_up, "after", "close"]


def test_a_part_that_fails_is_cleared_once() -> None:
    clock = Clock()
    journal = Journal(clock, fails_in="part", error=KeyboardInterrupt())
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 0.5))
    with pytest.raises(KeyboardInterrupt):
        measure(work, 1.0, clock)
    assert journal.calls == ["before", "part", "after", "close"]


def test_without_the_timer_no_part_is_run() -> None:
    clock = Clock()
    journal = Journal(clock)
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 0.5))
    measure(work, 1.0, clock, timed=False)
    assert journal.calls == CLOSED


def test_the_ids_begin_anew_once_after_the_warm_up() -> None:
    clock, ids, read = Clock(), iter(range(9)), list[int]()

    def run() -> None:
        read.append(next(ids))
        clock.now += 0.25

    def rewind() -> None:
        nonlocal ids
        ids = iter(range(9))

    measure(Work(run, lambda _: None, rewind=rewind), 1.0, clock)
    assert read == [0, *range(5)]


@pytest.mark.parametrize(
    ("n", "few"), [(1, 0), (999, 0), (1_000, 10), (10_050, 100), (100_000, 1_000)]
)
def test_a_part_is_a_hundredth_of_the_images_if_that_is_not_too_few(n: int, few: int) -> None:
    assert images_of_part(n, image_bytes=3072) == few


@pytest.mark.parametrize(("n", "few"), [(10, 0), (11, 10), (100, 10), (999, 10), (2_000, 20)])
def test_of_large_images_ten_are_a_part_of_a_small_round_too(n: int, few: int) -> None:
    assert images_of_part(n, image_bytes=2**18) == few


@pytest.mark.parametrize(
    ("budget", "duration", "rounds"),
    [
        (1.0, 0.125, 8),
        (1.0, 0.126, 7),  # the eighth would be over the budget
        (1.0, 0.1875, 5),
        (1.0, 0.25, 5),  # more than fit, but not many times more
        (1.0, 1.0, 5),
        (1.0, 1.01, 3),
        (1.0, 100.0, 3),
        (0.01, 0.5, 3),
        (1.0, 1 / 64, 64),
        (1.0, 0.001, 600),
        (1.0, 1e-9, 600),
        (1.0, 0.0, 600),  # too short for the clock
    ],
)
def test_rounds_fill_the_budget_or_are_5_or_3_but_never_above_600(
    budget: float, duration: float, rounds: int
) -> None:
    assert (MIN_ROUNDS, MAX_ROUNDS) == (3, 600)
    assert rounds_within(budget, duration) == rounds


@pytest.mark.parametrize(
    ("duration", "rounds"), [(0.125, 20), (0.25, 20), (0.26, 5), (1.0, 5), (1.01, 3), (0.02, 50)]
)
def test_there_is_a_round_in_each_sweep_if_that_fits_five_times_the_budget(
    duration: float, rounds: int
) -> None:
    assert rounds_within(1.0, duration, sweeps=20) == rounds


@pytest.mark.parametrize(
    ("duration", "rounds"), [(1.0, 5), (1.01, 3), (1 / 16, 16), (1 / 25, 25), (1e-9, 25)]
)
def test_what_is_slow_to_prepare_makes_fewer_rounds(duration: float, rounds: int) -> None:
    assert rounds_within(1.0, duration, most=25) == rounds


def test_and_warms_up_once_in_each_sweep() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 1 / 128})
    passes = measure_in_sweeps(replace(journal.work(), most=25), clock, 1.0, 5)
    assert passes.rounds == [5] * 5
    assert journal.calls.count("run") == 5 + 25


def measure_in_sweeps(work: Work[None], clock: Clock, budget: float, sweeps: int) -> Passes:
    """Measure all passes of a row, as the sweeps of a run do."""
    passes = Passes(sweeps)
    while not passes.are_complete:
        passes.add(measure(work, budget, clock, passes=passes))
    return passes


@pytest.mark.parametrize(
    ("seconds", "sweeps", "rounds"),
    [
        (1 / 8, 5, [2, 2, 2, 2, 2]),  # eight would fit the budget
        (1 / 64, 5, [13, 13, 13, 13, 13]),
        (1 / 1024, 4, [150, 150, 150, 150]),
        (1.0, 5, [1, 1, 1, 1, 1]),
        (1.25, 5, [1, 1, 1]),  # too long for five
        (1.25, 2, [2, 2]),
        (1.0, 9, [1, 1, 1, 1, 1]),
        (0.5, 9, [1] * 9),
        (1 / 8, 1, [8]),
    ],
)
def test_the_rounds_are_spread_over_as_many_sweeps_as_there_are_rounds(
    seconds: float, sweeps: int, rounds: list[int]
) -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": seconds})
    passes = measure_in_sweeps(journal.work(), clock, 1.0, sweeps)
    assert passes.rounds == rounds
    assert passes.seconds == [seconds] * sum(rounds)


def test_a_first_warm_up_that_stalls_does_not_leave_its_row_with_few_rounds() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 1 / 64}, warm_up_seconds=8.0)
    passes = measure_in_sweeps(journal.work(), clock, 1.0, 5)
    assert passes.rounds == [1, 13, 13, 13, 13]


def test_each_sweep_warms_up_for_a_tenth_of_its_share_of_the_budget() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 1 / 128})
    passes = measure_in_sweeps(journal.work(), clock, 1.0, 5)
    assert passes.rounds == [26] * 5
    assert journal.calls.count("run") == 5 + 4 * 3 + 130


def test_after_the_first_sweep_a_part_warms_up_what_takes_longer_than_a_sweep_s_share() -> None:
    clock = Clock()
    journal = Journal(clock, {"part": 0.5 / 64, "run": 0.5})
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 1 / 64))
    passes = measure_in_sweeps(work, clock, 1.0, 5)
    assert passes.rounds == [1] * 5
    assert journal.calls.count("run") == 1 + 5
    assert journal.calls.count("part") == 5


@pytest.mark.parametrize("at_round", [1, 2, 4])
@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), pytest.skip.Exception()])
@pytest.mark.parametrize("part", PARTS)
def test_a_round_that_breaks_off_is_cleared_once_and_no_other_follows(
    part: str, error: BaseException, at_round: int
) -> None:
    clock = Clock()
    journal = Journal(clock, {"run": 1.0}, fails_in=part, fails_at_round=at_round, error=error)
    with pytest.raises(type(error)):
        measure(journal.work(), 3.0, clock)
    complete = [*PARTS] * (at_round - 1)
    last = [name for name in PARTS if PARTS.index(name) <= PARTS.index(part) or name == "after"]
    assert journal.calls == [*complete, *last, "close"]


def test_without_the_timer_one_round_is_run_and_checked() -> None:
    clock = Clock()
    journal = Journal(clock)
    measure(journal.work(), 100.0, clock, timed=False)
    assert journal.calls == CLOSED


@pytest.mark.parametrize("part", CLOSED)
def test_without_the_timer_it_fails_as_with_it(part: str) -> None:
    clock = Clock()
    journal = Journal(clock, fails_in=part, error=ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        measure(journal.work(), 1.0, clock, timed=False)
    assert journal.calls.count("after") == journal.calls.count("close") == 1


def in_turns(
    *seconds: float, budget: float = 1.0, sweeps: int = 1, chance: int = 0
) -> tuple[list[Ready[None]], list[int]]:
    """Rows with rounds of so many seconds, after their turns, and the order in which they took them."""
    clock, order = Clock(), list[int]()

    def row(place: int, duration: float) -> Ready[None]:
        def run() -> None:
            clock.now += duration
            order.append(place)

        return prepare(Work(run, lambda _: None), budget, Passes(sweeps), clock=clock)

    rows = [row(place, duration) for place, duration in enumerate(seconds)]
    order.clear()  # of the warm-ups
    take_turns(rows, np.random.default_rng(chance))
    return rows, order


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_rests_in_a_round_if_that_is_asked_for(collects: bool) -> None:
    clock, seen = Clock(), dict[str, bool]()

    def note(part: str) -> None:
        seen[part] = gc.isenabled()
        clock.now += 1.0

    work = Work(lambda: note("run"), lambda _: note("check"), before=lambda: note("before"))
    take_turns(
        [prepare(work, 1.0, Passes(1), clock=clock, collects=collects)], np.random.default_rng(0)
    )
    assert seen == {"before": True, "run": collects, "check": True}


def test_a_row_that_fails_does_not_keep_its_result_until_the_others_are_done() -> None:
    class Result:
        pass

    clock, results = Clock(), list[weakref.ref[Result]]()

    def run() -> Result:
        clock.now += 1.0
        result = Result()
        results.append(weakref.ref(result))
        return result

    def check(result: Result) -> None:
        if len(results) == 3:
            raise ValueError(str(type(result)))

    ready = prepare(Work(run, check), 5.0, Passes(1), clock=clock)
    take_turns([ready], np.random.default_rng(0))
    assert isinstance(ready.error, ValueError)
    assert [result() for result in results] == [None] * 3


def test_an_error_of_closing_is_told_beside_that_of_a_round() -> None:
    clock = Clock()

    def close() -> None:
        raise OSError("cannot close")

    for fails, said in ((False, "cannot close"), (True, "broken")):
        journal = Journal(
            clock,
            {"run": 1.0},
            fails_in="check" if fails else "",
            fails_at_round=3,
            error=ValueError("broken"),
        )
        ready = prepare(replace(journal.work(), close=close), 5.0, Passes(1), clock=clock)
        take_turns([ready], np.random.default_rng(0))
        assert str(ready.error) == said
        notes = getattr(ready.error, "__notes__", [])
        assert bool(notes) == fails
        assert all("cannot close" in note for note in notes)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), pytest.exit.Exception("enough")])
def test_what_ends_the_run_ends_the_turns_at_once(error: BaseException) -> None:
    clock = Clock()
    broken = Journal(clock, {"run": 1.0}, fails_in="run", fails_at_round=2, error=error)
    with pytest.raises(type(error)):
        measure(broken.work(), 5.0, clock)
    assert broken.calls[-2:] == ["after", "close"]


def test_rows_that_make_equally_many_rounds_each_make_one_before_any_makes_another() -> None:
    rows, order = in_turns(1 / 8, 1 / 8, 1 / 8)
    assert [row.seconds for row in rows] == [[1 / 8] * 8] * 3
    cycles = [tuple(order[start : start + 3]) for start in range(0, 24, 3)]
    assert [sorted(cycle) for cycle in cycles] == [[0, 1, 2]] * 8
    assert len({*cycles}) > 1
    assert order != in_turns(1 / 8, 1 / 8, 1 / 8, chance=1)[1]


def test_the_rounds_of_a_slow_row_are_spread_over_those_of_a_fast_one() -> None:
    rows, order = in_turns(1 / 8, 1 / 64)
    assert [len(row.seconds) for row in rows] == [8, 64]
    shares = [order[start : start + 9] for start in range(0, 72, 9)]
    assert [share.count(0) for share in shares] == [1] * 8
    assert len({share.index(0) for share in shares}) > 1


def test_a_row_that_fails_makes_no_more_rounds_and_the_others_all_of_theirs() -> None:
    clock = Clock()
    failing = Journal(clock, {"run": 1.0}, fails_in="check", fails_at_round=4, error=ValueError())
    good = Journal(clock, {"run": 1.0})
    rows = [prepare(one.work(), 5.0, Passes(1), clock=clock) for one in (failing, good)]
    take_turns(rows, np.random.default_rng(0))
    assert rows[0].error is failing.error
    assert failing.calls == [*([*PARTS] * 4), "close"]
    assert rows[1].error is None
    assert rows[1].seconds == [1.0] * 5
    assert good.calls == [*([*PARTS] * 6), "close"]


def test_an_interruption_ends_all_rows() -> None:
    clock = Clock()
    broken = Journal(
        clock, {"run": 1.0}, fails_in="run", fails_at_round=3, error=KeyboardInterrupt()
    )
    good = Journal(clock, {"run": 1.0})
    rows = [prepare(one.work(), 5.0, Passes(1), clock=clock) for one in (broken, good)]
    with pytest.raises(KeyboardInterrupt):
        take_turns(rows, np.random.default_rng(0))
    assert broken.calls[-2:] == ["after", "close"]
    assert good.calls[-2:] == ["after", "close"]
    for row in rows:
        row.close()  # as the end of the run does
    assert broken.calls.count("close") == good.calls.count("close") == 1


@pytest.mark.parametrize(("sweeps", "passes"), [(40, 10), (20, 5), (12, 5), (3, 3), (1, 1)])
def test_a_quarter_of_the_sweeps_may_have_to_do(sweeps: int, passes: int) -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 1 / 32})
    made = measure_in_sweeps(replace(journal.work(), few_passes=True), clock, 1.0, sweeps)
    assert made.done == passes
    assert 30 <= sum(made.rounds) <= 33


def test_check_gets_what_its_own_round_returned() -> None:
    clock = Clock()
    returned: list[int] = []
    checked: list[int] = []

    def run() -> int:
        clock.now += 1.0
        returned.append(len(returned))
        return returned[-1]

    measure(Work(run, checked.append), 3.0, clock)
    assert checked == returned == [0, 1, 2, 3, 4, 5]


def test_a_result_is_freed_before_its_round_is_cleared_and_the_next_begins() -> None:
    class Result:
        pass

    clock = Clock()
    results: list[weakref.ref[Result]] = []
    alive_when_checked = []

    def run() -> Result:
        clock.now += 1.0
        result = Result()
        results.append(weakref.ref(result))
        return result

    def none_is_alive() -> None:
        assert [result for result in results if result() is not None] == []

    work = Work(
        run=run,
        check=lambda result: alive_when_checked.append(results[-1]() is result),
        before=none_is_alive,
        after=none_is_alive,
    )
    measure(work, 3.0, clock)
    assert alive_when_checked == [True] * 6
