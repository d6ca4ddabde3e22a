"""How fast folders are converted by one process, by a pool of two and by Dask, and what that takes.

    python -m benchmarks.tools.convert_rates [--cutoff N] [--size NAME] [--turns T] [--to KIND ...]
        [--store-dir DIR]

makes N pictures, all different: JPEG files of 32 by 32 pixels (small), 256 by 256 (crop) or 500 by 375
(photo). In each turn, in an order drawn anew, it copies them by `cp -r` and syncs them, and converts
them by

    one core   one process that may use one core
    one        one process, which decodes in a thread per core
    pool       a pool of two processes, whose start counts
    dask       a Dask cluster of two processes that runs already, where `distributed` is installed

to a store that keeps their bytes, and to one of pixels (`--to bytes` or `--to pixels` for one of
them), in some 64 parts, so that two workers end at about the same time. It prints the medians over
the turns: images per second, the ratios of the rates within a turn, and the peak private memory of
the coordinator and of the largest worker. Then it measures what does not depend on the number of
images, and extrapolates to ImageNet, each line with its formula.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image

from benchmarks.tools.printing import print_lines, tool_parser
from storage import open_store
from storage.conversion.engine import WINDOW
from storage.conversion.executors import dask, processes
from storage.conversion.plan import PART_BYTES, PART_IMAGES

SIZES = {"small": (32, 32), "crop": (256, 256), "photo": (500, 375)}
DIFFERENT = 64
"""Pictures that are drawn; each file also has a comment of its own."""
SEED = 0
FORMATS = {"bytes": "hdf5-encoded", "pixels": "hdf5"}
FEWEST_PARTS = 64
TICK_SECONDS = 0.02
NO_TASKS = 1_000
PARTS_OPENED = 1_400
OPENINGS = 20
IMAGENET, IMAGENET_BYTES = 14_197_122, 110_000
"""Images, and bytes of a file on average, of the whole of ImageNet."""
WORKERS = (1, 2, 8, 32, 128)
CONVERT = """
import contextlib, json, os, sys, time
from storage import convert
from storage.conversion import executors, plan
src, dst, format, engine, part_bytes, part_images = sys.argv[1:]
plan.PART_BYTES, plan.PART_IMAGES = int(part_bytes), int(part_images)
if __name__ == "__main__":
    if engine == "one core":
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    begun = time.perf_counter()
    chosen = {"one": contextlib.nullcontext, "one core": contextlib.nullcontext,
              "pool": lambda: executors.processes(2)}
    with chosen.get(engine, lambda: executors.dask(engine))() as executor:
        convert(src, dst, format, executor=executor)
        taken = time.perf_counter() - begun
    print(json.dumps(taken))
"""


class Conversion(NamedTuple):
    """One conversion: seconds, and peak private bytes of the coordinator and of the largest worker."""

    seconds: float
    coordinator: int = 0
    worker: int = 0


def plant(folder: Path, n: int, size: tuple[int, int]) -> int:
    """Write n different pictures in a hundred class folders; returns their bytes."""
    chance, drawn, total = np.random.default_rng(SEED), list[bytes](), 0
    for _ in range(DIFFERENT):
        rough = Image.fromarray(chance.integers(0, 256, (12, 16, 3), np.uint8)).resize(size)
        noise = chance.normal(0, 14, (size[1], size[0], 3))
        pixels = np.clip(np.asarray(rough) + noise, 0, 255).astype(np.uint8)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        drawn.append(file.getvalue())
    for i in range(n):
        path = folder / f"{i * 100 // n:03d}" / f"{i:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = drawn[i % DIFFERENT]
        comment = b"\xff\xfe\x00\x0a%08d" % i  # a JPEG's COM segment
        total += path.write_bytes(data[:2] + comment + data[2:])
    os.sync()
    return total


def own_bytes(pid: int) -> int:
    with suppress(psutil.Error):
        memory = psutil.Process(pid).memory_info()
        return int(memory.rss - memory.shared)
    return 0


def watched(command: list[str], elsewhere: list[int]) -> Conversion:
    """Run a command that prints its seconds; elsewhere: workers that are not its children."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own
        coordinator = worker = 0
        while process.poll() is None:
            coordinator = max(coordinator, own_bytes(process.pid))
            with suppress(psutil.Error):
                children = [each.pid for each in psutil.Process(process.pid).children()]
                worker = max([worker, *map(own_bytes, children + elsewhere)])
            time.sleep(TICK_SECONDS)
        said, _ = process.communicate()
    if process.returncode:
        raise EOFError
    return Conversion(json.loads(said), coordinator, worker)


