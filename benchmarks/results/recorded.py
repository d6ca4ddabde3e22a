"""What a benchmark records of itself beside its durations: pytest-benchmark's `extra_info`.

It is written and read here only. The names of the fields are the keys in saved runs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Self

from . import rounds

MOST = 10**15
"""Images, files, bytes or rounds; who counts more of them has not counted."""
LONGEST = 1e9
"""Seconds that anything here can take."""
PROCESSES = re.compile(r"([1-9][0-9]{0,5}) process(es)?")
"""What the variants of parallel reading are called."""
TEXTS = ("operation", "variant", "backend", "cache", "durability")
COUNTS = ("n", "images_per_round", "files", "apparent_bytes", "allocated_bytes")
OF_ROUNDS = (
    "images_per_second",
    "pixel_megabytes_per_second",
    "microseconds_per_image",
    "rounds_microseconds",
)
"""What `add_rounds` fills in."""


def variant_of(processes: int) -> str:
    """What reading by so many processes is called."""
    return f"{processes} process" + ("es" if processes > 1 else "")


@dataclass
class Recorded:
    """What one benchmark records.

    variant: which of several ways of the operation, "" if there is one
    backend: the row, as `--backend` calls it
    n: images in the store, 1 where the operation does not depend on it
    image_shape: (H, W, C), uint8
    dataset: its identity
    cache: the run's, warm or cold
    durability: what a storing call promised
    files, apparent_bytes, allocated_bytes: of the store that was made or read
    resident_fraction: how much of a cold store was in memory before a round, at most
    images_per_second, pixel_megabytes_per_second, microseconds_per_image: of the median round
    rounds_microseconds: the rounds' durations, as `rounds.pack` writes them
    """

    operation: str
    variant: str
    backend: str
    n: int
    images_per_round: int
    cache: str
    durability: str
    image_shape: Sequence[int] = ()
    dataset: str = ""
    round_budget_seconds: float | None = None
    files: int = 0
    apparent_bytes: int = 0
    allocated_bytes: int = 0
    resident_fraction: float | None = None
    images_per_second: float | None = None
    pixel_megabytes_per_second: float | None = None
    microseconds_per_image: float | None = None
    rounds_microseconds: str | None = None

    def add_rounds(self, seconds: Iterable[float], median: float) -> None:
        """Fill in what the rounds' durations tell; a megabyte is 10**6 bytes."""
        pixel_bytes = self.images_per_round * prod(self.image_shape)
        self.images_per_second = self.images_per_round / median
        self.pixel_megabytes_per_second = pixel_bytes / median / 1e6
        self.microseconds_per_image = median / self.images_per_round * 1e6
        self.rounds_microseconds = rounds.pack(seconds)

    def written(self) -> dict[str, Any]:
        """As `extra_info`, without what was not measured."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """From the `extra_info` that a benchmark of this process has; it may say more."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in info.items() if key in known})

    @classmethod
    def read(cls, info: object) -> Self:
        """From a saved benchmark; raises KeyError, TypeError or ValueError for a damaged one.

        Whatever is drawn, divided or printed later has come through here, and is not doubted again.
        """
        if not isinstance(info, Mapping):
            raise TypeError(f"extra_info {info}")
        for key in TEXTS:
            if not isinstance(info[key], str):
                raise TypeError(f"{key} {info[key]}")
        for key in COUNTS:
            require_count(info[key])
        if not 0 < info["pixel_megabytes_per_second"] <= MOST:
            raise ValueError(f"throughput {info['pixel_megabytes_per_second']}")
        made = cls.of(info)
        if made.operation == "parallel_read" and not PROCESSES.fullmatch(made.variant):
            raise ValueError(f"variant {made.variant}")
        return made

    @property
    def processes(self) -> int | None:
        """That read at the same time, where that is the operation."""
        found = PROCESSES.fullmatch(self.variant)
        return int(found[1]) if found and self.operation == "parallel_read" else None


def is_recorded(info: Mapping[str, Any]) -> bool:
    """Whether a benchmark of this process is one of this suite."""
    return "operation" in info


def round_budget(info: object) -> float | None:
    """Seconds, if a saved benchmark records what can be true, whatever else of it is damaged."""
    budget: Any = info.get("round_budget_seconds") if isinstance(info, Mapping) else None
    if type(budget) in (int, float) and 0 < budget <= LONGEST:  # true is an int, but no time
        return float(budget)
    return None


def require_count(value: object) -> None:
    """Raise ValueError for what does not count anything."""
    if type(value) is not int or not 0 < value <= MOST:  # true is an int, but counts nothing
        raise ValueError(f"count {value}")


@dataclass
class Judged:
    """What the gate records of a benchmark, where a round is a process.

    screening_processes: how many of the processes were of the screen
    processes: the rounds of each, as `rounds.pack` writes them
    gate: what was found
    """

    screening_processes: int
    processes: Sequence[str]
    gate: Mapping[str, Any]

    @classmethod
    def of(
        cls, infos: Iterable[Mapping[str, Any]], screening: int, finding: Mapping[str, Any]
    ) -> Self:
        """From the `extra_info` of each process."""
        return cls(
            screening, [Recorded.of(info).rounds_microseconds or "" for info in infos], finding
        )

    @classmethod
    def read(cls, info: Mapping[str, Any]) -> Self:
        """From what the gate has saved; raises KeyError for anything else."""
        return cls(**{field.name: info[field.name] for field in fields(cls)})

    def written(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """As `extra_info`: what that of one process says, but for its rounds, and this."""
        return {k: v for k, v in info.items() if k not in OF_ROUNDS} | asdict(self)
