"""A pytest plugin that runs benchmarks one by one, each when the gate says so.

    pytest benchmarks -p benchmarks.gate.turns --gate-channel DESCRIPTOR

So two processes, one for each version of the code, can take turns: each measures a few rounds of a
benchmark while the other waits, and then the other does. What the machine's speed is at the moment,
and that changes from second to second, is the same for both.

It says what it has collected, and hears which of that to run. Then each message gives it a turn, at
the end of which it answers: with what pytest-benchmark has measured, or why it has not, or with
nothing yet.
"""

import socket
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any

import pytest

import storage
from benchmarks.harness.protocol import Result, Work
from benchmarks.harness.suite import Case, Measure

from .channel import Channel, Message
from .inject import Slowdown

TURN = 0.005
"""Seconds after which a turn ends, when a round does: short beside what the machine's moods last."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gate, for its own use")
    group.addoption("--gate-channel", type=int, help="descriptor of the socket to the gate")
    group.addoption("--gate-inject", type=float, default=0.0, help="fraction of time to add")
    group.addoption("--gate-into", default="", help="to benchmarks with this in their names")


def pytest_configure(config: pytest.Config) -> None:
    connection = socket.socket(fileno=config.getoption("gate_channel"))
    config.pluginmanager.register(Turns(Channel(connection)))
    if config.getoption("gate_inject"):
        injection = Slowdown(config.getoption("gate_inject"), config.getoption("gate_into"))
        config.pluginmanager.register(injection)


class Turns:
    """Replaces pytest's own loop over what it has collected."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._problem = ""
        self._turn_began = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None  # pytest's own loop says that collecting went wrong
        with suppress(EOFError):  # the gate has closed the channel: that is the end
            self._take_turns(session)
        return True

    def _take_turns(self, session: pytest.Session) -> None:
        items = {item.name: item for item in session.items}
        self._channel.send({"storage": storage.__file__, "names": [*items]})
        chosen = [items[name] for name in self._channel.receive()["names"]]
        for item, following in zip_longest(chosen, chosen[1:]):
            self._await_turn()
            self._problem = ""
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._channel.send({"outcome": self._outcome(session.config)})
        self._channel.receive()  # clearing up must wait until the other side has measured, too

    def _await_turn(self) -> None:
        self._channel.receive()
        self._turn_began = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Let the other side have its turns between the benchmark's rounds."""
        given: dict[str, Any] = pyfuncitem.funcargs  # pytest knows no more of fixtures' types
        if "measure" in given:
            given["measure"] = partial(self._measure_in_turns, given["measure"])

    def _measure_in_turns(self, measure: Measure, case: Case, work: Work[Result]) -> None:
        def before() -> None:
            if time.monotonic() - self._turn_began >= TURN:
                self._channel.send({"outcome": None})
                self._await_turn()
            work.before()

        measure(case, replace(work, before=before))

    def _outcome(self, config: pytest.Config) -> Message:
        # Taken out of the list, so that no table of it is made at the end.
        measured = config._benchmarksession.benchmarks  # type: ignore[attr-defined]  # no other way
        benchmark: Any = measured.pop() if measured else None
        if self._problem or benchmark is None:
            return {"problem": self._problem or "it measured nothing"}
        return {"benchmark": benchmark.as_dict(include_data=False)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what went wrong first, in one line."""
        if not report.passed and not self._problem:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr or "")
            self._problem = next(iter(text.splitlines()), "") or report.outcome
