"""Many at once: a writer beside readers, workers of a data loader, readers that are killed."""

import mmap
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from .. import BusyError, Store
from .children import as_is, fork, in_child, wrong_reads
from .histories import History, run_in_child, some
from .model import append, are_right, image_of, is_right
from .samples import stores_of_each_kind
from .trials import Trials

pytestmark = stores_of_each_kind

BATCHES = [1, 3, 2, 5] * 50
"""How many images the writer adds in each call; the normal suite makes two in five of them."""
READING_PROCESSES, READING_THREADS = 4, 8
FEWEST_LOOKS, LOOKS_PER_BATCH, PAUSE = 3, 2, 0.005
CONTENDERS_PER = 5
"""One in this many trials has a second writer and a first that is killed: 200 of a thousand."""
AT_ONCE = 0.1
"""Seconds within which half of the second writers are refused, which a wait would exceed."""
WORKERS, READS = 4, 1_500
"""Reads of each worker in the full trials; in the normal suite it makes a fifth of them."""
HELD = 40
KILLED, AT_A_TIME = 300, 10
"""How many readers are killed in the full trials, and after how many the store is looked at."""


@pytest.fixture
def made(store_class: type[Store], path: Path) -> Path:
    """A store of several calls and shapes."""
    steps = [some(HELD - 8), *[some(1)] * 8]
    assert run_in_child(History(store_class, path, "x", steps).run) == 0
    return path


