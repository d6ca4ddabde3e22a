"""The record of a benchmark besides its durations: pytest-benchmark's `extra_info`.

It is written and read only here. The names of the fields are the keys in saved runs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Self

import numpy as np

from . import rounds

MOST = 10**15
"""The most images, files, bytes or rounds; a larger count is damage."""
LONGEST = 1e9
"""The longest duration, in seconds; a longer one is damage."""
WARM, COLD = "warm", "cold"
"""The cache states of a row."""
PROCESSES = re.compile(r"([1-9][0-9]{0,5}) process(es)?")
"""The names of the variants of parallel reading."""
OF_FILES = "bytes"
"""The variant of reading that returns the files of pictures, or the end of the variant's name."""
TEXTS = ("operation", "variant", "backend", "cache", "durability")
COUNTS = ("n", "images_per_round", "files", "apparent_bytes", "allocated_bytes")
OF_ROUNDS = (
    "images_per_second",
    "pixel_megabytes_per_second",
    "microseconds_per_image",
    "rounds_microseconds",
    "sweep_rounds",
    "sweep_numbers",
)
"""The fields that say what each round took."""


def variant_of(processes: int) -> str:
    """The variant's name for reading by this many processes."""
    return f"{processes} process" + ("es" if processes > 1 else "")


@dataclass
class Recorded:
    """The record of one benchmark.

    variant: the variant of the operation, "" if there is only one
    backend: the row's name, as in `--backend`
    n: images in the store, 1 if the operation does not depend on it
    image_shape: (H, W, C), uint8; () if there are several
    image_bytes: bytes of pixels of an image on average, of those read or stored, if there are several
        shapes
    file_bytes: bytes of a picture's file on average, if the row keeps files; see `OF_FILES`
    decoder: the library that decoded the pictures, with its version, if any was decoded
    dataset: its identity
    cache: cold if the store was evicted from the page cache before each round, else warm
    durability: what a storing call promised
    files, apparent_bytes, allocated_bytes: the size of the store that was made or read
    batch_images: images of a batch, if a `DataLoader` makes them
    first_batch_seconds: in each sweep, from starting its workers to the first batch
    resident_fraction: the largest fraction of a cold store in memory before a round
    images_per_second, pixel_megabytes_per_second, microseconds_per_image: of the median round;
        megabytes are those of pixels, so there are none where files are read undecoded
    rounds_microseconds: the rounds' durations, as `rounds.pack` writes them
    sweep_rounds: how many of them each sweep made; the first are of the first sweep, and so on
    sweep_numbers: which of the run's sweeps those are, from 0, separated by spaces; None if they are
        its first ones
    """

    operation: str
    variant: str
    backend: str
    n: int
    images_per_round: int
    cache: str
    durability: str
    image_shape: Sequence[int] = ()
    image_bytes: float | None = None
    file_bytes: float | None = None
    decoder: str | None = None
    dataset: str = ""
    round_budget_seconds: float | None = None
    files: int = 0
    apparent_bytes: int = 0
    allocated_bytes: int = 0
    batch_images: int | None = None
    first_batch_seconds: Sequence[float] | None = None
    resident_fraction: float | None = None
    images_per_second: float | None = None
    pixel_megabytes_per_second: float | None = None
    microseconds_per_image: float | None = None
    rounds_microseconds: str | None = None
    sweep_rounds: Sequence[int] | None = None
    sweep_numbers: str | None = None

    def add_rounds(self, seconds: Iterable[float], median: float, sweeps: Sequence[int]) -> None:
        """Fill in the fields that depend on the durations; a megabyte is 10**6 bytes."""
        self.images_per_second = self.images_per_round / median
        if not self.is_undecoded:
            pixel_bytes = self.images_per_round * (self.image_bytes or prod(self.image_shape))
            self.pixel_megabytes_per_second = pixel_bytes / median / 1e6
        self.microseconds_per_image = median / self.images_per_round * 1e6
        self.rounds_microseconds = rounds.pack(seconds)
        self.sweep_rounds = [*sweeps]

    @property
    def is_undecoded(self) -> bool:
        """Whether files were read as they are."""
        return self.variant.split(" ")[-1] == OF_FILES

    @property
    def is_cold(self) -> bool:
        return self.cache == COLD

    def rounds_of_sweeps(self) -> dict[int, list[float]] | None:
        """The rounds in seconds, by the number of each sweep; None if damaged or absent."""
        try:
            seconds = rounds.unpack(self.rounds_microseconds or "")
            counts = [*(self.sweep_rounds or ())]
            numbers = [*range(len(counts))]
            if self.sweep_numbers is not None:
                numbers = [int(number) for number in self.sweep_numbers.split()]
            for count in (*counts, *(number + 1 for number in numbers)):
                require_count(count)
        except (AttributeError, TypeError, ValueError):  # not text, not a list, not numbers
            return None
        if not counts or sum(counts) != len(seconds) or len({*numbers}) != len(counts):
            return None
        of_sweeps = np.split(seconds, np.cumsum(counts)[:-1])
        return {n: of.tolist() for n, of in zip(numbers, of_sweeps, strict=True)}

    def written(self) -> dict[str, Any]:
        """The record as `extra_info`, without the fields that were not measured."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """The record in a benchmark's `extra_info` in this process; other keys are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in info.items() if key in known})

    @classmethod
    def read(cls, info: object) -> Self:
        """The record of a saved benchmark; raises KeyError, TypeError or ValueError if damaged.

        Every value that is drawn, divided or printed later is checked here, and not again.
        """
        if not isinstance(info, Mapping):
            raise TypeError(f"extra_info {info}")
        for key in TEXTS:
            if not isinstance(info[key], str):
                raise TypeError(f"{key} {info[key]}")
        for key in COUNTS:
            require_count(info[key])
        made = cls.of(info)
        if made.is_undecoded:  # earlier versions have a throughput that is none
            made.pixel_megabytes_per_second = None
        elif not 0 < info["pixel_megabytes_per_second"] <= MOST:
            raise ValueError(f"throughput {info['pixel_megabytes_per_second']}")
        if made.operation == "parallel_read" and not PROCESSES.fullmatch(
            made.variant.removesuffix(f" {OF_FILES}")
        ):
            raise ValueError(f"variant {made.variant}")
        for seconds in made.first_batch_seconds or ():
            if not 0 < seconds <= LONGEST:
                raise ValueError(f"first batch after {seconds} s")
        return made

    @property
    def bytes_per_image(self) -> float | None:
        """The bytes of pixels of an image, on average; None if they are not recorded, or damaged."""
        try:
            size = float(self.image_bytes or prod(self.image_shape))
        except (TypeError, ValueError):
            return None
        known = bool(self.image_shape or self.image_bytes) and 1 <= size <= MOST
        return size if known else None

    @property
    def processes(self) -> int | None:
        """How many processes read at the same time; None for other operations."""
        found = PROCESSES.fullmatch(self.variant)
        return int(found[1]) if found and self.operation == "parallel_read" else None


