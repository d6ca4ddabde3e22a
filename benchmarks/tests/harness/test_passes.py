"""The passes of a row."""

import pytest

from benchmarks.harness.passes import Passes


def test_the_rounds_of_all_passes_are_kept_in_their_order() -> None:
    passes = Passes(sweeps=5)
    passes.plan(100, most=5)
    for seconds in ([1.0, 2.0], [3.0], [4.0, 5.0]):
        passes.add(seconds)
    assert passes.seconds == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert passes.rounds == [2, 1, 2]
    assert passes.done == 3
    assert not passes.are_complete


def test_a_pass_that_was_left_out_keeps_its_sweep() -> None:
    passes = Passes(sweeps=5)
    passes.add([1.0])
    passes.leave_out()
    passes.leave_out()
    passes.add([1.0])
    assert passes.numbers == [0, 3]


@pytest.mark.parametrize(
    ("sweeps", "rounds", "planned", "each"),
    [(5, 100, 5, 20), (5, 8, 5, 2), (5, 7, 5, 1), (5, 3, 3, 1), (2, 3, 2, 2), (1, 100, 1, 100)],
)
def test_no_pass_is_without_rounds(sweeps: int, rounds: int, planned: int, each: int) -> None:
    passes = Passes(sweeps)
    assert passes.plan(rounds, most=sweeps) == each
    assert passes.planned == planned
    assert Passes(7 * sweeps).plan(rounds, most=sweeps) == each