def test_readers_beside_a_writer_see_whole_commits(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    """In processes and in threads; each opens the store again and again until the writer ends.

    The writer waits for looks now and then, or a fast one would be done before there are many.
    """
    batches = BATCHES if trials.full else BATCHES[: 2 * len(BATCHES) // 5]
    lengths = [*accumulate(batches, initial=1)]
    for i in range(lengths[-1]):
        image_of(i)  # made once, and not in each process
    with store_class(path, "x") as first:
        append(first, 1)
        assert is_right(first)  # what is imported at the first use is, before there are threads
    # Shared with the processes that are forked; a place for each that looks, and writes there alone.
    ended = mmap.mmap(-1, 1)
    looks = np.frombuffer(mmap.mmap(-1, 8 * (READING_PROCESSES + READING_THREADS)), np.int64)

    def write() -> None:
        try:
            with store_class(path, "a", durable=False) as writer:
                for number, n in enumerate(batches):
                    append(writer, n)
                    while looks.sum() < LOOKS_PER_BATCH * number:
                        time.sleep(0.0005)
                    if number % 40 == 39:
                        writer.compact()
        finally:
            ended[0] = 1

    def look(number: int) -> list[str]:
        """What each look was, an outcome of `trials`."""
        random = np.random.default_rng(number)
        outcomes: list[str] = []
        before = 0
        while not ended[0] or len(outcomes) < FEWEST_LOOKS:
            with store_class(path) as reader:
                n = len(reader)
                ids = random.integers(0, n, 12).tolist()
                right = len(reader.labels) == n and are_right(reader.read_many(ids), ids)
            whole = n in lengths and n >= before
            outcomes.append("lost" if not whole else "right" if right else "wrong")
            before = n
            looks[number] += 1
            time.sleep(PAUSE)  # or the writer hardly gets a processor
        return outcomes

    with (
        trials.of("readers beside a writer", store_class.format) as tally,
        ThreadPoolExecutor(1 + READING_PROCESSES + READING_THREADS) as pool,
    ):
        writer = pool.submit(in_child, write)
        tasks = [pool.submit(in_child, partial(look, i)) for i in range(READING_PROCESSES)]
        tasks += [pool.submit(look, READING_PROCESSES + i) for i in range(READING_THREADS)]
        for i, task in enumerate(tasks):
            for outcome in task.result():
                tally.add(i, outcome)
        writer.result()
    with store_class(path) as reader:
        assert len(reader) == lengths[-1]
        assert is_right(reader)
        reader.verify()


def test_a_second_writer_is_refused_at_once_and_the_lock_of_a_killed_one_is_gone(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    """The first writer stores all the while, and is killed in the middle of it."""
    store_class(path, "x").close()
    ready, storing = os.pipe()

    def store_for_ever() -> None:
        try:
            with store_class(path, "a", durable=False) as store:
                os.write(storing, b"s")
                while True:
                    append(store, 2)
        finally:
            os.write(storing, b"e")  # an error: nobody is to wait for it

    waited = []
    with (
        trials.of("a second writer", store_class.format) as refusals,
        trials.of("after a killed writer", store_class.format) as successors,
    ):
        for trial in trials.numbers(CONTENDERS_PER):
            pid = fork(store_for_ever)
            assert os.read(ready, 1) == b"s"
            begun = time.perf_counter()
            with pytest.raises(BusyError):
                store_class(path, "a")
            waited.append(time.perf_counter() - begun)
            refusals.add(trial, "refused")
            os.kill(pid, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            with store_class(path, "a", durable=False) as store:
                append(store, 1)
                last = len(store) - 1
                right = are_right(([store[last][0]], [store[last][1]]), [last])
            successors.add(trial, "right" if right else "wrong")
    assert median(waited) < AT_ONCE
    os.close(ready)
    os.close(storing)


def test_killed_readers_are_in_nobodys_way(
    store_class: type[Store], path: Path, trials: Trials
) -> None:
    """In the middle of reading, while one that was there before them lives on."""
    assert run_in_child(History(store_class, path, "x", [some(HELD)]).run) == 0
    ready, reading = os.pipe()
    go, going = os.pipe()

    def live_on() -> None:
        os.close(going)
        with store_class(path) as store:
            assert is_right(store)
            os.write(reading, b"r")
            os.read(go, 1)
            assert is_right(store)
            assert len(store) == HELD

    def read_for_ever() -> None:
        try:
            with store_class(path) as store:
                store.read_many()
                os.write(reading, b"r")
                while True:
                    store.read_many()
        finally:
            os.write(reading, b"e")  # an error: nobody is to wait for it

    def open_again() -> bool:
        with store_class(path) as reader, store_class(path, "a") as writer:
            append(writer, 1)
            return is_right(reader) and is_right(writer)

    alive = fork(live_on)
    os.read(ready, 1)
    with trials.of("killed readers", store_class.format) as tally:
        for killed in range(min(KILLED, max(3 * AT_A_TIME, len(trials.numbers())))):
            pid = fork(read_for_ever)
            assert os.read(ready, 1) == b"r"
            os.kill(pid, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            if killed % AT_A_TIME == AT_A_TIME - 1:
                tally.add(killed, "right" if in_child(open_again) else "wrong")
    os.close(going)
    assert os.waitpid(alive, 0)[1] == 0
    for descriptor in (ready, reading, go):
        os.close(descriptor)


# ---- workers -----------------------------------------------------------------------------------


@pytest.fixture
def reads(trials: Trials) -> int:
    """How many each worker makes."""
    return READS if trials.full else READS // 5


@pytest.fixture(scope="module")
def spawned() -> Iterator[ProcessPoolExecutor]:
    """Workers for all stores: to start them takes longer than what they do."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield pool


def count_wrong(
    trials: Trials, promise: str, store_class: type[Store], reads: int, wrong: list[int]
) -> None:
    with trials.of(promise, store_class.format) as tally:
        for worker, n in enumerate(wrong):
            for outcome, times in (("wrong", n), ("right", reads - n)):
                for _ in range(times):
                    tally.add(worker, outcome)


def test_workers_that_are_forked_with_an_open_store(
    store_class: type[Store], made: Path, trials: Trials, reads: int
) -> None:
    with store_class(made) as store, ThreadPoolExecutor(WORKERS) as pool:
        assert wrong_reads(store, reads, WORKERS) == 0
        tasks = [
            pool.submit(in_child, partial(wrong_reads, store, reads, worker))
            for worker in range(WORKERS)
        ]
        wrong = [task.result() for task in tasks]
    count_wrong(trials, "forked workers", store_class, reads, wrong)


def test_workers_that_are_spawned_and_sent_the_store(
    store_class: type[Store],
    made: Path,
    trials: Trials,
    reads: int,
    spawned: ProcessPoolExecutor,
) -> None:
    with store_class(made) as store:
        store.read_many()
        tasks = [spawned.submit(wrong_reads, store, reads, worker) for worker in range(WORKERS)]
        wrong = [task.result() for task in tasks]
    count_wrong(trials, "spawned workers", store_class, reads, wrong)


# On a machine with fewer cores, of which it warns, they have all the more to wait for.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_pytorch(
    store_class: type[Store], made: Path, trials: Trials, reads: int, method: str
) -> None:
    data = pytest.importorskip("torch.utils.data")
    with store_class(made) as store:
        store.read_many()
        order = np.random.default_rng(0).integers(0, HELD, WORKERS * reads).tolist()
        loader = data.DataLoader(
            store,
            batch_size=20,
            sampler=order,
            num_workers=WORKERS,
            multiprocessing_context=method,
            collate_fn=as_is,
        )
        found = [record for batch in loader for record in batch]
    assert len(found) == len(order)
    with trials.of(f"PyTorch, {method}", store_class.format) as tally:
        for number, ((image, label), i) in enumerate(zip(found, order, strict=True)):
            tally.add(number, "right" if are_right(([image], [label]), [i]) else "wrong")
