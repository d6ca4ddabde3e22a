"""What a store of thousands of parts costs, against one of a hundred.

    python -m benchmarks.tools.parts [--parts P] [--few F] [--cutoff N] [--side S] [--backend NAME ...]

stores N images, (S, S) of uint8, in P parts that do not fold, and as many in F parts; a store that
keeps files gets them as PNG, and its batches are of bytes. It opens both, reads their labels and
random batches, in turns, so that a slow phase of the machine strikes both, and prints the median of
each and the ratio. The first batches map the parts that they need. An epoch, one of each, reads all
images in random order, and maps each part once. The last batches find all mapped. Stores of files,
and of large cells, map none. Then another process reads of every part, and tells what the index takes
of memory: `shared` is mapped, once for all processes; `private` is what each adds.
"""

import argparse
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tools.printing import print_lines, tool_parser
from storage import STORES, EncodedStore, Store, _catalog, open_store
from storage.payloads.png import PngPayload

BATCH = 256
TURNS = 5
FIRST_BATCHES, LAST_BATCHES = 3, 200
SEED = 0
MIB = 2**20


def stored(name: str, path: Path, parts: int, each: int, side: int) -> None:
    """Make a store of `parts` parts of `each` images."""
    images = np.random.default_rng(SEED).integers(0, 256, (each, side, side), np.uint8)
    files = [bytes(cell) for cell in PngPayload().encode(images)]
    with STORES[name](path, "x", durable=False) as store:
        for part in range(parts):
            labels = np.arange(part * each, (part + 1) * each)
            if isinstance(store, EncodedStore):
                store.store_files(files, labels)
            else:
                store.store_many(images, labels)


def read(store: Store, ids: NDArray[np.int64]) -> object:
    """Images, or their files, which are not decoded."""
    return store.read_bytes(ids) if isinstance(store, EncodedStore) else store.read_many(ids)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def batch_seconds(store: Store, random: np.random.Generator) -> float:
    """The seconds that a random batch takes for each of its images."""
    ids = random.integers(0, len(store), BATCH)
    return seconds(lambda: read(store, ids)) / BATCH


def visit_all(store: Store, step: int) -> None:
    """Read of every part, in random order, an image for every `step`."""
    ids = np.random.default_rng(SEED).permutation(np.arange(0, len(store), step))
    for start in range(0, len(ids), BATCH):
        read(store, ids[start : start + BATCH])


def times(paths: list[Path]) -> dict[str, list[float]]:
    """The median of each operation, in seconds, for each store; a batch is for each image."""
    found = dict[str, list[list[float]]]()
    random = np.random.default_rng(SEED)

    def note(operation: str, place: int, taken: float) -> None:
        found.setdefault(operation, [[] for _ in paths])[place].append(taken)

    for _ in range(TURNS):
        for place, path in enumerate(paths):
            note("open", place, seconds(lambda path=path: open_store(path).close()))  # type: ignore[misc]  # mypy cannot infer it
            with open_store(path) as store:
                note("labels", place, seconds(lambda store=store: store.labels))  # type: ignore[misc]  # as above
                for _ in range(FIRST_BATCHES):
                    note("first batches", place, batch_seconds(store, random))
    stores = [open_store(path) for path in paths]
    for place, store in enumerate(stores):
        note("batches of an epoch", place, seconds(partial(visit_all, store, 1)) / len(store))
    for _ in range(LAST_BATCHES):
        for place, store in enumerate(stores):
            note("last batches", place, batch_seconds(store, random))
    for store in stores:
        store.close()
    return {name: [float(np.median(each)) for each in every] for name, every in found.items()}


def memory() -> tuple[int, int]:
    """Bytes of mapped indexes, and bytes that are this process's own, with its page tables."""
    shared = own = 0
    is_index = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            is_index = line.endswith("index.npy")
        elif name == "Rss:" and is_index:
            shared += int(rest[0]) * 1024
        elif name == "Anonymous:":
            own += int(rest[0]) * 1024
    tables = re.search(r"VmPTE:\s+(\d+)", Path("/proc/self/status").read_text())
    return shared, own + int(tables[1] if tables else 0) * 1024


def index_memory(path: Path, step: int) -> tuple[int, int, int]:
    """What reading of every part adds: bytes shared and private; and the number of open files."""
    with open_store(path) as store:
        read(store, np.array([0, len(store) - 1]))
        _, before = memory()
        visit_all(store, step)
        shared, after = memory()
        return shared, after - before, len(os.listdir("/proc/self/fd"))


def table(given: argparse.Namespace, n: int, folder: Path) -> Iterator[str]:
    """The lines of a table, those of each store as soon as it is measured."""
    parts, few_parts = given.parts, given.few
    # Parts that workers have written are large, and do not fold either.
    _catalog.FOLD = max(parts, few_parts) + 1
    yield f"{'seconds; batches in µs an image':34}{f'{few_parts:,} parts':>14}{f'{parts:,} parts':>14}{'×':>8}"
    for name in given.backend:
        paths = [folder / f"{name}-few", folder / f"{name}-many"]
        for path, count in zip(paths, (few_parts, parts), strict=True):
            stored(name, path, count, n // count, given.side)
        step = min(16, n // parts)
        for operation, (few, many) in times(paths).items():
            unit = 1e6 if "batches" in operation else 1
            row = f"{few * unit:14.6f}{many * unit:14.6f}{many / few:8.2f}"
            yield f"{f'{name} {operation}':34}{row}"
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            shared, private, files = pool.apply(index_memory, (paths[1], step))
        two = (shared + 2 * private) / (shared + private)
        yield f"{name} index: {shared / MIB:.1f} MiB shared, {private / MIB:.1f} MiB private"
        yield f"{name} index of two processes: {two:.2f} × that of one; {files} open files"


def main() -> None:
    parser = tool_parser("parts", __doc__)
    parser.set_defaults(cutoff=14_000_000)
    parser.add_argument("--parts", type=int, default=14_000, metavar="P", help="parts (14000)")
    parser.add_argument("--few", type=int, default=100, metavar="F", help="to compare with (100)")
    parser.add_argument("--side", type=int, default=8, metavar="S", help="of an image (8)")
    parser.add_argument("--backend", nargs="+", choices=STORES, default=["hdf5", "npy"])
    arguments = parser.parse_args()
    for name in ("parts", "few"):
        if not 1 <= (parts := getattr(arguments, name)) <= arguments.cutoff:
            parser.error(f"--{name}: {parts}; give at least one, and no more than images")
    print_lines(parser, arguments, lambda n, folder: table(arguments, n, folder))


if __name__ == "__main__":
    main()
