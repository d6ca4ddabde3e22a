"""How often the gate is right: it is run many times where the answer is known.

    python -m benchmarks.gate.evaluate RECORD self-checks 20 [--load]
    python -m benchmarks.gate.evaluate RECORD injections 20
    python -m benchmarks.gate.evaluate RECORD mutants 1
    python -m benchmarks.gate.evaluate RECORD counts

Each run is the gate as a user starts it. Its verdict is appended to the file RECORD, so that what
was interrupted is taken up again: the numbers are those of runs that RECORD is to hold in the end.
The same measurements are judged, too, as `--benchmark-compare-fail=median:10%` judges two runs of
the suite, one after the other: by one process of each side, that of the base from the first pair
and that of the head from the second.
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
from benchmarks.results.errors import ResultsError
from benchmarks.results.recorded import Judged
from benchmarks.results.runs import read_file

from .decide import Verdict
from .errors import InvalidError
from .process import UTF8, Side
from .run import REPOSITORY
from .trees import git

MUTANTS = Path(__file__).parent / "mutants"
GATE = (sys.executable, "-m", "benchmarks.gate", "--offline")
SIZES = (10, 15, 20, 30)
"""Per cent that are injected."""
STOCK_LIMIT = 0.10
VERDICTS = {0: Verdict.PASS, 1: Verdict.REGRESSED, 2: Verdict.INVALID, 3: Verdict.INCONCLUSIVE}
AUTHOR = ("-c", "user.name=gate", "-c", "user.email=gate@localhost")
"""Of a commit in a clone that is thrown away."""

LOAD = """
import os, random, time
parent = os.getppid()
while os.getppid() == parent:
    stop = time.monotonic() + random.uniform(0.5, 3)
    while time.monotonic() < stop:
        sum(range(10_000))
    time.sleep(random.uniform(0, 1))
"""
"""What another process loads the machine with: one core, in bursts."""


class Target(NamedTuple):
    """A narrowed profile, and the operation that is made slower."""

    backend: str
    cutoff: int
    operation: str


TARGETS = (
    Target("png", 100, "read_many"),
    Target("lmdb", 100, "read_single"),
    Target("hdf5", 1000, "store_many"),
    Target("lmdb", 1000, "read_batch"),
)
"""Taken in turns: slow and fast operations, of each store."""


@dataclass(frozen=True)
class TrialRecord:
    """What one run said.

    commit: of this code
    trial: what it was a run of
    right: the verdict that it should have had
    found: benchmarks called slower
    stock: those that pytest-benchmark would have failed
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
    lines = path.read_text().splitlines() if path.exists() else []
    return [TrialRecord(**json.loads(line)) for line in lines]


def run_gate(
    trial: str, right: Verdict, *arguments: str, loaded: bool, repository: Path = REPOSITORY
) -> TrialRecord:
    """Run the gate once; raises InvalidError where that was interrupted or nothing could be kept."""
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
                process.terminate()  # and let it clear up
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
    """The benchmarks whose medians, in one process and then in another, differ by too much."""
    return [
        base["name"]
        for base, head in zip(*(saved[side]["benchmarks"] for side in Side), strict=True)
        if head["stats"]["data"][1] > base["stats"]["data"][0] * (1 + STOCK_LIMIT)
    ]


@contextmanager
def _load(wanted: bool) -> Iterator[None]:
    """Keep another process busy meanwhile."""
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
    """The whole profile, the same code on both sides."""
    for _ in range(runs):
        yield run_gate("self-check", Verdict.PASS, "--self-check", loaded=loaded)


def injection(size: int, runs: int, done: int, loaded: bool) -> Iterator[TrialRecord]:
    """A profile narrowed to one operation, which is slower on one side by `size` per cent."""
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
    """The whole profile in a clone: the mutant against its parent, or the other way round."""
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


# ---- what came of them -----------------------------------------------------------------------


def counts(records: list[TrialRecord]) -> list[str]:
    """A line for each trial."""
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
    """The runs that are still to be made."""
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
    parser.add_argument("--load", action="store_true", help="while another process loads a core")
    asked = parser.parse_args()
    heed_termination()
    try:
        if asked.what != "counts":
            asked.record.open("a").close()  # says now, not after minutes, that it cannot be kept
        for record in trials(asked, read_records(asked.record)):
            sys.stderr.write(f"{record.trial}: {record.verdict} after {record.seconds} s\n")
            with asked.record.open("a") as file:
                file.write(json.dumps(asdict(record)) + "\n")
    except (InvalidError, OSError, ResultsError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        exit_interrupted()
    say(counts(read_records(asked.record)))


if __name__ == "__main__":
    main()
