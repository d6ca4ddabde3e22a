"""A saved run: found where pytest-benchmark finds it, and read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pytest_benchmark.logger import Logger
from pytest_benchmark.utils import load_storage

from benchmarks import rounds
from benchmarks.rows import ROWS
from benchmarks.summary import TITLES, Figure

from .errors import ReportError
from .interval import Interval, median_interval

STORAGE = Path(".benchmarks")
"""pytest-benchmark's default, below the current directory."""
NUMBERED = "[0-9][0-9][0-9][0-9]_"
"""Runs that pytest-benchmark has saved, as it asks for them itself; the numbers rise."""

Key = tuple[str, str, str, int]
"""Operation, variant, back end and n: what tells one row from all others."""


@dataclass(frozen=True)
class Row:
    """One benchmark of a run. All times are microseconds per image.

    rounds: (rounds,) float64, in the order measured, or None in a run of before they were saved
    q1, q3: the quartiles of the rounds
    images: per round
    files, apparent_bytes, allocated_bytes: of the store that was made or read
    """

    figure: Figure
    rounds: NDArray[np.float64] | None = field(compare=False)
    q1: float
    q3: float
    images: int
    pixel_megabytes_per_second: float
    files: int
    apparent_bytes: int
    allocated_bytes: int
    cache: str
    durability: str

    @classmethod
    def of(cls, info: Mapping[str, Any], stats: Mapping[str, Any]) -> Self:
        """From a saved benchmark; raises KeyError, TypeError or ValueError for a damaged one."""
        names = info["operation"], info["variant"], info["backend"]
        counts = info["n"], info["images_per_round"], stats["rounds"]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"names {names}")
        if not all(isinstance(count, int) and count > 0 for count in counts):
            raise ValueError(f"counts {counts}")
        seconds = _durations(np.array([stats["median"], stats["q1"], stats["q3"]], np.float64))
        packed = info.get(rounds.KEY)
        each = None if packed is None else _durations(rounds.unpack(packed))
        images = info["images_per_round"]
        return cls(
            figure=Figure.of(info, stats),
            rounds=None if each is None else each * 1e6 / images,
            q1=float(seconds[1]) / images * 1e6,
            q3=float(seconds[2]) / images * 1e6,
            images=images,
            pixel_megabytes_per_second=float(info["pixel_megabytes_per_second"]),
            files=int(info["files"]),
            apparent_bytes=int(info["apparent_bytes"]),
            allocated_bytes=int(info["allocated_bytes"]),
            cache=str(info["cache"]),
            durability=str(info["durability"]),
        )

    @property
    def key(self) -> Key:
        return self.figure.operation, self.figure.variant, self.figure.backend, self.figure.n

    @cached_property
    def interval(self) -> Interval | None:
        """Of the median."""
        return median_interval(self.rounds)

    @property
    def images_per_second(self) -> float:
        return 1e6 / self.figure.microseconds


def _durations(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """What was given, if it is times that something can take; else raises ValueError."""
    if not ((seconds > 0) & np.isfinite(seconds)).all():
        raise ValueError(f"durations {seconds}")
    return seconds


@dataclass(frozen=True)
class Run:
    """What one file holds.

    name: its number, or the name of a file that has none
    rows: those of back ends and operations that this version has
    strangers: the names of others
    unreadable: the names of benchmarks that are damaged, or not this suite's
    """

    name: str
    when: str
    commit: Mapping[str, Any]
    machine: Mapping[str, Any]
    round_budget: float
    rows: Mapping[Key, Row]
    strangers: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def has_rounds(self) -> bool:
        return all(row.rounds is not None for row in self.rows.values())

    def of(self, operation: str, variant: str = "") -> list[Row]:
        """The rows of one operation, as they were saved."""
        return [row for row in self.rows.values() if row.key[:2] == (operation, variant)]


def find(name: str | None) -> Path:
    """The file of a run: a path, a number, or None for the newest."""
    if name is not None and Path(name).is_file():
        return Path(name)
    if not STORAGE.is_dir():
        raise ReportError(
            f"no runs are saved in {STORAGE}; make one by `pytest benchmarks --benchmark-autosave`"
        )
    logger = Logger(Logger.QUIET)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    storage = load_storage(f"file://{STORAGE}", logger=logger, netrc=None)  # type: ignore[no-untyped-call]
    try:
        found = storage.query(name or NUMBERED)
    except (ValueError, NotImplementedError, OSError):  # neither a file nor a pattern
        found = []
    if not found:
        what = f"run {name!r}" if name else "numbered run"
        raise ReportError(f"no {what} in {STORAGE}; `pytest-benchmark list` shows those there are")
    if name and len(found) > 1:
        some = ", ".join(str(path.relative_to(storage.path)) for path in found[:3])
        raise ReportError(f"{name!r} fits {len(found)} runs: {some}…; give the path of one")
    return Path(found[-1])


def load(name: str | None) -> Run:
    """Read a run; raises ReportError where there is none, or nothing in it can be used."""
    path = find(name)
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path} is damaged: not JSON ({error})") from error
    if not _is_run(saved):
        raise ReportError(f"{path} is not a run that pytest-benchmark has saved")
    number = path.stem.split("_")[0]
    made = _read(saved, number if number.isdigit() else path.stem)
    if not made.rows:
        raise ReportError(f"{path} holds no benchmark that this version of the suite can read")
    return made


def _is_run(saved: object) -> bool:
    return (
        isinstance(saved, dict)
        and isinstance(saved.get("machine_info"), dict)
        and isinstance(saved.get("benchmarks"), list)
        and all(isinstance(bench, dict) for bench in saved["benchmarks"])
    )


def _read(saved: Mapping[str, Any], name: str) -> Run:
    rows: dict[Key, Row] = {}
    strangers: dict[str, None] = {}
    unreadable: list[str] = []
    budget = 0.0
    for bench in saved["benchmarks"]:
        try:
            row = Row.of(bench["extra_info"], bench["stats"])
            budget = float(bench["extra_info"]["round_budget_seconds"])
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            unreadable.append(str(bench.get("name", "one without a name")))
            continue
        unknown = {row.figure.backend} - ROWS.keys() | {row.figure.operation} - TITLES.keys()
        strangers |= dict.fromkeys(sorted(unknown))
        if not unknown:
            rows[row.key] = row
    commit = saved.get("commit_info")
    return Run(
        name=name,
        when=str(saved.get("datetime", "")),
        commit=commit if isinstance(commit, dict) else {},
        machine=saved["machine_info"],
        round_budget=budget,
        rows=rows,
        strangers=tuple(strangers),
        unreadable=tuple(unreadable),
    )
