"""How every figure is measured, on a clock that the tests control."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness.passes import Passes
from benchmarks.harness.protocol import (
    LONGEST_TIMES,
    MAX_ROUNDS,
    MIN_ROUNDS,
    STRETCH,
    Measured,
    RoundPart,
    TooLongError,
    Work,
    images_of_part,
    measure,
    rounds_within,
)

PARTS = ("before", "run", "check", "after")


class Clock:
    """A clock that only a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeBenchmark:
    """The part of pytest-benchmark's fixture that `measure` uses, with the test's clock."""

    clock: Clock = field(default_factory=Clock)
    enabled: bool = True
    has_error: bool = False
    group: str = ""
    extra_info: dict[str, Any] = field(default_factory=dict)
    stats: Measured = field(
        default_factory=lambda: SimpleNamespace(stats=SimpleNamespace(data=[], median=0))
    )
    durations: list[float] = field(default_factory=list)

    def pedantic(
        self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int
    ) -> None:
        for _ in range(rounds if self.enabled else 1):
            setup()
            start = self.clock()
            target()
            self.durations.append(self.clock() - start)


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
        )


def test_each_round_is_made_timed_checked_and_cleared_in_this_order() -> None:
    clock = Clock()
    journal = Journal(clock, seconds={"run": 0.5})
    measure(FakeBenchmark(clock), journal.work(), 4.0, Passes(1), clock)
    rounds = 1 + 8  # a warm-up, and eight rounds of half a second
    assert journal.calls == ["before", "run", "check", "after"] * rounds


def test_only_run_is_timed() -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock)
    seconds = {"before": 64.0, "run": 0.25, "check": 32.0, "after": 16.0}
    measure(benchmark, Journal(clock, seconds).work(), 2.0, Passes(1), clock)
    assert benchmark.durations == [0.25] * 8


def test_the_warm_up_does_not_count_but_says_how_long_a_round_is() -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock)
    journal = Journal(clock, seconds={"run": 0.125}, warm_up_seconds=0.25)
    measure(benchmark, journal.work(), 2.0, Passes(1), clock)
    assert benchmark.durations == [0.125] * 8
    assert journal.calls.count("run") == 1 + 8


@pytest.mark.parametrize(
    ("first", "later", "warm_ups"),
    [(1 / 4, 1 / 64, 1), (5 / 32, 1 / 32, 3), (1 / 32, 1 / 64, 5), (0, 1 / 64, 5)],
)
def test_short_rounds_warm_up_for_a_tenth_of_the_budget_and_the_last_says_how_long_one_is(
    first: float, later: float, warm_ups: int
) -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock)
    journal = Journal(clock, seconds={"run": later}, warm_up_seconds=first)
    measure(benchmark, journal.work(), 2.0, Passes(1), clock)
    rounds = rounds_within(2.0, first if warm_ups == 1 else later)
    assert journal.calls.count("run") == warm_ups + rounds
    assert journal.calls == [*PARTS] * (warm_ups + rounds)


@pytest.mark.parametrize(
    ("settling", "warm_ups"), [(0.0, 5), (1 / 16, 5), (1 / 8, 8), (0.5, 32), (100.0, 100)]
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
    assert sum(passes.rounds) == 100


@pytest.mark.parametrize(
    ("seconds", "warm_ups"), [(0.375, 1), (0.5, 1), (0.50390625, 0), (30.0, 0)]
)
def test_of_a_round_that_takes_too_long_a_part_is_the_warm_up(
    seconds: float, warm_ups: int
) -> None:
    clock = Clock()
    journal = Journal(clock, {"part": seconds / 64, "run": seconds})
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 1 / 64))
    benchmark = FakeBenchmark(clock)
    measure(benchmark, work, 0.5 / STRETCH, Passes(1), clock)
    assert journal.calls[:3] == ["before", "part", "after"]
    assert journal.calls[3:] == [*PARTS] * (warm_ups + len(benchmark.durations))
    assert len(benchmark.durations) == MIN_ROUNDS
    assert benchmark.durations == [seconds] * MIN_ROUNDS


@pytest.mark.parametrize("part", [1 / 64, None])
def test_a_row_whose_round_would_take_far_too_long_is_left_out(part: float | None) -> None:
    clock = Clock()
    seconds = LONGEST_TIMES * 2.0 + 1
    journal = Journal(clock, {"part": seconds / 64, "run": seconds})
    work = journal.work()
    if part:
        work = replace(work, part=RoundPart(lambda: journal.part("part"), part))
    benchmark = FakeBenchmark(clock)
    with pytest.raises(TooLongError) as caught:
        measure(benchmark, work, 2.0, Passes(1), clock)
    assert caught.value.seconds == seconds
    assert benchmark.durations == []
    assert benchmark.has_error
    assert journal.calls == ["before", "part" if part else "run", "after"]


