"""The executors that the command line starts or finds; a program brings its own."""

import ctypes
import multiprocessing
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from .._errors import ExecutorError

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
CONNECT_SECONDS = 10
ADDRESS = re.compile(r"(\w+://)?[^/\s]+:[0-9]+")
DASK = "distributed>=2025.1,<2027"


@contextmanager
def processes(n: int) -> Iterator[Executor]:
    """So many processes on this machine, which are killed at the end.

    After an exception one may hang; and where one was killed, those that are left may wait for ever.
    """
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    pool = ProcessPoolExecutor(n, context, initializer=_end_with, initargs=(os.getpid(),))
    try:
        yield pool
    finally:
        for child in multiprocessing.active_children():
            if child not in others:
                child.kill()
        pool.shutdown(cancel_futures=True)


def _end_with(coordinator: int) -> None:
    """Leave Ctrl-C to the coordinator, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != coordinator:  # it was faster
        os._exit(1)


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler; raises `ExecutorError`."""
    if not ADDRESS.fullmatch(address):
        raise ExecutorError(f"{address!r} is no address of a Dask scheduler; give tcp://HOST:PORT")
    try:
        from distributed import Client
    except ImportError as error:
        text = f"dask.distributed is not installed; run: pip install '{DASK}'"
        raise ExecutorError(text) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ExecutorError(f"no Dask scheduler answers at {address}: {reason}") from error
    with client:
        yield client.get_executor()
