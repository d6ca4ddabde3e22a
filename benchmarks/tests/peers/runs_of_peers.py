"""Runs of peers, made by hand, as `--benchmark-json` writes them."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.results.rounds import pack
from benchmarks.tests.saved import MACHINE, Saved, bench


def measured(backend: str, seconds: Sequence[float], operation: str = "read_many") -> Saved:
    """A benchmark of 1,000 images whose rounds took `seconds`."""
    made = bench(operation, backend, 1000, 1.0)
    made["fullname"] = f"benchmarks/operations/test_x.py::{made['name']}"
    made["extra_info"]["image_shape"] = [32, 32, 3]
    made["extra_info"] |= {"rounds_microseconds": pack(seconds), "sweep_rounds": [1] * len(seconds)}
    q1, middle, q3 = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    made["stats"] = {"data": [*seconds], "median": middle, "q1": q1, "q3": q3, "iterations": 1}
    return made


def run_of(peer: str, limit: Sequence[float], own: Sequence[float], **libraries: str) -> Saved:
    """A peer's run: the limit's rounds and its own."""
    return {
        "machine_info": MACHINE | {"peer_libraries": libraries},
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": [measured("limit", limit), measured(peer, own)],
        "datetime": "2026-11-21T03:29:00.687510+00:00",
        "version": "5.3.1",
    }


TWO: Mapping[str, Saved] = {
    "peer-npy": run_of("peer-npy", [1e-3, 2e-3, 3e-3], [4e-3, 4e-3], numpy="2.4"),
    "peer-arrow": run_of("peer-arrow", [5e-3, 6e-3], [12e-3], pyarrow="26"),
}
