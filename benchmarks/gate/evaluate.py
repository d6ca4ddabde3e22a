"""How often the gate is right: many runs of it with a known answer.

    python -m benchmarks.gate.evaluate RECORD self-checks 20 [--load]
    python -m benchmarks.gate.evaluate RECORD injections 20
    python -m benchmarks.gate.evaluate RECORD mutants 1
    python -m benchmarks.gate.evaluate RECORD counts

Each run starts the gate as a user does, and appends its verdict to the file RECORD. The number says
how many runs RECORD should hold in the end, so an interrupted evaluation can be continued. The same
measurements are also judged as `--benchmark-compare-fail=median:10%` judges two runs of the suite,
one after the other: by one process of each side, the base's from the first pair and the head's from
the second.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.arguments import some_path
from benchmarks.harness.interruption import exit_interrupted, heed_termination, temporary_directory
from benchmarks.harness.output import say
from benchmarks.harness.processes import UTF8
from benchmarks.harness.text import one_line
from benchmarks.results.errors import ResultsError
from benchmarks.results.recorded import Judged
from benchmarks.results.runs import read_file

from .decide import Verdict
from .errors import InvalidError
from .process import Side
from .run import REPOSITORY
from .trees import git

MUTANTS = Path(__file__).parent / "mutants"
GATE = (sys.executable, "-m", "benchmarks.gate", "--offline")
SIZES = (10, 15, 20, 30)
"""The slow-downs that are injected, in per cent."""
STOCK_LIMIT = 0.10
VERDICTS = {0: Verdict.PASS, 1: Verdict.REGRESSED, 2: Verdict.INVALID, 3: Verdict.INCONCLUSIVE}
AUTHOR = ("-c", "user.name=gate", "-c", "user.email=gate@localhost")
"""The author of a commit in a temporary clone."""

LOAD = """
import os, random, time
parent = os.getppid()
while os.getppid() == parent:
    stop = time.monotonic() + random.uniform(0.5, 3)
    while time.monotonic() < stop:
        sum(range(10_000))
    time.sleep(random.uniform(0, 1))
