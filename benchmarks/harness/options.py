"""The command-line options of the suite, and their checks."""

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import (
    DEFAULT_PICTURE_ROWS,
    DEFAULT_ROWS,
    FILE_ROWS,
    ROWS,
    STORE_ROWS,
    find_row,
)
from benchmarks.datasets import Images, PictureOptions, is_folder_of_pictures
from storage.images.decoding import IMAGE_MODES, MAX_PIXELS, ORIENTATIONS

from .loader import ALL_SETTINGS, USUAL_SETTINGS, LoaderSetting
from .protocol import MAX_ROUNDS
from .text import one_line

CUTOFFS = (10, 100, 1_000, 10_000, 100_000)
PICTURE_CUTOFFS = CUTOFFS[1:]
"""Of a folder of pictures; decoding ten takes too long for the few that they tell."""
SMALL_CUTOFFS = (10, 100)
"""The cutoffs with `--benchmark-disable`, where every benchmark runs once, untimed."""
CIFAR_SIDE, LARGEST_SIDE = 32, 4096
USUAL_BYTES = 100_000 * CIFAR_SIDE**2 * 3
"""The most pixel bytes that a usual cutoff may have: those of 100,000 CIFAR-10 images."""

COLD_OPERATIONS, COLD_CUTOFF = ("read_single", "read_many", "read_batch"), 1_000
"""With `--cache=both`, these operations are measured cold too, at the largest n up to this one: with
more files than that, evicting a store takes most of the run.
"""

SWEEPS, PICTURE_SWEEPS = 20, 12
"""With five, a single disturbed one would hide a difference of 10 %; see `report/README.md`. Of a folder
of pictures there are so many rows that a run of twenty takes over ten minutes.
"""

LONGEST_BUDGET = 86_400
"""Seconds; a day."""
MOST_DIGITS = 18
"""The most digits of a number of images or pixels; Python refuses to read some thousands."""

USUAL_COMMITS, MOST_COMMITS = 1_000, 10_000
"""The most commits of one image that a benchmark makes; the second where `--cutoff` is given, since
10,000 of them take a fifth of a whole run.
"""


