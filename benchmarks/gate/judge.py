"""Judging: screen all benchmarks, then measure the suspects again."""

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
    """One benchmark in a pair of processes, as pytest-benchmark describes it for each."""

    name: str
    base: Message
    head: Message

    @property
    def medians(self) -> tuple[float, float]:
        """The medians of base and head, in seconds."""
        return self.base["stats"]["median"], self.head["stats"]["median"]


MeasurePair: TypeAlias = Callable[[Sequence[str]], Iterable[MeasuredPair]]
"""Measures benchmarks in one fresh process of each side, and yields each when it is done.

A benchmark is left out, from the first pair on, if it fails on the base and the user expects that.
"""
Progress: TypeAlias = Callable[[str, int, Iterable[MeasuredPair]], Iterable[MeasuredPair]]
"""Takes a description, a total and measurements; passes these on and shows progress."""


@dataclass
class Judgement:
    """The measurements and the findings."""

    screened: list[MeasuredPair] = field(default_factory=list)
    confirmed: list[MeasuredPair] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run."""
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
    """Measure pair after pair, each benchmark in its planned number of pairs."""
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