"""
"""The program of another process, which loads one core in bursts."""


class Target(NamedTuple):
    """A profile of one back end and n, and the operation that is made slower."""

    backend: str
    cutoff: int
    operation: str


TARGETS = (
    Target("png", 100, "read_many"),
    Target("lmdb", 100, "read_single"),
    Target("hdf5", 1000, "store_many"),
    Target("lmdb", 1000, "read_batch"),
)
"""Used in turn: slow and fast operations of each store."""


@dataclass(frozen=True)
class TrialRecord:
    """The result of one run.

    commit: the commit of this code
    trial: the name of the trial
    right: the correct verdict
    found: benchmarks called slower
    stock: benchmarks that pytest-benchmark would have failed
    """

    commit: str
    trial: str
    loaded: bool
    right: str
    verdict: str
    found: list[str]
    stock: list[str]
    seconds: float


def read_records(path: Path) -> list[TrialRecord]:
    """The records of a file, which may not exist; raises ResultsError if it is damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [TrialRecord(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise ResultsError(f"{one_line(path)} is no record of trials: {error}") from error


def run_gate(
    trial: str, right: Verdict, *arguments: str, loaded: bool, repository: Path = REPOSITORY
) -> TrialRecord:
    """Run the gate once; raises InvalidError if it was interrupted or could not save its files."""
    commit = git(REPOSITORY, "rev-parse", "--short", "HEAD").decode().strip()
    with temporary_directory("gate-evaluation-") as folder, _load(loaded):
        start = time.monotonic()
        with subprocess.Popen(  # noqa: S603  # our own command
            [*GATE, f"--save={folder}", *arguments],
            cwd=repository,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=os.environ | UTF8,
        ) as process:
            try:
                said = process.communicate()[0]
            except KeyboardInterrupt:
                process.terminate()  # and let it clean up
                process.wait()
                raise
        seconds = round(time.monotonic() - start, 1)
        verdict = VERDICTS.get(process.returncode)
        if verdict is Verdict.INVALID:
            sys.stderr.write(said)
            return TrialRecord(commit, trial, loaded, right, str(verdict), [], [], seconds)
        if verdict is None or not any(folder.iterdir()):
            raise InvalidError(f"{trial}: {said.strip() or 'the gate was interrupted'}")
        saved = {side: read_file(next(folder.glob(f"*-{side}.json"))) for side in Side}
    found = [
        bench["name"]
        for bench in saved[Side.HEAD]["benchmarks"]
        if Judged.read(bench["extra_info"]).gate["verdict"] == Verdict.REGRESSED
    ]
    stock = stock_failures(saved)
    return TrialRecord(commit, trial, loaded, right, str(verdict), found, stock, seconds)


def stock_failures(saved: dict[Side, Any]) -> list[str]:
    """The benchmarks with too large a difference between the medians of two processes."""
    return [
        base["name"]
        for base, head in zip(*(saved[side]["benchmarks"] for side in Side), strict=True)
        if head["stats"]["data"][1] > base["stats"]["data"][0] * (1 + STOCK_LIMIT)
    ]


@contextmanager
def _load(wanted: bool) -> Iterator[None]:
    """Keep another process busy within the block, if `wanted`."""
    if not wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", LOAD])  # noqa: S603  # our own command
    try:
        yield
    finally:
        process.kill()
        process.wait()


# ---- the trials ----------------------------------------------------------------------------


def self_checks(runs: int, loaded: bool) -> Iterator[TrialRecord]:
    """Run the whole profile with the same code on both sides."""
    for _ in range(runs):
        yield run_gate("self-check", Verdict.PASS, "--self-check", loaded=loaded)


def injection(size: int, runs: int, done: int, loaded: bool) -> Iterator[TrialRecord]:
    """Run a profile of one operation, which is slower on one side by `size` per cent."""
    for i in range(done, done + runs):
        target = TARGETS[i % len(TARGETS)]
        yield run_gate(
            f"injected {size}%",
            Verdict.REGRESSED,
            "--self-check",
            f"--inject={size}%",
            f"--into={target.operation}",
            f"--backend={target.backend}",
            f"--cutoff={target.cutoff}",
            f"-k={target.operation}",
            loaded=loaded,
        )


def mutant(patch: Path, loaded: bool, undone: bool) -> TrialRecord:
    """Run the whole profile in a clone: the mutant against its parent, or the reverse."""
    with temporary_directory("gate-mutant-") as folder:
        clone = folder / "clone"
        git(REPOSITORY, "clone", "--quiet", "--shared", str(REPOSITORY), str(clone))
        git(clone, "apply", str(patch))
        if undone:
            git(clone, *AUTHOR, "commit", "--quiet", "--all", "--message", patch.stem)
            git(clone, "apply", "--reverse", str(patch))
        trial = f"{patch.stem}{', undone' if undone else ''}"
        right = Verdict.PASS if undone else Verdict.REGRESSED
        return run_gate(trial, right, "--base=HEAD", loaded=loaded, repository=clone)


# ---- the results -----------------------------------------------------------------------------


def counts(records: list[TrialRecord]) -> list[str]:
    """The lines of a table with one row per trial."""
    said = (Verdict.PASS, Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.INVALID)
    heads = ("trial", "runs", "right", *map(str, said), "stock", "s")
    rows: list[tuple[str, ...]] = [heads]
    for trial, loaded in dict.fromkeys((record.trial, record.loaded) for record in records):
        chosen = [r for r in records if (r.trial, r.loaded) == (trial, loaded)]
        verdicts = Counter(record.verdict for record in chosen)
        rows.append(
            (
                trial + (", loaded" if loaded else ""),
                str(len(chosen)),
                str(sum(record.verdict == record.right for record in chosen)),
                *(str(verdicts[verdict]) for verdict in said),
                str(sum(bool(record.stock) for record in chosen)),
                f"{sum(record.seconds for record in chosen) / len(chosen):.0f}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return [
        "  ".join(
            f"{cell:>{width}}" if i else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def trials(asked: argparse.Namespace, records: list[TrialRecord]) -> Iterator[TrialRecord]:
    """Make the runs that are missing in `records`."""
    done = Counter(r.trial for r in records if r.loaded == asked.load)
    match asked.what:
        case "self-checks":
            yield from self_checks(asked.runs - done["self-check"], asked.load)
        case "injections":
            for size in SIZES:
                already = done[f"injected {size}%"]
                yield from injection(size, asked.runs - already, already, asked.load)
        case "mutants":
            for patch in sorted(MUTANTS.glob("*.patch")):
                for undone in (False, True):
                    already = done[patch.stem + (", undone" if undone else "")]
                    for _ in range(asked.runs - already):
                        yield mutant(patch, asked.load, undone)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", type=some_path, metavar="RECORD")
    parser.add_argument("what", choices=("self-checks", "injections", "mutants", "counts"))
    parser.add_argument("runs", type=int, nargs="?", default=0, metavar="N")
    parser.add_argument("--load", action="store_true", help="load a core with another process")
    asked = parser.parse_args()
    heed_termination()
    try:
        if asked.what != "counts":
            asked.record.open("a").close()  # fails now, not after minutes, if it is not writable
        for record in trials(asked, read_records(asked.record)):
            sys.stderr.write(f"{record.trial}: {record.verdict} after {record.seconds} s\n")
            with asked.record.open("a") as file:
                file.write(json.dumps(asdict(record)) + "\n")
        say(counts(read_records(asked.record)))
    except (InvalidError, OSError, ResultsError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        exit_interrupted()


if __name__ == "__main__":
    main()
