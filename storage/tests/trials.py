"""How many trials the tests of faults make, what came of them, and the table of it.

Each trial draws what it does from a generator seeded with its number, so that the number alone
repeats it: `--faults 417:418` with the test's name.

The conftest.py of the project names this as a plugin, since pytest learns options nowhere else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest

Item = TypeVar("Item")

DEFAULT = range(1)
"""The trials of each fault in each store that a run of all tests has time for."""

FULL = 1_000
"""With this many trials or more, what can be counted is tried in full, such as every system call."""

GOOD = ("right", "refused")
"""All as stored, and a typed error in place of what is damaged."""
BAD = ("wrong", "lost", "missed", "untyped", "died")
"""Silently wrong or shorter, commits lost, not found by `verify`, any other error, no process."""
FAILURES_SHOWN = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("faults").addoption(
        "--faults",
        metavar="N|FIRST:STOP",
        help="trials of each kind of fault in each store, or some of them by their numbers"
        f" (N = {len(DEFAULT)}); the full trials are --faults {FULL}, which also kill and fail at"
        " every system call; a table at the end says what came of them, and what was not tried",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stores_of_each_kind: see storage/tests/samples.py")


def read_option(text: str | None) -> range:
    """The numbers of the trials; raises pytest.UsageError."""
    if text is None:
        return DEFAULT
    ends = text.split(":")
    if not all(end.isascii() and end.isdigit() for end in ends) or len(ends) > 2:
        raise pytest.UsageError(f"--faults: {text!r}; give a number, or two as in 417:418")
    numbers = range(*map(int, ends))
    if not numbers:
        raise pytest.UsageError(f"--faults: {text!r} are no trials; give at least one")
    return numbers


class Tally:
    """What came of the trials of one promise in one store."""

    def __init__(self, promise: str, store: str) -> None:
        self.promise = promise
        self.store = store
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []

    def add(self, trial: int, outcome: str, detail: str = "") -> None:
        """Count one outcome, one of `GOOD` or `BAD`."""
        assert outcome in GOOD + BAD, outcome
        self.outcomes[outcome] += 1
        if outcome in BAD:
            self.failures.append(f"{outcome} (--faults {trial}:{trial + 1}): {detail}")


class Trials:
    """The numbers of a run's trials and the tallies of all of them."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers
        self._tallies: list[Tally] = []

    @property
    def full(self) -> bool:
        """Whether what can be counted is tried in full."""
        return len(self._numbers) >= FULL

    def numbers(self, per: int = 1) -> range:
        """The trials of a kind of which there is one for `per` of the others."""
        first, stop = self._numbers.start, self._numbers.stop
        return self._numbers if first else range(-(-stop // per))

    def chosen(self, items: Sequence[Item], per: int = 1) -> list[tuple[int, Item]]:
        """As many of `items` as there are trials, evenly spread; each with its place as number.

        In the full trials these are all.
        """
        numbers = self.numbers(per)
        if numbers.start:
            return [(i, items[i]) for i in numbers if i < len(items)]
        n = len(items) if self.full else min(len(numbers), len(items))
        return [(i, items[i]) for i in (k * len(items) // n for k in range(n))]

    def count(self, promise: str, store: str, outcome: str, times: int = 1) -> None:
        """Add to the table what assertions have shown, one of `GOOD`."""
        assert outcome in GOOD, outcome
        tally = Tally(promise, store)
        tally.outcomes[outcome] = times
        self._tallies.append(tally)

    @contextmanager
    def of(self, promise: str, store: str) -> Iterator[Tally]:
        """A tally that must have nothing bad in it at the end, nor be empty."""
        tally = Tally(promise, store)
        self._tallies.append(tally)
        yield tally
        assert tally.outcomes, "no trial has been made"
        failures = tally.failures
        assert not failures, "\n".join(
            [f"{len(failures)} of {tally.outcomes.total()}:", *failures[:FAILURES_SHOWN]]
        )

    def table(self) -> list[str]:
        """Lines of what came of the trials: a promise and a store each, tests of one together."""
        columns = (*GOOD, *BAD)
        merged: dict[tuple[str, str], Counter[str]] = {}
        for tally in self._tallies:
            merged.setdefault((tally.promise, tally.store), Counter()).update(tally.outcomes)
        lines = [f"{'':38}{'trials':>8}" + "".join(f"{column:>9}" for column in columns)]
        for (promise, store), outcomes in merged.items():
            figures = "".join(f"{outcomes[column]:9,}" for column in columns)
            lines.append(f"{promise:28}{store:10}{outcomes.total():8,}{figures}")
        return lines


def not_tried(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of what the table lacks, so that none of it looks tried: of each test and reason one.

    skipped: the names of tests, each with its parameters, and why they were skipped
    """
    counted = Counter((name.split("[")[0], why) for name, why in skipped)
    return [f"not tried: {test} ({n}): {why}" for (test, why), n in counted.items()]