@dataclass(frozen=True)
class Options:
    """The options of a run, checked as far as possible without the data set."""

    dataset: str
    offline: bool
    rows: tuple[str, ...]
    image_size: int  # height and width in pixels
    cutoffs: tuple[int, ...] | None  # None: the usual ones that the data set has images for
    store_dir: Path | None  # None: the system's directory for temporary files
    round_budget: float
    sweeps: int
    cache: str  # warm, cold, or both: warm, and at one cutoff cold too
    durable: bool
    timed: bool
    loaders: tuple[LoaderSetting, ...] = USUAL_SETTINGS
    pictures: PictureOptions = field(default_factory=PictureOptions)

    @property
    def usual_cutoffs(self) -> tuple[int, ...]:
        """The cutoffs if none are given."""
        if not self.timed:
            return SMALL_CUTOFFS
        image_bytes = self.image_size**2 * 3
        return tuple(n for n in CUTOFFS if n * image_bytes <= USUAL_BYTES) or CUTOFFS[:1]

    def cold_at(self, operation: str, cutoffs: Sequence[int]) -> frozenset[int]:
        """The cutoffs at which an operation that reads is measured cold."""
        if self.cache == "cold":
            return frozenset(cutoffs)
        if self.cache == "warm" or operation not in COLD_OPERATIONS:
            return frozenset()
        return frozenset([max((n for n in cutoffs if n <= COLD_CUTOFF), default=min(cutoffs))])

    def states(self, operation: str, cutoffs: Sequence[int]) -> list[tuple[int, bool]]:
        """The cutoffs at which an operation that reads is measured, each with whether it is cold.

        Cold comes after warm, so that the two are measured within seconds of each other.
        """
        cold = self.cold_at(operation, cutoffs)
        states = ((n, is_cold) for n in cutoffs for is_cold in (False, True))
        return [(n, c) for n, c in states if (n in cold if c else self.cache != "cold")]


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("image storage benchmark")
    group.addoption(
        "--dataset",
        default="cifar10",
        metavar="NAME|PATH",
        help="cifar10 (default), standin, or the path of a folder of pictures, or of a directory or"
        " archive of CIFAR batches",
    )
    add_picture_options(group)
    group.addoption(
        "--image-size",
        default=str(CIFAR_SIDE),
        metavar="PIXELS",
        help=f"height and width of the stand-in's images, with --dataset standin ({CIFAR_SIDE})",
    )
    group.addoption(
        "--offline",
        action="store_true",
        help="never download CIFAR-10; implied by --benchmark-disable",
    )
    group.addoption(
        "--backend",
        metavar="NAMES",
        help=f"the rows to measure, separated by commas, from {', '.join((*ROWS, *FILE_ROWS))}, and the"
        f" peers {', '.join(PEERS)}; by default {', '.join(DEFAULT_ROWS)}, and of pictures"
        f" {', '.join(DEFAULT_PICTURE_ROWS)}",
    )
    group.addoption(
        "--twin",
        metavar="NAMES",
        help=argparse.SUPPRESS,  # measures these stores' rows twice, to show the noise of the run
    )
    group.addoption(
        "--cutoff",
        metavar="NUMBERS",
        help="only these numbers of images, separated by commas; by default"
        f" {', '.join(map(str, CUTOFFS))}, and with --benchmark-disable"
        f" {', '.join(map(str, SMALL_CUTOFFS))}",
    )
    group.addoption(
        "--store-dir",
        metavar="DIR",
        help="an existing directory on the disk to measure; by default the one for temporary files",
    )
    group.addoption(
        "--round-budget",
        default="0.2",
        metavar="SECONDS",
        help="time for the rounds of one benchmark (0.2); at least three are run",
    )
    group.addoption(
        "--sweeps",
        metavar="N",
        help=f"passes over all benchmarks among which the rounds are divided ({SWEEPS}; of a folder of"
        f" pictures {PICTURE_SWEEPS})",
    )
    group.addoption(
        "--cache",
        choices=("both", "warm", "cold"),
        default="both",
        help="only rows that read stores from the page cache (warm), or only ones that read stores"
        f" evicted from it (cold), or warm, and {', '.join(COLD_OPERATIONS)} at one n cold too (both,"
        " the default)",
    )
    group.addoption(
        "--durability",
        choices=("durable", "buffered"),
        default="durable",
        help="whether a storing call returns when the disk has its data (durable, the default) or"
        " when the operating system has it (buffered)",
    )
    group.addoption(
        "--loader",
        choices=("usual", "all"),
        default="usual",
        help="PyTorch's DataLoader with 0, 1, 2 and 4 forked workers and batches of 256 (usual, the"
        " default), or with spawned workers and batches of 64 too (all)",
    )


def add_picture_options(group: pytest.OptionGroup) -> None:
    """The options for --dataset with a folder of pictures."""
    group.addoption(
        "--image-mode",
        choices=IMAGE_MODES,
        default="rgb",
        help="pictures as RGB (rgb, the default), or with 1 to 4 channels as they are (keep)",
    )
    group.addoption(
        "--orientation",
        choices=ORIENTATIONS,
        default="apply",
        help="whether pictures are turned by their EXIF or TIFF orientation (apply, the default)",
    )
    group.addoption(
        "--max-pixels",
        default=str(MAX_PIXELS),
        metavar="PIXELS",
        help=f"refuse pictures of more pixels ({MAX_PIXELS})",
    )
    group.addoption(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="stop at a picture that is refused (the default), or leave it out and list it (skip)",
    )
    group.addoption(
        "--allow-empty", action="store_true", help="allow class folders without pictures"
    )


def _picture_options(config: pytest.Config) -> PictureOptions:
    most = config.getoption("max_pixels")
    if not _is_count(most):
        raise pytest.UsageError(f"--max-pixels: {most!r}; give a whole number of pixels from 1 on")
    return PictureOptions(
        mode=config.getoption("image_mode"),
        orientation=config.getoption("orientation"),
        max_pixels=int(most),
        skip=config.getoption("on_error") == "skip",
        allow_empty=config.getoption("allow_empty"),
    )