def is_recorded(info: Mapping[str, Any]) -> bool:
    """Whether `info` is that of a benchmark of this suite."""
    return "operation" in info


def round_budget(info: object) -> float | None:
    """The recorded seconds if they are plausible, even if other fields are damaged; else None."""
    budget: Any = info.get("round_budget_seconds") if isinstance(info, Mapping) else None
    if type(budget) in (int, float) and 0 < budget <= LONGEST:  # bool is an int, but no time
        return float(budget)
    return None


def require_count(value: object) -> None:
    """Raise ValueError unless `value` is a positive, plausible count."""
    if type(value) is not int or not 0 < value <= MOST:  # bool is an int, but no count
        raise ValueError(f"count {value}")


@dataclass
class Judged:
    """The gate's record of a benchmark, in which each round is a process.

    screening_processes: how many of the processes belong to the screen
    processes: the rounds of each process, as `rounds.pack` writes them
    gate: the finding
    """

    screening_processes: int
    processes: Sequence[str]
    gate: Mapping[str, Any]

    @classmethod
    def of(
        cls, infos: Iterable[Mapping[str, Any]], screening: int, finding: Mapping[str, Any]
    ) -> Self:
        """The record made from the `extra_info` of each process."""
        return cls(
            screening, [Recorded.of(info).rounds_microseconds or "" for info in infos], finding
        )

    @classmethod
    def read(cls, info: Mapping[str, Any]) -> Self:
        """The record in the `extra_info` that the gate saved; raises KeyError for anything else."""
        return cls(**{field.name: info[field.name] for field in fields(cls)})

    def written(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The record as `extra_info`, with that of one process except its rounds."""
        return {k: v for k, v in info.items() if k not in OF_ROUNDS} | asdict(self)
