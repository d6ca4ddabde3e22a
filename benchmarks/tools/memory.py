"""How much memory the stores take beyond their input and output.

    python -m benchmarks.tools.memory [--cutoff N] [--store-dir DIR]

Each operation runs in its own process, and the memory of that process is sampled every millisecond.
Only private memory counts: the pages of a mapped file, as in LMDB, belong to the system's cache and
can be reclaimed at any time.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import psutil

from benchmarks.contenders.base import Image
from benchmarks.harness.interruption import held, kept_from_children
from benchmarks.harness.workers import Pipe
from benchmarks.tools.printing import print_lines, tool_parser
from storage import STORES, open_store

MemoryTask: TypeAlias = Callable[[], Callable[[], int]]
"""Makes its input and returns the function to measure, which returns its result's bytes."""

SHAPE = (32, 32, 3)
TICK_SECONDS = 0.001
SEED = 0


def noise(n: int) -> Image:
    """Images that cannot be compressed, (n, 32, 32, 3)."""
    return np.random.default_rng(SEED).integers(0, 256, (n, *SHAPE), np.uint8)


class StoreArray:
    """`store_many` of one array: the array is the input."""

    def __init__(self, name: str, path: Path, n: int) -> None:
        self._name, self._path, self._n = name, path, n

    def __call__(self) -> Callable[[], int]:
        images = self._images()

        def run() -> int:
            with STORES[self._name](self._path, "x", durable=False) as store:
                store.store_many(images, range(self._n))
            return 0

        return run

    def _images(self) -> Image | Iterator[Image]:
        return noise(self._n)


class StoreIterator(StoreArray):
    """`store_many` of images that come one by one and are never all in memory."""

    def _images(self) -> Iterator[Image]:
        chance = np.random.default_rng(SEED)
        return (chance.integers(0, 256, SHAPE, np.uint8) for _ in range(self._n))


class ReadArray:
    """`read_many` of a whole store: the array that it returns is the output."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Callable[[], int]:
        def run() -> int:
            with open_store(self._path) as store:
                images, labels = store.read_many()
            assert isinstance(images, np.ndarray)
            return images.nbytes + labels.nbytes

        return run


def _serve(connection: Pipe, job: MemoryTask) -> None:
    run = job()
    connection.send("ready")
    connection.recv()
    connection.send(run())


def _own_bytes(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def peak_beyond(job: MemoryTask) -> int:
    """The peak bytes of a process that does `job`, beyond its input and its result.

    Raises EOFError if the process ends before it is done.
    """
    context = multiprocessing.get_context("spawn")  # shares no memory with this process
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, job), daemon=True)
    try:
        with kept_from_children():
            process.start()
        theirs.close()
        ours.recv()
        watched = psutil.Process(process.pid)
        before = peak = _own_bytes(watched)
        ours.send("go")
        while not ours.poll():
            peak = max(peak, _own_bytes(watched))
            time.sleep(TICK_SECONDS)
        result = ours.recv()
        assert isinstance(result, int)
        return max(0, peak - before - result)
    finally:
        ours.close()
        with held():
            if process.pid is not None:
                process.kill()  # it must not write to files that are being removed
                process.join()


def table(n: int, folder: Path) -> Iterator[str]:
    """The lines of a table of all stores, each as soon as it is measured."""
    megabytes = n * np.prod(SHAPE) / 1e6
    yield f"peak memory beyond input and output, MB; {n:,} images, {megabytes:,.0f} MB of pixels"
    yield f"{'':16}{'store_many':>16}{'of an iterator':>16}{'read_many':>16}"
    for name in STORES:
        path = folder / name
        jobs = (
            StoreArray(name, path, n),
            StoreIterator(name, folder / f"{name}-iterator", n),
            ReadArray(path),
        )
        cells = [f"{peak_beyond(job) / 1e6:16.1f}" for job in jobs]
        yield f"{name:16}" + "".join(cells)


def main() -> None:
    parser = tool_parser("memory", __doc__)
    print_lines(parser, parser.parse_args(), table)


if __name__ == "__main__":
    main()