def choose_rows(rows: tuple[str, ...], images: Images) -> tuple[str, ...]:
    """The rows that can hold the images; raises pytest.UsageError if the user named another."""
    suited = tuple(name for name in rows if find_row(name).holds(images))
    if suited != rows and rows != DEFAULT_ROWS:
        left_out = ", ".join(name for name in rows if name not in suited)
        files = " (files and limit-encoded need a folder of pictures, --dataset=DIR)"
        why = files if FILE_ROWS.keys() & {*rows} else ""
        raise pytest.UsageError(f"--backend: {left_out} cannot hold images of these shapes{why}")
    return suited


def choose_picture_rows(rows: tuple[str, ...], options: PictureOptions) -> tuple[str, ...]:
    """As `choose_rows`, for a folder of pictures, which has other rows by default."""
    usual = len(DEFAULT_ROWS)
    if rows[:usual] == DEFAULT_ROWS:
        rows = DEFAULT_PICTURE_ROWS + rows[usual:]
    if unsuited := [name for name in rows if find_row(name).for_pictures(options) is None]:
        raise pytest.UsageError(
            f"--backend: {', '.join(unsuited)} cannot hold a folder of pictures"
        )
    return rows


def read_options(config: pytest.Config) -> Options:
    """Collect and check the options; raises pytest.UsageError."""
    disabled = config.getoption("benchmark_disable") and not config.getoption("benchmark_enable")
    # As in pytest-benchmark: under pytest-xdist tests run in parallel, so nothing can be timed.
    disabled |= config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ
    check_benchmark_options(config)
    dataset = parse_dataset(config.getoption("dataset"))
    usual_sweeps = PICTURE_SWEEPS if is_folder_of_pictures(dataset) else SWEEPS
    return Options(
        dataset=dataset,
        offline=config.getoption("offline") or disabled,
        image_size=_image_size(config.getoption("image_size")),
        rows=parse_rows(config.getoption("backend")) + _twin(config.getoption("twin")),
        cutoffs=parse_cutoffs(config.getoption("cutoff")),
        store_dir=parse_store_dir(config.getoption("store_dir")),
        round_budget=_seconds(config.getoption("round_budget")),
        sweeps=1 if disabled else _sweeps(config.getoption("sweeps"), usual_sweeps),
        cache=config.getoption("cache"),
        durable=config.getoption("durability") == "durable",
        timed=not disabled,
        loaders=ALL_SETTINGS if config.getoption("loader") == "all" else USUAL_SETTINGS,
        pictures=_picture_options(config),
    )


def check_benchmark_options(config: pytest.Config) -> None:
    """Raise pytest.UsageError for values that pytest-benchmark would misunderstand.

    With an empty one it would save to the current directory, and compare with nothing.
    """
    for option in ("--benchmark-storage", "--benchmark-compare"):
        value = config.getoption(option.strip("-").replace("-", "_"), None)
        if value in ("", "file://"):
            raise pytest.UsageError(f"{option}: {value!r} names nothing")
    if config.getoption("benchmark_cprofile", None):
        raise pytest.UsageError(
            "--benchmark-cprofile: rounds of several rows take turns, so none is profiled; run"
            " python -m cProfile on a script of your own"
        )
    scheme, separator, _ = str(config.getoption("benchmark_storage", "")).partition("://")
    if separator and scheme != "file" and not scheme.startswith("elasticsearch+"):
        raise pytest.UsageError(f"--benchmark-storage: there is no kind {scheme!r}; give a path")


def parse_dataset(text: str) -> str:
    """The value of `--dataset`; raises pytest.UsageError for "", the current folder to Path."""
    if not text:
        raise pytest.UsageError("--dataset: '' names no data set; give cifar10, standin or a path")
    return text


def _image_size(text: str) -> int:
    if not _is_count(text) or int(text) > LARGEST_SIDE:
        raise pytest.UsageError(
            f"--image-size: {text!r}; give a whole number of pixels up to {LARGEST_SIDE}"
        )
    return int(text)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) > 0


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST_BUDGET:
            return seconds
    raise pytest.UsageError(
        f"--round-budget: {text!r}; give a positive number of seconds, up to {LONGEST_BUDGET}"
    )


