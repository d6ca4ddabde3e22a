"""Measures a whole run of the suite in a process of its own, as a user does."""

import os
import time
from collections.abc import Sequence

from benchmarks.harness.interruption import temporary_directory
from benchmarks.harness.processes import reason, run_pytest
from benchmarks.results.errors import ResultsError
from benchmarks.results.runs import load, read_file

from .record import Replicate

STORES = ("hdf5", "lmdb", "png")
"""Each run measures a second row of one of these, and a slower second row of another, in turn."""
OPERATIONS = "store_single or store_many or read_single or read_many or read_batch or iterate"
NARROWED = ("--cutoff=100,1000,10000", "-k", OPERATIONS)
"""The page names winners at these operations; those and the rows of the limit and the tutorial, by
which `--against` knows the noise, are what is counted. All n of a default run would take 6 minutes."""


def run_suite(number: int, arguments: Sequence[str]) -> Replicate:
    """Make the run of this number, from 0; raises ResultsError if it fails.

    arguments: more options of the suite, which override those of `NARROWED`
    """
    same, slowed = STORES[number % len(STORES)], STORES[(number + 1) % len(STORES)]
    chosen = [*NARROWED, *arguments]
    with temporary_directory("evaluation-") as folder:
        saved = folder / "run.json"
        start = time.monotonic()
        code, output = run_pytest(
            [
                *("benchmarks", "-p", "no:cacheprovider"),
                *("-p", "benchmarks.evaluation.slower", f"--slow-row={slowed}-twin"),
                *(f"--twin={same},{slowed}", f"--benchmark-json={saved}", *chosen),
            ]
        )
        seconds = round(time.monotonic() - start, 1)
        if code:
            raise ResultsError(f"run {number + 1}: {reason(output, code)}")
        return Replicate.of(
            load(os.fspath(saved)),
            arguments=chosen,
            order_seed=read_file(saved)["sweeps"]["order_seed"],
            seconds=seconds,
            same=same,
            slowed=slowed,
        )
