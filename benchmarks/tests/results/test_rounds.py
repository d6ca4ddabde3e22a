"""The rounds of a saved run: short, and as exact as a clock on a shared machine is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.protocol import MAX_ROUNDS
from benchmarks.results.rounds import pack, unpack

durations = st.lists(st.floats(1e-7, 1e4), max_size=MAX_ROUNDS)


@given(durations)
def test_rounds_come_back_in_their_order_to_four_digits(seconds: list[float]) -> None:
    np.testing.assert_allclose(unpack(pack(seconds)), seconds, rtol=5.01e-4)


@given(durations)
def test_they_take_ten_characters_each_at_most(seconds: list[float]) -> None:
    assert len(pack(seconds)) <= 10 * len(seconds)


def test_they_are_readable() -> None:
    assert pack([8.8479e-4, 2.5e-6, 1.0]) == "884.8 2.5 1e+06"


def test_what_is_not_a_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="fast"):
        unpack("884.8 fast")
