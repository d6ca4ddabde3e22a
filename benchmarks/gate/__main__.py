"""Whether the working tree made a store slower than another commit did.

    python -m benchmarks.gate --base REV

Both versions are measured here, in turns, so neither the machine nor the time of day matters.
Exits with 0 (pass), 1 (regressed), 2 (invalid) or 3 (inconclusive).
"""

import os
import sys
import textwrap
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness.interruption import exit_interrupted, heed_termination, temporary_directory
from benchmarks.harness.output import say

from . import verdict
from .decide import Finding, Verdict
from .errors import InvalidError
from .judge import MeasuredPair
from .options import Request, parse
from .run import GateRun

CODES = {Verdict.PASS: 0, Verdict.REGRESSED: 1, Verdict.INVALID: 2, Verdict.INCONCLUSIVE: 3}
COLUMNS = 100
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable with GitHub's path of the file for Markdown."""


def main(arguments: list[str] | None = None) -> int:
    """Run the gate; returns the exit code."""
    request = parse(arguments)
    heed_termination()
    try:
        with temporary_directory("gate-") as folder:
            return _run(request, folder)
    except (InvalidError, OSError) as error:
        reason = " ".join(str(error).split())
        _tell(f"{Verdict.INVALID.upper()}: {reason}", [], [])
        return CODES[Verdict.INVALID]
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was judged, and all temporary files are removed\n")
        exit_interrupted()


def _run(request: Request, folder: Path) -> int:
    run = GateRun(request, folder)
    judgement = run.judge(_progress)
    line = verdict.verdict_line(judgement.verdict, judgement.findings, run.base_name)
    _tell(line, judgement.findings, run.notes)
    return CODES[judgement.verdict]


def _tell(line: str, findings: Sequence[Finding], notes: Sequence[str]) -> None:
    wrapped = [part for note in notes for part in _wrapped(note)]
    lines = [*_wrapped(line), *verdict.text_table(findings), *wrapped]
    say(lines)  # the verdict and its exit code stand even if printing fails
    if os.environ.get(STEP_SUMMARY):
        try:
            with Path(os.environ[STEP_SUMMARY]).open(
                "a", encoding="utf-8", errors="backslashreplace"
            ) as summary:
                summary.write(verdict.markdown(line, findings, notes))
        except OSError as error:  # the verdict stands without it
            sys.stderr.write(f"{STEP_SUMMARY}: {error}\n")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, break_on_hyphens=False)


def _progress(what: str, total: int, measured: Iterable[MeasuredPair]) -> Iterator[MeasuredPair]:
    if total and not sys.stderr.isatty():  # in a log, a bar would be a thousand lines
        sys.stderr.write(f"{what}: {total} pairs of measurements\n")
    bar = tqdm(measured, what, total, unit="pair", leave=False, disable=None if total else True)
    yield from bar


def run() -> int:
    """Run `main`; a bug exits as invalid, since Python's own exit code 1 means "regressed"."""
    try:
        return main()
    except Exception:  # any bug; its traceback is printed
        traceback.print_exc()
        return CODES[Verdict.INVALID]


if __name__ == "__main__":
    sys.exit(run())
