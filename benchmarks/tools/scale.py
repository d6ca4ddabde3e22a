"""What an image costs in a store ten times as large.

    python -m benchmarks.tools.scale [--cutoff N] [--backend NAME ...] [--store-dir DIR]

makes a store of N images (100,000) and one of ten times as many, which it stores from an iterator in
one call, buffered. Then it opens both and reads from them in turns, so that a slow phase of the
machine strikes both. It prints the median of each in microseconds, and the ratio.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Image
from benchmarks.tools.printing import print_lines, tool_parser
from storage import STORES, Store, open_store

SHAPE = (32, 32, 3)
SEED = 0
TIMES_LARGER = 10
BATCH = 256
TURNS = 100
"""How often each store is opened, and a batch read from it."""
EPOCHS = 3


def pictures(n: int) -> Iterator[Image]:
    """Yield n images, a few thousand of them again and again, since making noise takes longer."""
    some = np.random.default_rng(SEED).integers(0, 256, (4096, *SHAPE), np.uint8)
    return (some[i % len(some)] for i in range(n))


def per_image(work: Callable[[], object], images: int) -> float:
    """The microseconds that some work takes for each of its images."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e6 / images


def stored(name: str, path: Path, n: int) -> float:
    def store() -> None:
        with STORES[name](path, "x", durable=False) as store:
            store.store_many(pictures(n), range(n))

    return per_image(store, n)


def batches(store: Store, random: np.random.Generator, n: int) -> Callable[[], None]:
    """Read `n` images of a store, drawn anew, in batches."""
    ids = random.permutation(len(store))[:n]

    def read() -> None:
        for start in range(0, n, BATCH):
            store.read_many(ids[start : start + BATCH])

    return read


def times(name: str, folder: Path, sizes: Sequence[int]) -> dict[str, list[float]]:
    """The median of each operation, in microseconds, for each size."""
    paths = [folder / f"{name}-{n}" for n in sizes]
    found = {"store_many": [stored(name, path, n) for path, n in zip(paths, sizes, strict=True)]}
    random = np.random.default_rng(SEED)
    taken: dict[str, list[list[float]]] = {}

    def note(operation: str, place: int, microseconds: float) -> None:
        taken.setdefault(operation, [[] for _ in sizes])[place].append(microseconds)

    stores = [open_store(path) for path in paths]
    for _ in range(EPOCHS):
        for i, store in enumerate(stores):
            note("epoch", i, per_image(batches(store, random, sizes[0]), sizes[0]))
    for _ in range(TURNS):
        for i, (path, store) in enumerate(zip(paths, stores, strict=True)):
            note("open", i, per_image(lambda path=path: open_store(path).close(), 1))  # type: ignore[misc]  # mypy cannot infer it
            note("read_batch", i, per_image(batches(store, random, BATCH), BATCH))
    for store in stores:
        store.close()
    medians = {name: [float(np.median(each)) for each in every] for name, every in taken.items()}
    return found | medians


def table(n: int, names: Sequence[str], folder: Path) -> Iterator[str]:
    """The lines of a table, those of each store as soon as it is measured."""
    sizes = [n, n * TIMES_LARGER]
    heading = "".join(f"{f'n={size:,}':>14}" for size in sizes)
    yield f"{'µs per image, open per call':27}{heading}{'×':>8}"
    for name in names:
        for operation, (small, large) in times(name, folder, sizes).items():
            label = f"{name} {operation}"
            yield f"{label:27}{small:14.3f}{large:14.3f}{large / small:8.2f}"


def main() -> None:
    parser = tool_parser("scale", __doc__)
    parser.add_argument("--backend", nargs="+", choices=STORES, default=["hdf5", "lmdb"])
    arguments = parser.parse_args()
    print_lines(parser, arguments, lambda n, folder: table(n, arguments.backend, folder))


if __name__ == "__main__":
    main()
