"""The names of rows, and the rows that a run could not measure."""

from typing import Any

import pytest

from benchmarks.results.keys import WIDTH, Key, SkippedRow, in_lines, in_words, reasons

KEY = Key("read_many", "", "hdf5", 1000, cold=True)


def test_a_cold_row_is_another_than_the_warm_one() -> None:
    warm = KEY._replace(cold=False)
    assert warm != KEY
    assert in_words(warm) == "read_many hdf5 n=1,000"
    assert in_words(KEY) == "read_many hdf5 n=1,000 cold"
    assert in_words(Key("iterate", "single", "png", 10)) == "iterate png single n=10"


def test_a_skipped_row_is_read_as_it_was_written() -> None:
    skipped = SkippedRow(KEY, "tmpfs keeps it")
    assert SkippedRow.read(skipped.written()) == skipped


@pytest.mark.parametrize(
    "damage",
    [{"n": 0}, {"n": True}, {"cold": 1}, {"backend": 7}, {"reason": None}, {"operation": None}],
)
def test_a_damaged_one_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        SkippedRow.read(SkippedRow(KEY, "reason").written() | damage)
    whole = SkippedRow(KEY, "reason").written()
    for name in damage:
        with pytest.raises(KeyError):
            SkippedRow.read({key: value for key, value in whole.items() if key != name})


def test_each_reason_is_given_once_with_its_rows_in_order() -> None:
    skipped = [
        SkippedRow(KEY._replace(backend="png"), "one"),
        SkippedRow(KEY, "other"),
        SkippedRow(KEY._replace(backend="limit"), "one"),
    ]
    assert reasons(skipped) == [
        "not measured: other: read_many hdf5 n=1,000 cold",
        "not measured: one: read_many limit n=1,000 cold, read_many png n=1,000 cold",
    ]
    assert reasons([]) == []


def test_on_a_terminal_they_are_wrapped() -> None:
    lines = in_lines([SkippedRow(KEY._replace(n=n), "why") for n in range(1, 10)])
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(line.strip() for line in lines).endswith("read_many hdf5 n=9 cold")


def test_of_many_rows_the_operations_are_named() -> None:
    skipped = [SkippedRow(KEY._replace(n=n), "why") for n in range(1, 11)]
    assert reasons(skipped) == ["not measured: why: 10 rows of read_many"]
