"""Measures what people would pick instead, each peer in a fresh process.

    python -m benchmarks.peers [NAMES] [options of the suite, such as --cutoff=1000]

Libraries start threads, hold memory and slow each other down, so each peer has a process of its own,
in which the limit and the three stores are measured too. With a folder of pictures (--dataset=DIR),
the stores of files are as well. All are saved as one run. Exits with 0, with 1 if a peer failed or the
run could not be saved, or with 2 if an option is wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.contenders.peers import PEERS, lacks
from benchmarks.contenders.rows import DEFAULT_STORES, STORE_ROWS
from benchmarks.datasets import is_folder_of_pictures
from benchmarks.harness.arguments import some_path
from benchmarks.harness.interruption import exit_interrupted, heed_termination, temporary_directory
from benchmarks.harness.output import say
from benchmarks.harness.processes import REPOSITORY, reason, run_pytest
from benchmarks.harness.text import one_line
from benchmarks.results.errors import ResultsError
from benchmarks.results.recorded import WARM, Recorded
from benchmarks.results.runs import STORAGE, read_file
from benchmarks.results.saving import require_folder
from benchmarks.results.summary import LIMIT, LIMIT_OF_FILES, Figure

from .merging import RunJson, merged, save
from .table import table

OPERATIONS = (
    *("store_many", "read_single", "read_many"),
    *("read_batch", "epoch", "iterate", "parallel_read"),
)
BESIDE = (LIMIT, *DEFAULT_STORES)
BESIDE_FILES = (LIMIT_OF_FILES, *(name for name, row in STORE_ROWS.items() if row.keeps_files))
"""The rows that are measured with each peer; the second, of a folder of pictures, keep its files."""
ENDED_WELL = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    names, beside, storage, options = _parse(arguments)
    heed_termination()
    try:
        with temporary_directory("peers-") as folder:
            return _run(names, beside, storage, options, folder)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was saved, and all temporary files are removed\n")
        exit_interrupted()


def _parse(arguments: list[str] | None) -> tuple[list[str], Sequence[str], Path, list[str]]:
    """The peers to measure, the rows beside each, where to save them, and the options for pytest."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Measure peers, each in a fresh process, and save one run of all of them.",
        epilog="Other options are the suite's: `pytest benchmarks --help`. Write a value with =.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"from {', '.join(PEERS)}; by default all"
    )
    parser.add_argument(
        "--benchmark-storage",
        type=some_path,
        default=REPOSITORY / STORAGE,
        metavar="DIR",
        help="where to save the run (.benchmarks)",
    )
    parser.add_argument("--dataset", default="cifar10", metavar="NAME|PATH", help="as for pytest")
    given, options = parser.parse_known_args(arguments)
    try:
        require_folder("--benchmark-storage", given.benchmark_storage.absolute())
    except pytest.UsageError as error:
        parser.error(str(error))
    dataset, has_pictures = given.dataset, is_folder_of_pictures(given.dataset)
    if has_pictures:
        dataset = Path(dataset).expanduser().absolute()
    options.append(f"--dataset={dataset}")
    for name in given.names:
        if name not in PEERS:
            parser.error(f"there is no {name!r}; choose among {', '.join(PEERS)}")
        if lacking := lacks(name):
            parser.error(lacking)
        if has_pictures and not PEERS[name].keeps_files:
            parser.error(f"{name} cannot hold a folder of pictures")
    missing = {name: lacking for name in PEERS if (lacking := lacks(name))}
    if not given.names:
        say(f"not measured: {lacking}" for lacking in missing.values())
    names = [name for name in PEERS if name in (given.names or PEERS.keys() - missing.keys())]
    if not has_pictures:
        return names, BESIDE, given.benchmark_storage, options
    names = [name for name in names if PEERS[name].keeps_files]
    return names, (*BESIDE, *BESIDE_FILES), given.benchmark_storage, options


def _run(
    names: Sequence[str],
    beside: Sequence[str],
    storage: Path,
    options: Sequence[str],
    folder: Path,
) -> int:
    runs: dict[str, RunJson] = {}
    failures: list[str] = []
    for place, name in enumerate(names, 1):
        say([f"{name}, {place} of {len(names)}"])
        measured = folder / f"{name}.json"
        code, output = _measure([*beside, name], measured, options)
        if code == pytest.ExitCode.USAGE_ERROR and not (runs or failures):
            sys.stderr.write(f"{reason(output, code)}\n")
            return 2
        if code != pytest.ExitCode.OK:
            failures.append(f"{name} FAILED: {one_line(reason(output, code))}")
        if code in ENDED_WELL:
            try:
                runs[name] = read_file(measured)
            except ResultsError as error:
                failures.append(f"{name} FAILED: {error}")
    if not runs:
        say(failures)
        return 1
    run = merged(runs)
    figures = [Figure.of(Recorded.of(b["extra_info"]), b["stats"]) for b in run["benchmarks"]]
    say(["", *table(figures), *failures])
    try:
        say([f"saved as {save(run, storage)}"])
    except OSError as error:
        sys.stderr.write(f"NOT SAVED: {one_line(error)}\n")
        return 1
    return 1 if failures else 0


def _measure(rows: Sequence[str], measured: Path, options: Sequence[str]) -> tuple[int, str]:
    """Measure rows in a fresh process, to the file `measured`; returns its code and output."""
    return run_pytest(
        [
            *("benchmarks/operations", "-q", f"--backend={','.join(rows)}"),
            *(f"-k={' or '.join(OPERATIONS)}", f"--benchmark-json={measured}"),
            f"--cache={WARM}",  # unless the options say otherwise
            *options,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
