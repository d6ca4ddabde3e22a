"""The order of events: screen all benchmarks, then measure the suspects again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .channel import Message
from .decide import (
    Finding,
    MedianPairs,
    Verdict,
    cleared,
    confirmed,
    log_ratios,
    may_be_slower,
    overall,
    pairs_needed,
)
from .errors import InvalidError


class MeasuredPair(NamedTuple):
    """One benchmark in a pair of processes, by what pytest-benchmark says of each."""

    name: str
    base: Message
    head: Message

    @property
    def medians(self) -> tuple[float, float]:
        """Base and head, in seconds."""
        return self.base["stats"]["median"], self.head["stats"]["median"]


MeasurePair: TypeAlias = Callable[[Sequence[str]], Iterable[MeasuredPair]]
"""Measures benchmarks in one fresh process of each side, and gives them as they are done.

One may be left out, from the first pair on, if the user expects that the base cannot be measured.
"""
Progress: TypeAlias = Callable[[str, int, Iterable[MeasuredPair]], Iterable[MeasuredPair]]
"""Passes on measurements of what is described, of which there will be so many, showing them."""


@dataclass
class Judgement:
    """What was measured and what is said of it."""

    screened: list[MeasuredPair] = field(default_factory=list)
    confirmed: list[MeasuredPair] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Of the run."""
        return overall(self.findings)


def judge(
    names: Sequence[str], pairs: int, measure_pair: MeasurePair, progress: Progress
) -> Judgement:
    """Judge the benchmarks `names` with `pairs` pairs of processes in the screen."""
    made = Judgement()
    planned = dict.fromkeys(names, pairs)
    made.screened.extend(progress("screening", pairs * len(names), _measure(planned, measure_pair)))
    screen = _by_name(made.screened)
    if not screen:
        raise InvalidError("no benchmark could be measured on both sides")
    suspects = [name for name, found in screen.items() if may_be_slower(log_ratios(found))]
    needed = pairs_needed([log_ratios(screen[name]) for name in suspects])
    planned = dict(zip(suspects, needed, strict=True))
    made.confirmed.extend(
        progress("measuring suspects again", sum(needed), _measure(planned, measure_pair))
    )
    by_name = {f.name: f for f in confirmed(_by_name(made.confirmed))}
    made.findings = [
        by_name[name] if name in by_name else cleared(name, found) for name, found in screen.items()
    ]
    return made


def _measure(planned: Mapping[str, int], measure_pair: MeasurePair) -> Iterator[MeasuredPair]:
    """Measure pair after pair, each benchmark in so many of them."""
    left_out: set[str] = set()
    for done in range(max(planned.values(), default=0)):
        due = [name for name, pairs in planned.items() if pairs > done and name not in left_out]
        if not due:
            return
        measured = set()
        for one in measure_pair(due):
            measured.add(one.name)
            yield one
        left_out.update(set(due) - measured)


def _by_name(measured: Iterable[MeasuredPair]) -> dict[str, MedianPairs]:
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in measured:
        pairs.setdefault(one.name, []).append(one.medians)
    return dict(pairs)
