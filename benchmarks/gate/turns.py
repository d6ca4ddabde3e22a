"""A pytest plugin that runs benchmarks one by one, each when the gate says so.

    pytest benchmarks -p benchmarks.gate.turns --gate-channel DESCRIPTOR

So two processes, one for each version of the code, can take turns: one measures a few rounds of a
benchmark while the other waits, then the other does. The machine's speed changes all the time, and
this makes it about the same for both.

The plugin sends the names that it has collected, and receives those to run. Then each message gives
it a turn, at whose end it answers: with pytest-benchmark's result, with a problem, or with None if
the benchmark needs more turns.
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
"""Seconds after which a turn ends with its round; most changes of the machine's speed take longer."""


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
    """Replaces pytest's own loop over the collected tests."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._problem = ""
        self._turn_began = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None  # pytest's own loop reports that collecting failed
        with suppress(EOFError):  # the gate has closed the channel to end this
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
        self._channel.receive()  # cleaning up must wait until the other side has measured too

    def _await_turn(self) -> None:
        self._channel.receive()
        self._turn_began = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Give the other side its turns between the benchmark's rounds."""
        given: dict[str, Any] = pyfuncitem.funcargs  # pytest does not type fixtures
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
        # Removed from the list, so that no table of it is made at the end.
        measured = config._benchmarksession.benchmarks  # type: ignore[attr-defined]  # no other way
        benchmark: Any = measured.pop() if measured else None
        if self._problem or benchmark is None:
            return {"problem": self._problem or "it measured nothing"}
        return {"benchmark": benchmark.as_dict(include_data=False)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first failure, in one line."""
        if not report.passed and not self._problem:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr or "")
            self._problem = next(iter(text.splitlines()), "") or report.outcome