def copied(src: Path, dst: Path) -> Conversion:
    begun = time.perf_counter()
    subprocess.run(["cp", "-r", str(src), str(dst)], check=True)  # noqa: S603, S607  # where any system has it
    subprocess.run(["sync", "-f", str(dst)], check=True)  # noqa: S603, S607
    return Conversion(time.perf_counter() - begun)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int]] | None]:
    """The address of a Dask cluster and its workers; None where Dask is not installed.

    folder: where it may write
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        yield None
        return
    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "dashboard_address": ":0",
        "silence_logs": 50,
        "local_directory": folder,
    }
    with LocalCluster(**options) as made:
        with Client(made, set_as_default=False) as client:
            pids = [*client.run(os.getpid).values()]
        yield made.scheduler_address, pids


def per_task(executor: Executor) -> float:
    """Seconds that an empty task takes, when as many are in flight as in a conversion."""
    begun, left, pending = time.perf_counter(), NO_TASKS, set[Future[int]]()
    while left or pending:
        while left and len(pending) < WINDOW:
            pending.add(executor.submit(abs, left))
            left -= 1
        pending = wait(pending, return_when=FIRST_COMPLETED).not_done
    return (time.perf_counter() - begun) / NO_TASKS


def turns(
    n: int,
    folder: Path,
    size: str,
    times: int,
    kinds: list[str],
    dask_at: tuple[str, list[int]] | None,
) -> Iterator[str]:
    """The lines of both tables, and of what follows from them."""
    src = folder / "pictures"
    total = plant(src, n, SIZES[size])
    part_bytes, part_images = min(PART_BYTES, total // FEWEST_PARTS), PART_IMAGES
    address, elsewhere = dask_at or ("", [])
    engines = ["one core", "one", "pool", *(["dask"] if dask_at else [])]
    arms = [("cp", "cp"), *((kind, engine) for kind in kinds for engine in engines)]
    found: dict[tuple[str, str], list[Conversion]] = {arm: [] for arm in arms}
    order = random.Random(SEED)  # noqa: S311  # the order of measurements
    for _ in range(times):
        for arm in order.sample(arms, len(arms)):
            kind, engine = arm
            dst = folder / "result"
            if kind == "cp":
                measured = copied(src, dst)
            else:
                where = address if engine == "dask" else engine
                given = [
                    str(src),
                    str(dst),
                    FORMATS[kind],
                    where,
                    str(part_bytes),
                    str(part_images),
                ]
                command = [sys.executable, "-c", CONVERT, *given]
                measured = watched(command, elsewhere if engine == "dask" else [])
            found[arm].append(measured)
            shutil.rmtree(dst)
    yield f"{n:,} pictures of {size} size, {total / 1e6:,.1f} MB; medians of {times} turns"
    yield f"{'':18}{'images/s':>10}{'× one core':>12}{'× one':>8}{'× cp':>8}{'coordinator':>13}{'worker, MB':>12}"
    for kind, engine in arms:
        yield row(found, kind, engine, n, kinds[0])
    best = {kind: n / median(each.seconds for each in found[kind, "one core"]) for kind in kinds}
    yield from once(src, folder, n, dask_at, best)


def row(
    found: dict[tuple[str, str], list[Conversion]], kind: str, engine: str, n: int, usual: str
) -> str:
    """A line of the table; usual: the kind with which copying is compared."""
    every = found[kind, engine]

    def against(other: tuple[str, str]) -> str:
        pairs = zip(found[other], every, strict=True)
        return f"{median(a.seconds / b.seconds for a, b in pairs):.2f}"

    same = kind if kind in FORMATS else usual
    ratios = against((same, "one core")), against((same, "one")), against(("cp", "cp"))
    memory = [
        max(getattr(each, name) for each in every) / 1e6 for name in ("coordinator", "worker")
    ]
    label = "cp -r, sync" if kind == "cp" else f"{kind}, {engine}"
    rate = n / median(each.seconds for each in every)
    return (
        f"{label:18}{rate:10,.0f}{ratios[0]:>12}{ratios[1]:>8}{ratios[2]:>8}"
        f"{memory[0]:13.0f}{memory[1]:12.0f}"
    )


def once(
    src: Path,
    folder: Path,
    n: int,
    dask_at: tuple[str, list[int]] | None,
    rates: dict[str, float],
) -> Iterator[str]:
    """What is measured once, and the lines that extrapolate."""
    with ExitStack() as stack:
        engines = {"pool": stack.enter_context(processes(2))}
        if dask_at:
            engines["dask"] = stack.enter_context(dask(dask_at[0]))
        overheads = {name: per_task(engine) for name, engine in engines.items()}
    some = folder / "some"
    for i, path in enumerate(sorted(src.rglob("*.jpg"))[:PARTS_OPENED]):
        (some / f"{i % 10}").mkdir(parents=True, exist_ok=True)
        os.link(path, some / f"{i % 10}" / path.name)
    dst = folder / "result"
    given = [str(some), str(dst), FORMATS["bytes"], "one", str(PART_BYTES), "1"]
    watched([sys.executable, "-c", CONVERT, *given], [])
    seconds = [timed(lambda: open_store(dst).close()) for _ in range(OPENINGS)]
    parts = sum(entry.is_dir() for entry in dst.iterdir())
    files = sum(entry.is_file() for entry in dst.rglob("*"))
    yield ""
    for name, overhead in overheads.items():
        yield f"an empty task, {name}: {overhead * 1e3:.2f} ms, of {NO_TASKS:,} with {WINDOW} in flight"
    yield f"opening a store of {parts:,} parts: {median(seconds) * 1e3:.1f} ms, median of {OPENINGS}"
    yield f"files in it: {files:,}, {(files - 3) / parts:.2f} in each part and 3"
    yield ""
    tasks = -(-IMAGENET * IMAGENET_BYTES // PART_BYTES)
    yield f"{IMAGENET:,} images of {IMAGENET_BYTES / 1e3:.0f} kB on average:"
    yield f"tasks, and parts: {tasks:,} = images × bytes ÷ {PART_BYTES:,}; {IMAGENET // tasks:,} images each"
    for kind, rate in rates.items():
        hours = ", ".join(f"{w}: {IMAGENET / rate / w / 3600:.1f}" for w in WORKERS)
        yield f"hours by workers, {kind}: {hours} = images ÷ ({rate:,.0f}/s of one core × workers)"
    for name, overhead in overheads.items():
        yield f"of these, for the tasks of {name}: {tasks * overhead:.1f} s = tasks × time of an empty one"
    yield f"files with hdf5 or lmdb: {3 * tasks + 3:,} = 3 × parts + 3, and {tasks:,} folders"
    yield f"files with files-encoded: {IMAGENET + 3 * tasks + 3:,} = images + 3 × parts + 3"
    opening = median(seconds) * tasks / parts
    yield f"opening: {opening * 1e3:.0f} ms = that of {parts:,} parts × parts ÷ {parts:,}"


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = tool_parser("convert_rates", __doc__)
    parser.add_argument("--size", choices=SIZES, default="small", help="of the pictures (small)")
    parser.add_argument("--turns", type=int, default=3, metavar="T", help="of all arms (3)")
    parser.add_argument("--to", nargs="+", choices=FORMATS, default=[*FORMATS], help="kinds (both)")
    arguments = parser.parse_args()

    def lines(n: int, folder: Path) -> Iterator[str]:
        with cluster(folder) as dask_at:
            if dask_at is None:
                yield "dask: not measured; pip install distributed"
            yield from turns(n, folder, arguments.size, arguments.turns, arguments.to, dask_at)

    print_lines(parser, arguments, lines)


if __name__ == "__main__":
    main()
