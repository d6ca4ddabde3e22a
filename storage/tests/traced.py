"""A forked process under strace: its system calls listed, or one of them made to kill it or to fail.

What runs is forked from the tests and only then traced, because to start Python anew for each of
many hundred trials would take half a second each.
"""

import ctypes
import mmap
import os
import pickle
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import pytest

from .children import fork, outcome_of

Answer = TypeVar("Answer")

CHANGES = [
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("truncate", "ftruncate", "fallocate", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("fsync", "fdatasync", "syncfs", "sync", "msync"),
]
"""System calls that change files, and those that see to it that changes last."""
PR_SET_PTRACER, ANY_PROCESS = 0x59616D61, -1
ANSWER_BYTES = 2**20
STRACE_SECONDS = 60


class Call(NamedTuple):
    """A system call as strace prints it, and which thread made it."""

    thread: int
    name: str
    text: str


class Traced(NamedTuple):
    """How a traced process ended."""

    status: int  # as of a finished process: minus the signal that killed it
    answer: Any  # what the task returned; None where the process was killed. Any: the task's type
    calls: list[Call]


def traced(task: Callable[[], object], *options: str) -> Traced:
    """Run `task` in a forked process under strace with these options.

    Raises AssertionError with the child's traceback where the task raised. The answer comes by
    shared memory, for to write it to a pipe would be one more system call that may be chosen.
    """
    shared = mmap.mmap(-1, ANSWER_BYTES)
    go_reading, go_writing = os.pipe()

    def child() -> None:
        # Linux may allow only a parent to trace; strace is the child's sister.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY_PROCESS, 0, 0, 0)
        os.close(go_writing)
        select.select([go_reading], [], [])  # a read would be one more call to be counted
        shared.write(pickle.dumps(outcome_of(task)))

    pid = fork(child)
    os.close(go_reading)
    with tempfile.NamedTemporaryFile("r", prefix="strace-") as log:
        command = ["strace", "-f", "-y", "-s", "0", "-o", log.name, *options, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:  # noqa: S603
            assert strace.stderr is not None
            said = strace.stderr.readline()
            if "attached" not in said:
                os.kill(pid, signal.SIGKILL)
            os.close(go_writing)
            said += strace.communicate(timeout=STRACE_SECONDS)[1]
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if "attached" not in said:
            raise RuntimeError(f"strace cannot attach: {said.strip()}")
        calls = parse(log.read())
    answer = None
    if not status:
        answer, error = pickle.loads(shared)  # noqa: S301  # from our own child
        assert error is None, error
    return Traced(status, answer, calls)


def parse(log: str) -> list[Call]:
    """The calls of a log, each where it began."""
    lines = re.findall(r"^(\d+) +(\w+)(\(.*)$", log, re.MULTILINE)
    return [Call(int(thread), name, text) for thread, name, text in lines]


def listing(*names: str) -> str:
    """These system calls, as strace's options take them; not every machine has all."""
    return ",".join(f"?{name}" for name in names)


class Point(NamedTuple):
    """The moment before a thread's call number `number` of the system call `name`."""

    name: str
    number: int

    def inject(self, what: str, on: str = "") -> str:
        """The strace option that lets `what` happen there, with `on="+"` from there on."""
        return f"inject={self.name}:{what}:when={self.number}{on}"


def points(calls: Sequence[Call], names: Sequence[str], about: str = "") -> list[Point]:
    """Every moment before one of the calls `names` whose text has `about` in it.

    strace counts in each thread for itself, so that one number may be met in several.
    """
    made: Counter[tuple[int, str]] = Counter()
    found: dict[Point, None] = {}
    for call in calls:
        made[call.thread, call.name] += 1
        if call.name in names and about in call.text:
            found[Point(call.name, made[call.thread, call.name])] = None
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
