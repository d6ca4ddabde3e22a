"""A pytest plugin that runs benchmarks one by one, each when the gate says so.

    pytest benchmarks -p benchmarks.gate.turns --gate-channel DESCRIPTOR

So two processes, one for each version of the code, can take turns: what one has measured is a
fraction of a second old when the other measures the same, and the machine has hardly changed.

It says what it has collected, hears which of that to run, and then answers each message with what
pytest-benchmark has measured, or why it has not.
"""

import socket
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import pytest

import storage

from .channel import Channel, Message
from .inject import Injection


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gate, for its own use")
    group.addoption("--gate-channel", type=int, help="descriptor of the socket to the gate")
    group.addoption("--gate-inject", type=float, default=0.0, help="fraction of time to add")
    group.addoption("--gate-into", default="", help="to benchmarks with this in their names")


def pytest_configure(config: pytest.Config) -> None:
    connection = socket.socket(fileno=config.getoption("gate_channel"))
    config.pluginmanager.register(Turns(Channel(connection)))
    if config.getoption("gate_inject"):
        injection = Injection(config.getoption("gate_inject"), config.getoption("gate_into"))
        config.pluginmanager.register(injection)


class Turns:
    """Replaces pytest's own loop over what it has collected."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._problem = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None  # pytest's own loop says that collecting went wrong
        with suppress(EOFError, OSError):  # the gate has closed the channel: that is the end
            self._take_turns(session)
        return True

    def _take_turns(self, session: pytest.Session) -> None:
        items = {item.name: item for item in session.items}
        self._channel.send({"storage": storage.__file__, "names": [*items]})
        chosen = [items[name] for name in self._channel.receive()["names"]]
        for item, following in zip_longest(chosen, chosen[1:]):
            self._channel.receive()
            self._problem = ""
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._channel.send(self._outcome(session.config))
        self._channel.receive()  # clearing up must wait until the other side has measured, too

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
