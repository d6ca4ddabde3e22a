"""Saved runs: finding them as pytest-benchmark does, and reading them."""

import json
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray
from pytest_benchmark.logger import Logger
from pytest_benchmark.utils import get_machine_id, load_storage

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import FILE_ROWS, ROWS, TWINS
from benchmarks.harness.text import one_line

from . import rounds
from .errors import ResultsError
from .keys import SKIPPED, Key, SkippedRow
from .ratio import Interval, Ratio
from .recorded import LONGEST, Recorded, require_count, round_budget
from .summary import TITLES, Figure

STORAGE = Path(".benchmarks")
"""pytest-benchmark's default, below the current directory."""
NUMBERED = "[0-9][0-9][0-9][0-9]_"
"""pytest-benchmark's own pattern for the runs that it has saved; the numbers rise."""
INTERRUPTED = "interrupted"
"""The key of a saved run that ended early, with the reason; and the start of its file's name.

Without a number, neither `--benchmark-compare` nor the report takes it for the newest run.
"""

BRIEFEST = 1e-9
"""The shortest duration of a round, in seconds."""
ROUNDED = 1e-3
"""The largest relative error of the median of saved rounds, which have four digits."""


@dataclass(frozen=True)
class Row:
    """One benchmark of a run. Times are microseconds per image, or per call if calls are timed.

    rounds: (rounds,) float64, in the order measured; None if they are damaged, or in a run from
        before they were saved
    q1, q3: the quartiles of the rounds
    recorded: the benchmark's own record
    """

    figure: Figure
    rounds: NDArray[np.float64] | None = field(compare=False)
    q1: float
    q3: float
    recorded: Recorded

    @classmethod
    def of(cls, info: object, stats: Mapping[str, Any]) -> Self:
        """The row of a saved benchmark; raises KeyError, TypeError or ValueError if damaged."""
        recorded = Recorded.read(info)
        _check(stats)
        seconds = _rounds(recorded, stats)
        images = recorded.images_per_round
        if seconds is None:
            recorded = replace(recorded, rounds_microseconds=None)
        return cls(
            figure=Figure.of(recorded, stats),
            rounds=None if seconds is None else seconds * 1e6 / images,
            q1=stats["q1"] / images * 1e6,
            q3=stats["q3"] / images * 1e6,
            recorded=recorded,
        )

    @property
    def key(self) -> Key:
        return Key.of(self.recorded)

    @cached_property
    def interval(self) -> Interval | None:
        """The confidence interval of the figure, from its sweeps; None if there is one only."""
        alone = Ratio.within(self.figure.sweeps, dict.fromkeys(self.figure.sweeps, (1.0,)))
        return alone.interval if alone else None


