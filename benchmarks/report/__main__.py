"""The command line: reads saved runs, and writes the folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.arguments import some_path
from benchmarks.harness.output import say
from benchmarks.harness.text import one_line
from benchmarks.results import machine
from benchmarks.results.errors import ResultsError
from benchmarks.results.pool import pool
from benchmarks.results.runs import SavedRun, load

from . import page
from .changes import Changes
from .csv_table import write_results


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Turn saved runs into a page with figures, and a table for other programs.",
    )
    made.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a file, or a number as pytest-benchmark understands it; by default the newest run, the"
        " one that `pytest --benchmark-compare` takes. Several, of one machine, disk, data and"
        " commit, are pooled",
    )
    made.add_argument(
        "--out",
        type=some_path,
        default=Path("report"),
        metavar="DIR",
        help="folder for index.html, results.csv and the figures; made if needed (report)",
    )
    made.add_argument(
        "--against", metavar="RUN", help="an earlier run; the page shows the changes since then"
    )
    made.add_argument(
        "--sizes",
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs of larger or smaller images on the same machine and disk, for a figure of sizes",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; returns the exit code, 2 if the user has to fix something."""
    options = parser().parse_intermixed_args(arguments)  # RUN may follow options
    try:
        run = pool([load(name) for name in options.runs or (None,)])
        changes = None if options.against is None else Changes.between(load(options.against), run)
        sizes = [_other_size(load(name), run) for name in options.sizes]
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            written = page.write(options.out, run, changes, sizes)
            write_results(options.out / "results.csv", run, changes)
        except OSError as error:
            raise ResultsError(f"--out {options.out}: {error.strerror or error}") from error
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # this is the command line
        return 2
    say([one_line(written)])  # the page exists even if printing fails
    return 0


def _other_size(other: SavedRun, run: SavedRun) -> SavedRun:
    """A run of `--sizes`; raises ResultsError unless only its data are not those of `run`."""
    same_data = {**other.machine, "dataset": run.machine.get("dataset")}
    differing = machine.differences(run.machine, same_data)
    if differing:
        raise ResultsError(f"--sizes {other.name}: it differs in {', '.join(differing)}")
    return other


if __name__ == "__main__":
    sys.exit(main())
