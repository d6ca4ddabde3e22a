"""Other processes for the tests: forked ones that answer, and what a spawned one is asked."""

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import TypeVar

from .. import Store
from .samples import Image, Labels

Answer = TypeVar("Answer")

CHILD_SECONDS = 60
"""A child that takes longer has locked up; it is ended so that the tests go on."""


def in_child(task: Callable[[], Answer]) -> Answer:
    """Run `task` in a forked process and return its answer.

    Raises AssertionError with the child's traceback where the task raised, and ChildProcessError
    where the process died.
    """
    reading, writing = os.pipe()

    def child() -> None:
        os.close(reading)
        outcome = pickle.dumps(outcome_of(task))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(outcome)

    pid = fork(child)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise ChildProcessError(f"the child ended with {status}")
    answer, error = pickle.loads(sent)  # noqa: S301  # from our own child
    assert error is None, error
    return answer  # type: ignore[no-any-return]  # `task` made it


def fork(run: Callable[[], object]) -> int:
    """Fork a process that does nothing but `run`, and return its id.

    It ends without pytest's own way out, with status 0 where `run` returned.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, of which NumPy's linear algebra has some.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    signal.alarm(CHILD_SECONDS)
    status = 1
    try:
        run()
        status = 0
    finally:
        os._exit(status)


def outcome_of(task: Callable[[], Answer]) -> tuple[Answer | None, str | None]:
    """What `task` returned, or the traceback of what it raised."""
    try:
        return task(), None
    except BaseException:  # pytest's own failures are no Exceptions
        return None, traceback.format_exc()


def read_all(store: Store) -> tuple[Image | list[Image], Labels]:
    """What a spawned process, which cannot be sent a lambda, is asked to do."""
    return store.read_many()
