"""Other processes for the tests: forked ones that answer, and what a spawned one is asked."""

import faulthandler
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from .. import Store
from .._part import Record
from .model import are_right
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
    pid = os.fork()
    if pid:
        return pid
    faulthandler.register(signal.SIGALRM, file=2, chain=True)  # say where it has locked up
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


def wrong_reads(store: Store, reads: int, seed: int) -> int:
    """How many reads of random images, alone and together, do not give what `model` says."""
    random = np.random.default_rng(seed)
    wrong = 0
    for number in range(reads):
        ids = random.integers(0, len(store), 5).tolist()
        if number % 2:
            wrong += not are_right(store.read_many(ids), ids)
        else:
            image, label = store.read_single(ids[0])
            wrong += not are_right(([image], [label]), ids[:1])
    return wrong


def as_is(records: list[Record]) -> list[Record]:
    """What a data loader is to make of a batch whose images have several shapes."""
    return records
