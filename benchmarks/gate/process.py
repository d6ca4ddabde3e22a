"""A fresh process of one side, which measures benchmarks one by one on command."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from benchmarks.harness.processes import environment, reason

from .channel import Channel, Message
from .errors import InvalidError
from .profile import Profile
from .trees import STORES

PATIENCE = 600.0
"""Seconds without an answer after which a process counts as locked up."""
ENDING = 60.0
"""Seconds that a process has to end and remove its stores."""


class Side(StrEnum):
    """One of the two versions of the code."""

    BASE = "base"
    HEAD = "head"


@dataclass(frozen=True)
class Injection:
    """A slow-down of one side by `fraction`, in benchmarks with `into` in their names."""

    fraction: float
    into: str


class Process:
    """pytest in one side's tree, at the other end of a channel.

    All methods except `finish` raise InvalidError if it has ended instead of answering.
    """

    def __init__(
        self, side: Side, tree: Path, profile: Profile, log: Path, injection: Injection | None
    ) -> None:
        self.side = side
        self._tree = tree
        self._log = log
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        extra = (
            (f"--gate-inject={injection.fraction}", f"--gate-into={injection.into}")
            if injection
            else ()
        )
        with log.open("wb") as output, theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                [
                    *(sys.executable, "-m", "pytest", *profile.measuring),
                    *("-p", "benchmarks.gate.turns", f"--gate-channel={theirs.fileno()}", *extra),
                ],
                cwd=tree,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C goes only to the gate, which ends this process
            )
        self._channel = Channel(ours)

    def names(self) -> list[str]:
        """Wait for the benchmarks that the process has collected, and return their names."""
        hello = self._receive()
        imported = Path(hello["storage"]).parent.resolve()
        if imported != (self._tree / STORES).resolve():
            raise InvalidError(
                f"the {self.side} was to be measured with its own {STORES}/, but Python imports"
                f" that of {imported.parent}; take it out of PYTHONPATH"
            )
        names: list[str] = hello["names"]
        return names

    def choose(self, names: Sequence[str]) -> None:
        """Tell the process which benchmarks to measure, in this order."""
        self._send({"names": [*names]})

    def take_turn(self) -> Message | None:
        """Give the process a turn; returns a benchmark's outcome, or None if it needs more turns.

        An outcome is {"benchmark": ...} or {"problem": ...}. The turn after it begins the next
        benchmark.
        """
        self._send({})
        outcome: Message | None = self._receive()["outcome"]
        return outcome

    def _send(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except EOFError as error:
            raise self._ended() from error

    def _receive(self) -> Message:
        try:
            return self._channel.receive()
        except TimeoutError as error:
            raise InvalidError(
                f"the {self.side} has not answered for {PATIENCE:.0f} s: it has locked up"
            ) from error
        except EOFError as error:
            raise self._ended() from error

    def _ended(self, patience: float = ENDING) -> InvalidError:
        """The error that says in one line why the process ended or closed the channel."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        output = self._log.read_text(encoding="utf-8", errors="replace")
        why = reason(output, self._process.returncode)
        if not output:
            why += f" and printed nothing: there may be no space in {self._log.parent}"
        return InvalidError(f"the {self.side} cannot be measured: {why}")

    def finish(self) -> None:
        """Let the process end."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until the process has ended; after an error, kill it and leave its stores behind.

        Raises InvalidError if it does not end by itself, or is ended by a signal.
        """
        self.finish()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0 if kind else ENDING)
            if kind is None and (self._process.returncode is None or self._process.returncode < 0):
                raise self._ended(patience=0)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


LIST_STORES = f"import {STORES}; print(*{STORES}.STORES, sep='\\n')"


def list_stores(side: Side, tree: Path) -> list[str]:
    """The names of the stores that a side's code has."""
    return _ask(f"the {side}'s stores cannot be listed", tree, "-c", LIST_STORES)


def list_benchmarks(tree: Path, profile: Profile) -> list[str]:
    """The names of the benchmarks that the base's own suite has in `profile`."""
    failure = "the base's own benchmarks cannot be listed, to find any that are missing"
    pytest_lines = _ask(failure, tree, "-m", "pytest", *profile.choice, "--collect-only", "-q")
    return [line.split("::")[-1] for line in pytest_lines if "::" in line]


def _ask(failure: str, tree: Path, *arguments: str) -> list[str]:
    """The lines that Python prints in a tree; raises InvalidError with `failure` in front."""
    try:
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, *arguments],
            cwd=tree,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,  # stderr separately, since a warning is not a name
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidError(f"{failure}: no answer for {PATIENCE:.0f} s") from error
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise InvalidError(f"{failure}: {reason(done.stdout + done.stderr, done.returncode)}")
    return done.stdout.splitlines()


def compare_names(
    own: Sequence[str], names: Mapping[Side, Sequence[str]], expected: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The benchmarks to measure, in order, and those missing on one side as expected.

    Raises InvalidError if others are missing, or if none is left.

    own: the benchmarks of the base's own suite, which the head may have removed or renamed
    names: the benchmarks that the head's suite has collected with each side's stores
    expected: parts of the names of benchmarks that may be missing on one side
    """
    head, base = names[Side.HEAD], names[Side.BASE]
    lacking = {Side.HEAD: {*own} - {*head}, Side.BASE: {*head} - {*base}}
    for side, missing in lacking.items():
        unexpected = sorted(n for n in missing if not any(part in n for part in expected))
        if unexpected:
            more = f" and {len(unexpected) - 1} more" if len(unexpected) > 1 else ""
            raise InvalidError(
                f"the {side} has no {unexpected[0]}{more}; if that is intended, name what was"
                " removed, renamed or added with --expect"
            )
    common = [name for name in head if name in base]
    if not common:
        raise InvalidError("no benchmark is left to measure; widen -k, --backend or --cutoff")
    return common, sorted(lacking[Side.HEAD] | lacking[Side.BASE])
