"""Processes forked from a fresh interpreter, which end as any program does: at its end.

One that is forked from the tests has to leave by `os._exit`. On any other way out it would clean up
after pytest, and with that remove folders that the tests still need.
"""

import ctypes
import mmap
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .children import CHILD_SECONDS, outcome_of

PROGRAM = "import sys; from storage.tests.nursery import serve; serve(int(sys.argv[1]))"
TASK_BYTES = 2**16
ANSWER_BYTES = 2**20
PR_SET_PTRACER, ANY_PROCESS = 0x59616D61, -1


class Nursery:
    """The interpreter from which they are forked, one after the other."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],
            )

    def fork(self, task: Callable[[], object], go: int, answer: int) -> int:
        """Fork a process for `obey`, and return its id; what it is sent can be pickled."""
        socket.send_fds(self._socket, [pickle.dumps(task)], [go, answer])
        return int(self._socket.recv(TASK_BYTES))

    def wait(self) -> int:
        """The status with which the process ended that was forked last, as `os.waitpid` has it."""
        return int(self._socket.recv(TASK_BYTES))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def serve(descriptor: int) -> None:
    """Fork a process for each task that comes, until the tests have closed; return in each."""
    with socket.socket(fileno=descriptor) as tests:
        while True:
            sent, descriptors, _, _ = socket.recv_fds(tests, TASK_BYTES, 2)
            if not sent:
                return
            task = pickle.loads(sent)  # noqa: S301  # from our own tests; imports for all that follow
            pid = os.fork()
            if not pid:
                break
            for each in descriptors:
                os.close(each)
            tests.send(b"%d" % pid)
            tests.send(b"%d" % os.waitpid(pid, 0)[1])
    signal.alarm(CHILD_SECONDS)
    obey(task, *descriptors)


def obey(task: Callable[[], object], go: int, answer: int) -> None:
    """Let any process trace this one, wait until `go` can be read, run `task`, and answer.

    go: a descriptor of an event
    answer: one of a file in memory, because to write to a pipe would be one more system call that
        may be chosen to fail; so would be to read from `go`
    """
    # Linux may allow only a parent to trace.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY_PROCESS, 0, 0, 0)
    shared = mmap.mmap(answer, ANSWER_BYTES)
    select.select([go], [], [])
    shared.write(pickle.dumps(outcome_of(task)))