def _sweeps(text: str | None, usual: int) -> int:
    if text is None:
        return usual
    if not _is_count(text) or int(text) > MAX_ROUNDS:
        raise pytest.UsageError(f"--sweeps: {text!r}; give a whole number from 1 to {MAX_ROUNDS}")
    return int(text)


def parse_rows(text: str | None) -> tuple[str, ...]:
    """The rows that `--backend` selects, in the order of the tables; raises pytest.UsageError."""
    if text is None:
        return DEFAULT_ROWS
    names = [name.strip() for name in text.split(",")]
    known = (*ROWS, *FILE_ROWS, *PEERS)
    for name in names:
        if name not in known:
            raise pytest.UsageError(
                f"--backend: there is no {name!r}; choose among {', '.join(known)}"
            )
        try:
            find_row(name)
        except ImportError as error:
            raise pytest.UsageError(f"--backend: {one_line(error)}") from error
    return tuple(row for row in known if row in names)


def _twin(text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(dict.fromkeys(map(str.strip, text.split(","))))
    for name in names:
        if name not in STORE_ROWS:
            raise pytest.UsageError(
                f"--twin: there is no store {name!r}; choose among {', '.join(STORE_ROWS)}"
            )
    return tuple(f"{name}-twin" for name in names)


def parse_cutoffs(text: str | None) -> tuple[int, ...] | None:
    """The cutoffs that `--cutoff` selects, in ascending order; raises pytest.UsageError."""
    if text is None:
        return None
    cutoffs = set()
    for number in map(str.strip, text.split(",")):
        if not _is_count(number):
            raise pytest.UsageError(
                f"--cutoff: {number!r} is not a number of images; give whole numbers from 1 on,"
                " separated by commas"
            )
        cutoffs.add(int(number))
    return tuple(sorted(cutoffs))


def parse_store_dir(text: str | None) -> Path | None:
    """The directory that `--store-dir` names; raises pytest.UsageError if it cannot be used."""
    if text is None:
        return None
    if not text:  # from an unset shell variable; as a path, "" is the current directory
        raise pytest.UsageError("--store-dir: '' names no directory; for the current one, give .")
    try:
        path = Path(text).expanduser().resolve()
        is_directory = path.is_dir()
    except (OSError, RuntimeError) as error:  # too long, no such user, a link to itself
        why = error.strerror if isinstance(error, OSError) else error
        raise pytest.UsageError(f"--store-dir: {one_line(text)}: {one_line(why)}") from error
    shown = one_line(path)
    if not is_directory:
        raise pytest.UsageError(f"--store-dir: {shown} is not a directory; create it first")
    if not os.access(path, os.W_OK | os.X_OK):
        raise pytest.UsageError(f"--store-dir: {shown} is not writable; choose another directory")
    return path


def choose_cutoffs(
    options: Options, name: str, capacity: int, why: str = "each of its own twice"
) -> tuple[int, ...]:
    """The cutoffs for a data set; raises pytest.UsageError if it has too few images."""
    if options.cutoffs is None:
        return tuple(n for n in options.usual_cutoffs if n <= capacity) or (capacity,)
    if options.cutoffs[-1] > capacity:
        raise pytest.UsageError(
            f"--cutoff: {name} gives {capacity} images at most, {why}, not"
            f" {options.cutoffs[-1]}; choose smaller cutoffs or another --dataset"
        )
    return options.cutoffs


def choose_picture_cutoffs(options: Options, taken: int) -> tuple[int, ...]:
    """The cutoffs for a folder: by default the usual ones from 100 on, and all that are taken.

    taken: pictures taken from the folder; raises pytest.UsageError if too few
    """
    if options.cutoffs is not None or not options.timed:
        return choose_cutoffs(options, "the folder", taken, "each once")
    # Not also a usual one that is nearly as large.
    return (*(n for n in PICTURE_CUTOFFS if 2 * n <= taken), taken)
