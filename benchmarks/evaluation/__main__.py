"""How often the suite's answers replicate: many runs of one commit, and counts of what they say.

    python -m benchmarks.evaluation RECORD 20
    python -m benchmarks.evaluation RECORD

Each run measures the suite as a user does, and appends what it found to the file RECORD (lines of
JSON, compressed by gzip). The number says how many runs RECORD should hold in the end, so an
interrupted evaluation can be continued; without one, nothing is measured. Then the counts are
printed, with the shares that are wanted. Options of the suite, such as --store-dir, are passed on
to it.

Exits with 0 if all shares are as wanted and there are 20 runs, with 1 if not, and with 2 for an
error.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.harness.arguments import some_path
from benchmarks.harness.interruption import exit_interrupted, heed_termination
from benchmarks.harness.output import say
from benchmarks.results.errors import ResultsError
from benchmarks.results.runs import load

from .counts import beyond_sweeps, rates, table
from .measure import run_suite
from .record import add_record, differences, read_records

FEWEST = 20
"""Runs from which the shares are known well enough."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the runs that are missing, and print the counts; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # it may be an option of the suite
    )
    parser.add_argument("record", type=some_path, metavar="RECORD")
    parser.add_argument("runs", type=int, nargs="?", default=0, metavar="N")
    parser.add_argument(
        "--default-run",
        action="append",
        default=[],
        metavar="RUN",
        help="a saved default run; whether two contradict each other is counted too",
    )
    parser.add_argument(
        "--sweeps", type=_several, metavar="N", help="as for pytest, but at least 2"
    )
    asked, of_suite = parser.parse_known_args(arguments)
    of_suite += [f"--sweeps={asked.sweeps}"] if asked.sweeps else []
    heed_termination()
    try:
        records = read_records(asked.record)
        if asked.runs:
            asked.record.open("a").close()  # fails now, not after minutes, if it is not writable
        for number in range(len(records), asked.runs):
            record = run_suite(number, of_suite)
            if differing := differences(record, (records or [record])[0]):
                raise ResultsError(
                    f"{asked.record} holds runs that do not compare with this one: it differs in"
                    f" {', '.join(differing)}; name another file"
                )
            add_record(asked.record, record)
            records.append(record)
            sys.stderr.write(f"run {number + 1} of {asked.runs}: {record.seconds:.0f} s\n")
        found = rates(records, [load(name).figures for name in asked.default_run])
    except (OSError, ResultsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        exit_interrupted()
    few = f"; {FEWEST} are needed" if len(records) < FEWEST else ""
    spread = beyond_sweeps([record.figures for record in records])
    shown = "unknown" if spread is None else f"{spread:.2%}"
    beyond = f"spread from run to run beyond what sweeps show: {shown}"
    say([*table(found), "", beyond, f"{len(records)} runs{few}"])
    return 0 if all(rate.is_met for rate in found) and not few else 1


def _several(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(
            f"{text!r}; give at least 2, since what is counted comes from ratios within sweeps"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
