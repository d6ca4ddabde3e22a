"""Sweeps: each benchmark is measured in several passes, spread over the whole run.

pytest's own loop runs a list of tests. Here that list names each benchmark once for every sweep,
and only its last pass, or one that fails, is reported. So all that depends on the loop or on the
reports (`-x`, `--maxfail`, Ctrl-C, the count of passed tests) works as in any other run.
"""

import secrets
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, cast

import numpy as np
import pytest
from _pytest.runner import runtestprotocol
from _pytest.terminal import TerminalReporter

from .passes import Passes

OF_ROWS = ("contender", "store")
"""The parameters that name a row; benchmarks that differ only in these are a group."""


class Measurement(Protocol):
    """The part of pytest-benchmark's record of a benchmark that is used here."""

    fullname: str
    has_error: bool


class Sweeps:
    """A plugin for the runs that have more than one sweep."""

    def __init__(self, sweeps: int, is_benchmark: Callable[[pytest.Item], bool]) -> None:
        """Plan `sweeps` passes of the tests that are benchmarks."""
        self._sweeps = sweeps
        self._seed = secrets.randbits(32)
        self._is_benchmark = is_benchmark
        self._passes: dict[pytest.Item, Passes] = {}
        self._reports: dict[pytest.Item, list[pytest.TestReport]] = {}
        self._begun = 0
        self._place = -1  # of the running test, in the loop's list

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
        session.items = [*others, *ordered(chosen, self._sweeps, self._seed)]
        try:
            return (yield)
        finally:
            session.items = collected
            for item in [*self._reports]:  # the run ends early
                self._report(item)
            places = {item.nodeid: place for place, item in enumerate(collected)}
            _measured(session).sort(key=lambda one: places[one.fullname])

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        self._place += 1
        passes = self._passes.get(item)
        if passes is None:
            return None
        self._show_progress(item, passes.done)
        has_failed, left_out = False, passes.left_out
        if nextitem is item:  # pytest would not set it up again
            nextitem = cast("pytest.Item", item.parent)
        try:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            is_left_out = passes.left_out > left_out and not passes.has_given_up
            if not (is_left_out and passes.done):  # else those of its last good pass stay
                self._reports[item] = reports
            has_failed = not (is_left_out or all(report.passed for report in reports))
        finally:  # an interruption breaks off this pass, and leaves the earlier ones
            _keep_newest(_measured(item.session), item, has_failed)
        if has_failed or passes.are_complete:
            coming = item.session.items[self._place + 1 :]
            item.session.items[self._place + 1 :] = [one for one in coming if one is not item]
            self._report(item)
        return True

    def _show_progress(self, item: pytest.Item, done: int) -> None:
        if done < self._begun:
            return
        self._begun = done + 1
        reporter = item.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, TerminalReporter) and reporter.verbosity >= 0:
            reporter.ensure_newline()
            reporter.write_line(f"sweep {self._begun} of {self._sweeps}")

    def _report(self, item: pytest.Item) -> None:
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports.pop(item):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def ordered(benchmarks: Sequence[pytest.Item], sweeps: int, seed: int) -> list[pytest.Item]:
    """All benchmarks once for each sweep: group after group, the rows of each in a drawn order."""
    chance = np.random.default_rng(seed)
    groups: dict[object, list[pytest.Item]] = {}
    for item in benchmarks:
        groups.setdefault(_group(item), []).append(item)
    return [
        rows[place]
        for _ in range(sweeps)
        for rows in groups.values()
        for place in chance.permutation(len(rows))
    ]


def _group(item: pytest.Item) -> object:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return item.nodeid
    others = [(k, str(v)) for k, v in item.callspec.params.items() if k not in OF_ROWS]
    return item.path, item.originalname, *others


def _measured(session: pytest.Session) -> list[Measurement]:
    measured: list[Measurement] = session.config._benchmarksession.benchmarks  # type: ignore[attr-defined]  # no other way
    return measured


def _keep_newest(measured: list[Measurement], item: pytest.Item, has_failed: bool) -> None:
    """Keep one record of a row, which holds the rounds of all its passes; none if it has failed.

    Each pass adds a record. That of a pass that broke off goes, if there is an earlier one.
    """
    own = [one for one in measured if one.fullname == item.nodeid]
    good = [one for one in own if not one.has_error]
    kept = [] if has_failed else good[-1:] or own[-1:]
    measured[:] = [one for one in measured if one not in own or one in kept]
