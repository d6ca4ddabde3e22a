"""Processes that read one store at the same time."""

import gc
import multiprocessing
import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Openable, Opened, Shape

from .checks import require
from .interruption import kept_from_children, leave_terminal

Pipe: TypeAlias = "Connection[object, object]"
BatchIds: TypeAlias = list[NDArray[np.int64]]
KeptBatch: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]


class ReadOrder(NamedTuple):
    """Batches for a process to read; keep: whether it keeps all for the check, or only the last."""

    batches: BatchIds
    keep: bool


STOP_SECONDS = 5
"""A process that has not ended after this time is killed."""


def _serve(connection: Pipe, core: int) -> None:
    """The work of a process: open a store and read batches on command, until told to stop."""
    # The parent closes the connections after a signal. When Python exits, it ends the remaining
    # processes by a signal to each.
    leave_terminal()
    # Processes woken together start on one core. The kernel spreads them over the others only after
    # some milliseconds, as long as a whole round, or not at all.
    os.sched_setaffinity(0, {core})
    gc.freeze()  # as in `protocol.take_turns`
    try:
        while True:
            with cast(Opened, connection.recv()) as store:
                connection.send("open")
                while isinstance(order := connection.recv(), ReadOrder):
                    connection.send("ready")
                    connection.recv()
                    kept = []
                    for ids in order.batches:
                        batch = store.read_many(ids)
                        if order.keep:
                            kept.append(batch)
                    connection.send("done")
                    connection.recv()  # sending now would delay processes that still read
                    connection.send(kept or [batch])
            connection.send("closed")
    except (EOFError, ConnectionError):
        pass  # the parent has closed the connection: there is no more to read
    except Exception as error:  # for the parent to raise
        with suppress(ConnectionError):
            connection.send(error)


class Workers:
    """Reading processes, started when first needed and kept for the run.

    Each has its own core, as long as there are cores left that this process may use.
    """

    def __init__(self) -> None:
        self._processes: list[BaseProcess] = []
        self._connections: list[Pipe] = []
        self._cores = sorted(os.sched_getaffinity(0))

    def first(self, size: int) -> list[Pipe]:
        """Connections to `size` processes."""
        context = multiprocessing.get_context("spawn")  # they share only what they import
        while len(self._processes) < size:
            ours, theirs = context.Pipe()
            core = self._cores[len(self._processes) % len(self._cores)]
            process = context.Process(target=_serve, args=(theirs, core), daemon=True)
            with kept_from_children():
                process.start()
                theirs.close()
                self._processes.append(process)
                self._connections.append(ours)
        return self._connections[:size]

    def join_first_core(self) -> None:
        """Keep this process on the first core, with the first reading process."""
        os.sched_setaffinity(0, self._cores[:1])

    def leave_first_core(self) -> None:
        os.sched_setaffinity(0, self._cores)

    def in_starting_order(self, size: int) -> list[Pipe]:
        """Connections of `size` processes, those on the first core last.

        A process woken there may preempt this one. Processes not yet woken would then start when
        the first has nearly finished.
        """
        cores = len(self._cores)
        every = range(size)
        return [self._connections[i] for i in sorted(every, key=lambda i: i % cores == 0)]

    def close(self) -> None:
        """End all processes; new ones are started when needed."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
        self._processes, self._connections = [], []


class Team:
    """Some processes that have one store open, each with its own handle.

    Like an `OpenStore`, it stays open from round to round unless rounds must be cold. EOFError
    means that a process has died.
    """

    def __init__(
        self,
        workers: Workers,
        size: int,
        contender: Openable,
        path: Path,
        cold: bool,
        shape: Shape = (),
    ) -> None:
        """`shape`, (H, W, C), is needed for a format that does not store it."""
        self._workers = workers
        self._size = size
        self._connections: list[Pipe] = []
        self._contender = contender
        self._path = path
        self._cold = cold
        self._shape = shape
        self._is_open = self._is_reading = False

    def _all_say(self, word: str) -> None:
        for connection in self._connections:
            answer = connection.recv()
            if isinstance(answer, Exception):
                raise answer
            require(answer == word, f"a process said {answer!r}, not {word!r}")

    def before(self, batches: Sequence[BatchIds], keep: bool) -> None:
        """Open the store if it is not open, and send each process the ids to read.

        keep: whether `kept_batches` returns all batches of each process, or only the last
        """
        if not self._is_open:
            self._connections = self._workers.first(self._size)
            with self._contender.open(self._path, self._shape) as store:
                for connection in self._connections:
                    connection.send(store)
            self._all_say("open")
            self._is_open = True
        self._is_reading = True
        self._workers.join_first_core()
        for connection, own in zip(self._connections, batches, strict=True):
            connection.send(ReadOrder(own, keep))
        self._all_say("ready")

    def read(self) -> None:
        """Let all processes read at once; return when the last has finished."""
        for connection in self._workers.in_starting_order(self._size):
            connection.send("go")
        self._all_say("done")

    def kept_batches(self) -> list[list[KeptBatch]]:
        """The batches that each process has kept; call this after each `read`."""
        for connection in self._connections:
            connection.send("show")
        batches = [cast(list[KeptBatch], connection.recv()) for connection in self._connections]
        self._is_reading = False
        self._workers.leave_first_core()
        return batches

    def after(self) -> None:
        """Close the store after a round, if the next must be cold."""
        if self._cold:
            self._close()

    def _close(self) -> None:
        if self._is_reading:  # a round was interrupted: the processes may be anywhere in it
            self._workers.leave_first_core()
            self._workers.close()
        elif self._is_open:
            for connection in self._connections:
                connection.send(None)
            self._all_say("closed")
        self._is_open = self._is_reading = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_reading |= error is not None
        self._close()
