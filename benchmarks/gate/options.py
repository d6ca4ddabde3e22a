"""The command line of the gate."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.contenders.rows import DEFAULT_STORES, STORE_ROWS
from benchmarks.harness.arguments import some_path, some_text
from benchmarks.harness.loader import why_left_out
from benchmarks.harness.options import parse_cutoffs, parse_dataset, parse_rows, parse_store_dir

from .decide import FEWEST_SCREENED
from .process import Injection
from .profile import CUTOFFS, OTHER_OPERATIONS, PAIRS, names
from .saved import FOLDER

EXIT_CODES = "exit codes: 0 pass, 1 regressed, 2 invalid, 3 inconclusive, 130 interrupted"


@dataclass(frozen=True)
class Request:
    """The parsed command line.

    base: a revision; None to compare the working tree with itself
    rows: the rows to measure; None for the default stores
    """

    base: str | None
    rows: tuple[str, ...] | None
    cutoffs: tuple[int, ...]
    keyword: str
    dataset: str
    offline: bool
    store_dir: Path | None
    pairs: int
    all_cores: bool
    expected: tuple[str, ...]
    injection: Injection | None
    save: Path


def parse(arguments: list[str] | None) -> Request:
    """Parse the command line; for an invalid one, exit with a line and exit code 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        rows = None if given.backend is None else _parse_stores(given.backend)
        cutoffs = parse_cutoffs(given.cutoff) or CUTOFFS
        store_dir = parse_store_dir(given.store_dir)
        dataset = parse_dataset(given.dataset)
    except pytest.UsageError as error:
        parser.error(str(error))
    if given.pairs < FEWEST_SCREENED:
        parser.error(f"--pairs: {given.pairs}; fewer than {FEWEST_SCREENED} show nothing")
    if names(given.keyword, "loader") and (why := why_left_out(cold=False)):
        parser.error(f"-k: {why}")
    if given.into is not None and given.inject is None:
        parser.error("--into: give --inject, too")
    injection = None if given.inject is None else Injection(given.inject, given.into or "read_many")
    return Request(
        base=given.base,
        rows=rows,
        cutoffs=cutoffs,
        keyword=given.keyword,
        dataset=dataset,
        offline=given.offline,
        store_dir=store_dir,
        pairs=given.pairs,
        all_cores=given.all_cores,
        expected=tuple(given.expect),
        injection=injection,
        save=given.save,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate",
        description="Tells whether the working tree made any store slower than a commit did.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    against = parser.add_mutually_exclusive_group(required=True)
    against.add_argument("--base", metavar="REV", help="the commit to compare with")
    against.add_argument(
        "--self-check", action="store_true", help="compare the working tree with itself"
    )
    parser.add_argument(
        "--backend",
        metavar="NAMES",
        help=f"the rows to measure, as for pytest; by default {', '.join(DEFAULT_STORES)}",
    )
    usual = ",".join(map(str, CUTOFFS))
    parser.add_argument("--cutoff", metavar="NUMBERS", help=f"numbers of images ({usual})")
    parser.add_argument(
        "-k",
        dest="keyword",
        default="",
        metavar="WORDS",
        help="choose benchmarks, as for pytest; without the name of one of"
        f" {', '.join(OTHER_OPERATIONS)} among the words, those are left out, and without the word"
        " cold, the rows that read cold stores",
    )
    parser.add_argument(
        "--expect",
        type=some_text,
        action="append",
        default=[],
        metavar="NAME",
        help="benchmarks with this in their names may be missing on one side; may be repeated",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=PAIRS,
        metavar="N",
        help=f"pairs of processes in the screen ({PAIRS})",
    )
    parser.add_argument(
        "--all-cores",
        action="store_true",
        help="let a store's threads use every core: noisier, but shows what threads gain",
    )
    parser.add_argument("--dataset", default="cifar10", metavar="NAME|PATH", help="as for pytest")
    parser.add_argument("--offline", action="store_true", help="never download CIFAR-10")
    parser.add_argument(
        "--store-dir", metavar="DIR", help="directory for stores; by default on a RAM disk"
    )
    parser.add_argument(
        "--save",
        type=some_path,
        default=FOLDER,
        metavar="DIR",
        help=f"directory for the measurements ({FOLDER})",
    )
    parser.add_argument(
        "--inject",
        type=_percentage,
        metavar="PERCENT",
        help="slow the working tree's side down by this much, such as 15%%, to test the gate",
    )
    parser.add_argument(
        "--into",
        type=some_text,
        metavar="NAME",
        help="inject into benchmarks with this in their names (read_many)",
    )
    return parser


def _parse_stores(text: str) -> tuple[str, ...]:
    """The stores that `--backend` selects; raises pytest.UsageError for other rows."""
    rows = parse_rows(text)
    others = [row for row in rows if row not in STORE_ROWS]
    if others:
        raise pytest.UsageError(
            f"--backend: the code of {', '.join(others)} is the working tree's on both sides, so"
            f" nothing could be found; choose among {', '.join(STORE_ROWS)}"
        )
    return rows


def _percentage(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}; give a percentage above 0, such as 15%")
    return percent / 100
