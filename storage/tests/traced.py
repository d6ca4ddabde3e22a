"""A forked process under strace: its system calls listed, or one of them made to kill it or to fail.

What runs is forked from the tests and only then traced, because to start Python anew for each of
many hundred trials would take half a second each.
"""

import mmap
import os
import pickle
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .children import fork
from .nursery import ANSWER_BYTES, Nursery, obey

CHANGES = [
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("truncate", "ftruncate", "fallocate", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("fsync", "fdatasync", "syncfs", "sync", "msync"),
]
"""System calls that change files, and those that see to it that changes last."""
STRACE_SECONDS = 60


class SystemCall(NamedTuple):
    """A system call as strace prints it, and which thread made it."""

    thread: int
    name: str
    text: str

    @property
    def file(self) -> str:
        """The file that it is about, as strace chooses calls by it.

        That is its first path where it is absolute, or else what its first descriptor is open on:
        the file, or the folder in which the path is.
        """
        absolute = re.match(r'\((?:AT_FDCWD<[^>]*>, )?"(/[^"]*)"', self.text)
        named = absolute or re.search(r"<(/[^>]*)>", self.text)
        return named[1] if named else ""

    @property
    def paths(self) -> list[Path]:
        """Its paths, from the folders in which they are, and of what it has opened the true one."""
        if opened := re.search(r" = \d+<(/[^>]*)>$", self.text):
            return [Path(opened[1])]
        named = re.findall(r'(?:<([^>]*)>, )?"([^"]+)"', self.text)
        return [Path(folder or "/", path) for folder, path in named]


class Traced(NamedTuple):
    """How a traced process ended."""

    status: int  # as of a finished process: minus the signal that killed it
    answer: Any  # what the task returned; None where the process was killed. Any: the task's type
    calls: list[SystemCall]
    failed: bool  # whether strace made a call fail


def traced(task: Callable[[], object], *options: str, nursery: Nursery | None = None) -> Traced:
    """Run `task` in a forked process under strace with these options.

    It is forked from the tests, and leaves by `os._exit`, or from `nursery`, to end as any program.
    Raises AssertionError with the child's traceback where the task raised.
    """
    go, answer = os.eventfd(0), os.memfd_create("answer")
    os.ftruncate(answer, ANSWER_BYTES)
    try:
        with mmap.mmap(answer, ANSWER_BYTES) as shared:
            if nursery is None:
                pid = fork(partial(obey, task, go, answer))
            else:
                pid = nursery.fork(task, go, answer)
            log = _trace(pid, go, options)
            waited = os.waitpid(pid, 0)[1] if nursery is None else nursery.wait()
            status = os.waitstatus_to_exitcode(waited)
            found, error = (None, None) if status else pickle.loads(shared)  # noqa: S301  # from our own child
    finally:
        os.close(go)
        os.close(answer)
    assert error is None, error
    return Traced(status, found, parse(log), "(INJECTED)" in log)


def _trace(pid: int, go: int, options: Sequence[str]) -> str:
    """Let a process go on that waits for `go`, under strace until it ends; return the log."""
    with tempfile.NamedTemporaryFile("r", prefix="strace-") as log:
        command = ["strace", "-f", "-y", "-s", "0", "-o", log.name, *options, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:  # noqa: S603  # our own command
            assert strace.stderr is not None
            said = strace.stderr.readline()
            attached = "attached" in said
            if not attached:
                os.kill(pid, signal.SIGKILL)
            os.eventfd_write(go, 1)
            said += strace.communicate(timeout=STRACE_SECONDS)[1]
        if not attached:
            raise RuntimeError(f"strace cannot attach: {said.strip()}")
        return log.read()


def parse(log: str) -> list[SystemCall]:
    """The calls of a log, each where it began."""
    lines = re.findall(r"^(\d+) +(\w+)(\(.*)$", log, re.MULTILINE)
    return [SystemCall(int(thread), name, text) for thread, name, text in lines]


def listing(*names: str) -> str:
    """These system calls, as strace's options take them; not every machine has all."""
    return ",".join(f"?{name}" for name in names)


class Point(NamedTuple):
    """The moment before a thread's call number `number` of the system call `name`.

    file: only calls that name this file are counted; with "" all are
    """

    name: str
    number: int
    file: str = ""

    def inject(self, what: str, on: str = "") -> list[str]:
        """The strace options that let `what` happen there, with `on="+"` from there on."""
        only = ["-P", self.file] if self.file else []
        return [*only, "-e", f"inject={self.name}:{what}:when={self.number}{on}"]


def points(
    calls: Sequence[SystemCall], names: Sequence[str], about: str = "", by_file: bool = True
) -> list[Point]:
    """Every moment before one of the calls `names` whose text has `about` in it.

    strace counts in each thread for itself, so that one number may be met in several threads, and
    the first of these is stopped. Counted by file this is so only where they share the file: where
    a call of the store that failed is made again and has new threads write its files.
    """
    made: Counter[tuple[int, str, str]] = Counter()
    found: dict[Point, None] = {}
    for call in calls:
        file = call.file if by_file else ""
        made[call.thread, call.name, file] += 1
        if call.name in names and about in call.text:
            found[Point(call.name, made[call.thread, call.name, file], file)] = None
    return list(found)


@cache
def _problem() -> str:
    """Why nothing can be traced here, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    try:
        traced(lambda: None, "-e", "trace=none")
    except RuntimeError as error:
        return str(error)
    return ""


def require_strace() -> None:
    """Skip the test where strace is missing or may not trace."""
    if problem := _problem():
        pytest.skip(f"system calls cannot be traced: {problem}")
