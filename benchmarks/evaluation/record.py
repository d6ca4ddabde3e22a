"""What is kept of a run: enough to compute every ratio and verdict again, in less than 100 KB."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self  # Any: for JSON

import numpy as np

from benchmarks.results import machine, rounds
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key
from benchmarks.results.runs import SavedRun
from benchmarks.results.summary import Figure


class KeptRow(NamedTuple):
    """A row of a run.

    images: per round
    allocated_per_image: bytes, if the row is of `store_many`
    microseconds: all rounds, as `rounds.pack` writes them
    rounds: how many of them each sweep made
    numbers: the sweeps' numbers, as in `Recorded.sweep_numbers`
    """

    operation: str
    variant: str
    backend: str
    n: int
    cold: bool
    images: int
    allocated_per_image: float | None
    microseconds: str
    rounds: Sequence[int]
    numbers: str | None = None

    @property
    def key(self) -> Key:
        return Key(*self[:5])


@dataclass(frozen=True)
class Replicate:
    """One run of the suite.

    arguments: the suite's options
    order_seed: of the orders of its sweeps
    machine: what must be the same if runs are compared
    same: the store whose row was measured twice
    slowed: the store of which a second row was measured, slower by a known fraction
    """

    commit: str
    dirty: bool
    arguments: Sequence[str]
    when: str
    order_seed: int
    seconds: float
    machine: Mapping[str, Any]
    same: str
    slowed: str
    rows: Sequence[KeptRow]

    @classmethod
    def of(
        cls,
        run: SavedRun,
        *,
        arguments: Sequence[str],
        order_seed: int,
        seconds: float,
        same: str,
        slowed: str,
    ) -> Self:
        """The record of a run that was measured."""
        return cls(
            commit=str(run.commit.get("id")),
            dirty=bool(run.commit.get("dirty")),
            arguments=[*arguments],
            when=run.when,
            order_seed=order_seed,
            seconds=seconds,
            machine={key: run.machine.get(key) for key in machine.COMPARABLE},
            same=same,
            slowed=slowed,
            rows=[
                KeptRow(
                    *row.key,
                    row.recorded.images_per_round,
                    row.figure.allocated_per_image,
                    row.recorded.rounds_microseconds or "",
                    row.recorded.sweep_rounds or (),
                    row.recorded.sweep_numbers,
                )
                for row in run.rows.values()
            ],
        )

    @classmethod
    def read(cls, line: str) -> Self:
        """The record in a line of a file; raises TypeError or ValueError for any other line."""
        made = cls(**json.loads(line))
        rows = [KeptRow(*row) for row in made.rows]
        return cls(**{**vars(made), "rows": rows})

    def written(self) -> str:
        """The record as a line of a file."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @cached_property
    def figures(self) -> Mapping[Key, Figure]:
        """The figure of each row, as if it were of a saved run."""
        return {row.key: _figure(row) for row in self.rows}

    @cached_property
    def round_microseconds(self) -> Mapping[Key, float]:
        """How long a round of each row takes."""
        images = {row.key: row.images for row in self.rows}
        return {key: images[key] * figure.microseconds for key, figure in self.figures.items()}


def _figure(row: KeptRow) -> Figure:
    found = rounds.unpack(row.microseconds) * 1e6 / row.images
    if min(row.rounds) < 1 or sum(row.rounds) != len(found):
        raise ValueError(f"{len(found)} rounds in sweeps of {row.rounds}")
    sweeps = np.split(found, np.cumsum(row.rounds)[:-1])
    numbers = range(len(sweeps)) if row.numbers is None else map(int, row.numbers.split())
    return Figure(
        operation=row.operation,
        variant=row.variant,
        backend=row.backend,
        n=row.n,
        microseconds=float(np.median(found)),
        rounds=len(found),
        allocated_per_image=row.allocated_per_image,
        sweeps={(0, number): of.tolist() for number, of in zip(numbers, sweeps, strict=True)},
        cold=row.cold,
    )


def add_record(path: Path, record: Replicate) -> None:
    """Append a record to a file of lines, compressed by gzip; raises OSError."""
    with gzip.open(path, "at", encoding="utf-8") as file:
        file.write(record.written() + "\n")


def read_records(path: Path) -> list[Replicate]:
    """The records of a file, which may be empty or not exist; raises ResultsError if damaged.

    So it does if they do not compare with each other.
    """
    lines: list[str] = []
    try:
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines = file.read().splitlines()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ResultsError(f"{path}: {error}") from error
    records: list[Replicate] = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(Replicate.read(line))
            records[-1].figures  # noqa: B018  # it fails now, if at all
        except (TypeError, ValueError) as error:
            raise ResultsError(f"{path}, line {number} is no record of a run: {error}") from error
        if differing := differences(records[-1], records[0]):
            raise ResultsError(
                f"{path}, line {number} is of a run that does not compare with the first: it"
                f" differs in {', '.join(differing)}; give each its own file"
            )
    return records


def differences(one: Replicate, other: Replicate) -> list[str]:
    """Why two runs cannot be evaluated together."""
    found = machine.differences(one.machine, other.machine)
    if (one.commit, one.dirty) != (other.commit, other.dirty):
        found.append("commit")
    if list(one.arguments) != list(other.arguments):
        found.append("options")
    return found
