"""Sweeps: each benchmark is measured in several passes, spread over the whole run.

pytest's own loop runs a list of tests. Here that list names each benchmark once for every sweep,
and only its last pass, or one that fails, is reported. So all that depends on the loop or on the
reports (`-x`, `--maxfail`, Ctrl-C, the count of passed tests) works as in any other run.

In a sweep, the rows of a group come one after the other. Running its test, a row warms up and stays
ready. After the last, all make their rounds in turns; a row that fails then gets another report.
"""

import secrets
from collections.abc import Callable, Generator, Sequence
from itertools import chain
from typing import cast

import numpy as np
import pytest
from _pytest.runner import runtestprotocol
from _pytest.terminal import TerminalReporter

from .passes import Passes
from .protocol import ENDS_RUN, take_turns

OF_ROWS = ("contender", "store")
"""The parameters that name a row; benchmarks that differ only in these are a group."""


class Sweeps:
    """A plugin for the runs that have more than one sweep."""

    def __init__(self, sweeps: int, is_benchmark: Callable[[pytest.Item], bool]) -> None:
        """Plan `sweeps` passes of the tests that are benchmarks."""
        self._sweeps = sweeps
        self._seed = secrets.randbits(32)
        self._chance = np.random.default_rng(self._seed)
        self._is_benchmark = is_benchmark
        self._passes: dict[pytest.Item, Passes] = {}
        self._coming: list[list[pytest.Item]] = []
        self._waiting: dict[pytest.Item, Sequence[pytest.TestReport]] = {}
        self._reports: dict[pytest.Item, Sequence[pytest.TestReport]] = {}
        self._ended: set[pytest.Item] = set()
        self._begun = 0

    def of(self, item: pytest.Item) -> Passes:
        """The passes of a test."""
        return self._passes[item]

    def written(self) -> dict[str, int]:
        """What is saved with the run: the number of sweeps, and the seed of their orders."""
        return {"count": self._sweeps, "order_seed": self._seed}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, bool, bool]:
        collected = session.items
        chosen = [item for item in collected if self._is_benchmark(item)]
        self._passes = {item: Passes(self._sweeps) for item in chosen}
        others = [item for item in collected if item not in self._passes]
        self._coming = visits(chosen, self._sweeps, self._chance)
        session.items = [*others, *chain.from_iterable(self._coming)]
        try:
            return (yield)
        finally:
            session.items = collected
            self._end_early()
            places = {item.nodeid: place for place, item in enumerate(collected)}
            measured = session.config._benchmarksession.benchmarks  # type: ignore[attr-defined]  # no other way
            measured.sort(key=lambda one: places[one.fullname])

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        passes = self._passes.get(item)
        if passes is None:
            return None
        visit = self._coming[0]
        visit.remove(item)
        if item not in self._ended:
            self._show_progress(item, passes.done)
            self._begin_pass(item, passes)
        if not visit:
            del self._coming[0]
            if not (item.session.shouldfail or item.session.shouldstop):
                self._take_turns()
        return True

    def _show_progress(self, item: pytest.Item, done: int) -> None:
        if done < self._begun:
            return
        self._begun = done + 1
        reporter = item.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, TerminalReporter) and reporter.verbosity >= 0:
            reporter.ensure_newline()
            reporter.write_line(f"sweep {self._begun} of {self._sweeps}")

    def _begin_pass(self, item: pytest.Item, passes: Passes) -> None:
        """Run a test, which warms up; one that cannot take turns makes its rounds, too."""
        passes.is_left_out = False
        coming = (one for one in chain.from_iterable(self._coming) if one not in self._ended)
        nextitem = next(coming, None)
        if nextitem is item:  # pytest would not set it up again
            nextitem = cast("pytest.Item", item.parent)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if not all(report.passed for report in reports):
            passes.give_back()
        if passes.ready is None:
            self._end_pass(item, passes, reports)
        else:
            self._waiting[item] = reports

    def _take_turns(self) -> None:
        """Let the rows of a group that have warmed up make their rounds."""
        waiting, self._waiting = self._waiting, {}
        rows = [ready for item in waiting if (ready := self._passes[item].ready)]
        take_turns(rows, self._chance)
        for item, (setup, called, teardown) in waiting.items():
            passes = self._passes[item]
            call = pytest.CallInfo.from_call(passes.end, "call", reraise=ENDS_RUN)
            if call.excinfo is not None:
                cast("pytest.Function", item).funcargs = {}  # plugins look into it
                called = item.ihook.pytest_runtest_makereport(item=item, call=call)
            self._end_pass(item, passes, [setup, called, teardown])

    def _end_pass(
        self, item: pytest.Item, passes: Passes, reports: Sequence[pytest.TestReport]
    ) -> None:
        has_failed = not all(report.passed for report in reports)
        is_left_out = has_failed and passes.is_left_out and not passes.has_given_up
        if not (is_left_out and passes.done):  # else those of its last good pass stay
            self._reports[item] = reports
        if passes.are_complete or (has_failed and not is_left_out):
            self._report(item)

    def _end_early(self) -> None:
        """Keep what was measured of rows that have not made all their passes."""
        for passes in self._passes.values():
            passes.give_back()
        for item in [*self._reports]:
            self._report(item)

    def _report(self, item: pytest.Item) -> None:
        """Record what the row has measured, unless it has failed, and report that it has run."""
        self._ended.add(item)
        passes, reports = self._passes[item], self._reports.pop(item)
        if passes.done and all(report.passed for report in reports):
            passes.record()
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def visits(
    benchmarks: Sequence[pytest.Item], sweeps: int, chance: np.random.Generator
) -> list[list[pytest.Item]]:
    """The groups of each sweep in their order, and the rows of each in a drawn one."""
    groups: dict[object, list[pytest.Item]] = {}
    for item in benchmarks:
        groups.setdefault(_group(item), []).append(item)
    return [
        [rows[place] for place in chance.permutation(len(rows))]
        for _ in range(sweeps)
        for rows in groups.values()
    ]


def _group(item: pytest.Item) -> object:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return item.nodeid
    others = [(k, str(v)) for k, v in item.callspec.params.items() if k not in OF_ROWS]
    return item.path, item.originalname, *others
