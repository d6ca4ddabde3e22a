"""Saved runs, made by hand: small, with known figures, as pytest-benchmark writes them."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.rows import ROWS, STORE_ROWS
from benchmarks.results.rounds import pack

Saved = dict[str, Any]
"""The JSON of a run, or of one benchmark."""

NS = (10, 1000)
BATCH = 256
SPREAD = (1.0, 0.99, 1.02, 0.98, 1.0, 1.01, 0.995)
"""Of a benchmark's rounds around their median."""
SPEED = {"png": 50.0, "lmdb": 4.0, "hdf5": 2.0, "limit": 1.0}
"""Microseconds per image."""
OTHER_SPEED = 60.0
"""Of a store that is added one day. The tutorial's ways take three times as long as the stores."""

MACHINE: dict[str, Any] = {
    "cpu_model": "Abacus",
    "cores": 3,
    "memory_gib": 7,
    "system": "Linux",
    "kernel": "6.1",
    "python_version": "3.11.7",
    "libraries": {"numpy": "2.4.6", "lmdb": "3.0.0"},
    "dataset": "standin-v9",
    "dataset_name": "standin",
    "dataset_note": "painted <for> the test",
    "file_system": "ext4",
    "cache": "warm",
    "durability": "durable",
}


def bench(
    operation: str,
    backend: str,
    n: int,
    microseconds: float,
    variant: str = "",
    spread: Sequence[float] = SPREAD,
) -> Saved:
    """One benchmark whose rounds lie around `microseconds` per image, one in each sweep."""
    single = operation.endswith("single") or variant == "open"
    images = 1 if single else BATCH if operation in ("append", "read_batch") else n
    seconds = [microseconds * factor * images / 1e6 for factor in spread]
    q1, median, q3 = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return {
        "name": f"test_{operation}[{backend}-n={n}{variant}]",
        "extra_info": {
            "operation": operation,
            "variant": variant,
            "backend": backend,
            "n": n,
            "images_per_round": images,
            "round_budget_seconds": 0.3,
            "cache": "warm",
            "durability": "durable",
            "files": 4,
            "apparent_bytes": 3100 * n,
            "allocated_bytes": (3200 if backend == "hdf5" else 4096) * n,
            "pixel_megabytes_per_second": images * 0.003072 / median,
            "rounds_microseconds": pack(seconds),
            "sweep_rounds": [1] * len(seconds),
        },
        "stats": {
            "mean": float(np.mean(seconds)),
            "median": median,
            "q1": q1,
            "q3": q3,
            "rounds": len(seconds),
        },
    }


def speed(backend: str) -> float:
    if backend.startswith("article-"):
        return 3 * speed(backend.removeprefix("article-"))
    return SPEED.get(backend, OTHER_SPEED)


def whole_run() -> Saved:
    """A run of every operation, for every row that has it, at every n of NS."""
    benches = [bench("store_single", name, 1, 100 * speed(name)) for name in ROWS]
    for variant in ("store", "open", "read", "compacted"):
        benches += [bench("commits", name, NS[-1], speed(name), variant) for name in STORE_ROWS]
    for variant in ("0 workers", "2 forked workers"):
        benches += [bench("loader", name, NS[-1], speed(name), variant) for name in STORE_ROWS]
    for n in NS:
        for operation in ("store_many", "read_single", "read_many"):
            benches += [bench(operation, name, n, speed(name) * (1 + 10 / n)) for name in ROWS]
        for name in STORE_ROWS:
            benches += [bench(op, name, n, speed(name)) for op in ("append", "read_batch", "epoch")]
            benches += [
                bench("iterate", name, n, speed(name), "single"),
                bench("iterate", name, n, speed(name) / 2, "slice"),
                bench("parallel_read", name, n, speed(name), "1 process"),
                bench("parallel_read", name, n, speed(name) / 2, "2 processes"),
                bench("parallel_read", name, n, speed(name) / 2, "4 processes"),
            ]
    return {
        "machine_info": copy.deepcopy(MACHINE),
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": benches,
        "datetime": "2026-11-21T03:29:00.687510+00:00",
        "version": "5.3.1",
    }


def cold_bench(operation: str, backend: str, n: int, microseconds: float) -> Saved:
    """A benchmark of a store that was evicted before each round."""
    made = bench(operation, backend, n, microseconds)
    made["name"] = made["name"].replace("]", "-cold]")
    made["extra_info"] |= {"cache": "cold", "resident_fraction": 0.0}
    return made


def without_rounds(saved: Saved) -> Saved:
    """The run as an earlier version saved it."""
    for one in saved["benchmarks"]:
        del one["extra_info"]["rounds_microseconds"]
    return saved


def in_one_sweep(saved: Saved) -> Saved:
    """The run as a version before sweeps saved it."""
    for one in saved["benchmarks"]:
        del one["extra_info"]["sweep_rounds"]
    return saved


def only(saved: Saved, chosen: Callable[[Saved], bool]) -> Saved:
    """The run with only the benchmarks for which `chosen`, given their `extra_info`, is true."""
    saved["benchmarks"] = [one for one in saved["benchmarks"] if chosen(one["extra_info"])]
    return saved


def faster(saved: Saved, factor: float, chosen: Callable[[Saved], bool]) -> Saved:
    """The run with some benchmarks' times multiplied."""
    for place, one in enumerate(saved["benchmarks"]):
        info = one["extra_info"]
        if chosen(info):
            per_image = one["stats"]["median"] / info["images_per_round"] * 1e6
            saved["benchmarks"][place] = bench(
                info["operation"], info["backend"], info["n"], per_image * factor, info["variant"]
            )
    return saved


def save(saved: Saved, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(saved))
    return path