def _check(stats: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError for impossible statistics of pytest-benchmark."""
    require_count(stats["rounds"])
    quartiles = [stats[key] for key in ("q1", "median", "q3")]
    if bool in map(type, quartiles):
        raise TypeError(f"quartiles {quartiles}")
    if not all(BRIEFEST <= seconds <= LONGEST for seconds in quartiles):  # also refuses NaN
        raise ValueError(f"quartiles {quartiles}")
    if not np.allclose(quartiles, sorted(quartiles), rtol=1e-9, atol=0):  # allows for rounding
        raise ValueError(f"quartiles {quartiles}")


def _rounds(recorded: Recorded, stats: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """The durations of a benchmark's rounds in seconds; None if absent or unlike its median."""
    try:
        seconds = rounds.unpack(recorded.rounds_microseconds or "")
    except (AttributeError, ValueError):  # not text, or not numbers
        return None
    possible = ((seconds >= BRIEFEST) & (seconds <= LONGEST)).all()
    if len(seconds) != stats["rounds"] or not possible:
        return None
    return (
        seconds if np.isclose(np.median(seconds), stats["median"], rtol=ROUNDED, atol=0) else None
    )


@dataclass(frozen=True)
class SavedRun:
    """The content of one file. All its text is safe to print and to save.

    name: its number, or the file's name if it has no number
    round_budget: seconds, or None if not recorded
    rows: the rows of back ends and operations that this version knows
    strangers: the names of back ends and operations that it does not know
    unreadable: the names of benchmarks that are damaged, duplicates, or not this suite's
    skipped: the rows that the run could not measure
    interruption: why the run ended before all was measured, "" if it did not
    """

    name: str
    when: str
    commit: Mapping[str, Any]
    machine: Mapping[str, Any]
    round_budget: float | None
    rows: Mapping[Key, Row]
    strangers: tuple[str, ...]
    unreadable: tuple[str, ...]
    skipped: tuple[SkippedRow, ...] = ()
    interruption: str = ""

    @property
    def figures(self) -> dict[Key, Figure]:
        """The figure of each row."""
        return {key: row.figure for key, row in self.rows.items()}

    def of(self, operation: str, variant: str = "") -> list[Row]:
        """The rows of one operation, in the order saved: the warm ones, or if none are, the cold."""
        rows = [row for row in self.rows.values() if row.key[:2] == (operation, variant)]
        return [row for row in rows if not row.key.cold] or rows


def find(name: str | None) -> Path:
    """The file of a run, by its path or number, or of the newest run for None.

    The newest is the one that `pytest --benchmark-compare` takes: the last number in the folder of
    this system and Python. pytest-benchmark numbers each such folder separately, so numbers do not
    order runs of different folders; another folder's run is taken only if it is the only match. A
    run that was interrupted has no number, and has to be named.
    """
    if name is not None and _is_file(name):
        return Path(name)
    if not STORAGE.is_dir():
        raise ResultsError(
            f"no runs are saved in {STORAGE}; run `pytest benchmarks --benchmark-autosave`"
        )
    if name == "":  # from an unset shell variable
        raise ResultsError(
            "the name of the run is empty; `pytest-benchmark list` shows the saved runs"
        )
    wanted = NUMBERED if name is None else name
    own = _query(wanted, get_machine_id())  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    if own and name is None:
        return own[-1]
    found = own or _query(wanted, None)
    if not found:
        what = "numbered run" if name is None else f"run {name!r}"
        raise ResultsError(f"no {what} in {STORAGE}; `pytest-benchmark list` shows the saved runs")
    if len(found) > 1:
        why = (
            f"none of {len(found)} runs is of this system and Python"
            if name is None
            else f"{name!r} fits {len(found)} runs"
        )
        some = ", ".join(str(path.relative_to(STORAGE.resolve())) for path in found[:3])
        raise ResultsError(f"{why}: {some}…; give the path of one")
    return found[0]


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long, or in an unreadable folder
        return False


def _query(wanted: str, machine: str | None) -> list[Path]:
    """The files that pytest-benchmark finds in one machine's folder or in all, by rising number."""
    storage = load_storage(  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        f"file://{STORAGE}",
        logger=Logger(Logger.QUIET),  # type: ignore[no-untyped-call]  # nor has its logger
        default_machine_id=machine,
        netrc=None,
    )
    try:
        return [Path(path) for path in storage.query(wanted)]
    except (ValueError, NotImplementedError, OSError):  # neither a file nor a pattern
        return []


def load(name: str | None) -> SavedRun:
    """Read a run; raises ResultsError if there is none, or if nothing in it can be used."""
    path = find(name)
    number = path.stem.split("_")[0]
    made = _read(read_file(path), one_line(number if number.isdigit() else path.stem))
    if not made.rows:
        raise ResultsError(f"{path} holds no benchmark that this version of the suite can read")
    return made


def read_file(path: Path) -> dict[str, Any]:
    """The content of a file that pytest-benchmark wrote; raises ResultsError for other files."""
    try:
        saved = _printable(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is damaged: not JSON ({error})") from error
    if not is_run(saved):
        raise ResultsError(f"{path} is not a run that pytest-benchmark has saved")
    return saved


def _printable(value: Any) -> Any:
    """A file's JSON, with every string in it made one line."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {one_line(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


def is_run(saved: object) -> TypeGuard[dict[str, Any]]:
    """Whether a file's JSON is a run's, as far as it is looked at here."""
    return (
        isinstance(saved, dict)
        and isinstance(saved.get("machine_info"), dict)
        and isinstance(saved.get("benchmarks"), list)
        and all(isinstance(bench, dict) for bench in saved["benchmarks"])
    )


def _read(saved: Mapping[str, Any], name: str) -> SavedRun:
    rows: dict[Key, Row] = {}
    strangers: dict[str, None] = {}
    unreadable: list[str] = []
    for bench in saved["benchmarks"]:
        try:
            row = Row.of(bench["extra_info"], bench["stats"])
        except (KeyError, TypeError, ValueError):
            row = None
        if row is None or row.key in rows:
            unreadable.append(str(bench.get("name", "one without a name")))
            continue
        unknown = {row.figure.backend} - _known_rows() | {row.figure.operation} - TITLES.keys()
        strangers |= dict.fromkeys(sorted(unknown))
        if not unknown:
            rows[row.key] = row
    commit, when = saved.get("commit_info"), saved.get("datetime")
    infos = (bench.get("extra_info") for bench in saved["benchmarks"])
    return SavedRun(
        name=name,
        when=when if isinstance(when, str) else "",
        commit=commit if isinstance(commit, dict) else {},
        machine=saved["machine_info"],
        # All benchmarks have the same option, but some may be damaged.
        round_budget=next(filter(None, map(round_budget, infos)), None),
        rows=rows,
        strangers=tuple(strangers),
        unreadable=tuple(unreadable),
        skipped=tuple(_skipped(saved.get(SKIPPED))),
        interruption=str(saved.get(INTERRUPTED, "")),
    )


def _known_rows() -> Set[str]:
    return ROWS.keys() | FILE_ROWS.keys() | TWINS.keys() | PEERS.keys()


def _skipped(saved: object) -> Iterator[SkippedRow]:
    """The skipped rows of back ends that this version knows; damaged ones are left out."""
    for one in saved if isinstance(saved, list) else ():
        with suppress(KeyError, TypeError, ValueError):
            found = SkippedRow.read(one)
            if found.key.backend in _known_rows() and found.key.operation in TITLES:
                yield found