def test_a_part_that_fails_is_cleared_once_and_marked() -> None:
    clock = Clock()
    journal = Journal(clock, fails_in="part", error=KeyboardInterrupt())
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 0.5))
    benchmark = FakeBenchmark(clock)
    with pytest.raises(KeyboardInterrupt):
        measure(benchmark, work, 1.0, Passes(1), clock)
    assert journal.calls == ["before", "part", "after"]
    assert benchmark.has_error


def test_without_the_timer_no_part_is_run() -> None:
    clock = Clock()
    journal = Journal(clock)
    work = replace(journal.work(), part=RoundPart(lambda: journal.part("part"), 0.5))
    measure(FakeBenchmark(clock, enabled=False), work, 1.0, Passes(1), clock)
    assert journal.calls == [*PARTS]


def test_the_ids_begin_anew_once_after_the_warm_up() -> None:
    clock, ids, read = Clock(), iter(range(9)), list[int]()

    def run() -> None:
        read.append(next(ids))
        clock.now += 0.25

    def rewind() -> None:
        nonlocal ids
        ids = iter(range(9))

    measure(FakeBenchmark(clock), Work(run, lambda _: None, rewind=rewind), 1.0, Passes(1), clock)
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
        (1.0, 0.01, 100),
        (1.0, 1e-9, 100),
        (1.0, 0.0, 100),  # too short for the clock
    ],
)
def test_rounds_fill_the_budget_or_are_5_or_3_but_never_above_100(
    budget: float, duration: float, rounds: int
) -> None:
    assert (MIN_ROUNDS, MAX_ROUNDS) == (3, 100)
    assert rounds_within(budget, duration) == rounds


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
        benchmark = FakeBenchmark(clock)
        measure(benchmark, work, budget, passes, clock)
        passes.add(benchmark.durations)
    return passes


@pytest.mark.parametrize(
    ("seconds", "sweeps", "rounds"),
    [
        (1 / 8, 5, [2, 2, 2, 2, 2]),  # eight would fit the budget
        (1 / 64, 5, [13, 13, 13, 13, 13]),
        (1 / 256, 4, [25, 25, 25, 25]),
        (1.0, 5, [1, 1, 1, 1, 1]),
        (1.25, 5, [1, 1, 1]),  # too long for five
        (1.25, 2, [2, 2]),
        (1.0, 9, [1, 1, 1, 1, 1]),
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
    assert passes.rounds == [20] * 5
    assert journal.calls.count("run") == 5 + 4 * 3 + 100


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
def test_a_round_that_breaks_off_is_cleared_once_and_marked(
    part: str, error: BaseException, at_round: int
) -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock)
    journal = Journal(clock, {"run": 1.0}, fails_in=part, fails_at_round=at_round, error=error)
    with pytest.raises(type(error)):
        measure(benchmark, journal.work(), 3.0, Passes(1), clock)
    assert benchmark.has_error
    complete = [*PARTS] * (at_round - 1)
    last = [name for name in PARTS if PARTS.index(name) <= PARTS.index(part) or name == "after"]
    assert journal.calls == complete + last


def test_a_good_benchmark_is_not_marked() -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock)
    measure(benchmark, Journal(clock, {"run": 1.0}).work(), 3.0, Passes(1), clock)
    assert not benchmark.has_error


def test_a_disabled_benchmark_runs_and_checks_one_round() -> None:
    clock = Clock()
    journal = Journal(clock)
    measure(FakeBenchmark(clock, enabled=False), journal.work(), 100.0, Passes(1), clock)
    assert journal.calls == [*PARTS]


@pytest.mark.parametrize("part", PARTS)
def test_a_disabled_benchmark_fails_as_an_enabled_one(part: str) -> None:
    clock = Clock()
    benchmark = FakeBenchmark(clock, enabled=False)
    journal = Journal(clock, fails_in=part, error=ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        measure(benchmark, journal.work(), 1.0, Passes(1), clock)
    assert benchmark.has_error
    assert journal.calls.count("after") == 1


def test_check_gets_what_its_own_round_returned() -> None:
    clock = Clock()
    returned: list[int] = []
    checked: list[int] = []

    def run() -> int:
        clock.now += 1.0
        returned.append(len(returned))
        return returned[-1]

    measure(FakeBenchmark(clock), Work(run, checked.append), 3.0, Passes(1), clock)
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
    measure(FakeBenchmark(clock), work, 3.0, Passes(1), clock)
    assert alive_when_checked == [True] * 6
