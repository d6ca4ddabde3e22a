"""How the stores stand at each job."""

import re
from dataclasses import replace

import pytest

from benchmarks.results.jobs import JOBS, cells, in_lines
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.ratio import SweepRounds
from benchmarks.results.summary import Figure

SPEEDS = (1.0, 1.5, 0.9, 2.0, 1.1)
"""Of the machine, in five sweeps."""


def figure(
    backend: str,
    n: int,
    microseconds: float,
    operation: str = "read_many",
    sweeps: SweepRounds | None = None,
) -> Figure:
    if sweeps is None:
        sweeps = {(0, place): (microseconds * speed,) for place, speed in enumerate(SPEEDS)}
    return Figure(operation, "", backend, n, microseconds, 50, 4096.0, sweeps)


def test_each_job_has_a_cell_for_each_n_with_the_best_store_first() -> None:
    found = cells(
        [
            figure("lmdb", 1000, 3.0),
            figure("limit", 1000, 1.0),
            figure("hdf5", 1000, 2.0),
            figure("hdf5", 10, 9.0),
            figure("article-hdf5", 10, 1.0),
            figure("lmdb", 10, 8.0),
            figure("hdf5", 1000, 5.0, "store_many"),
        ]
    )
    assert [(cell.job.name, cell.n) for cell in found] == [
        ("Write once", 1000),
        ("Read everything", 10),
        ("Read everything", 1000),
        ("Least disk", 1000),
    ]
    written, small, large, disk = found
    assert written.standing is disk.standing is None
    assert [each.backend for each in small.figures] == ["lmdb", "hdf5"]
    assert [each.backend for each in large.figures] == ["hdf5", "lmdb"]
    assert small.standing is not None
    assert small.standing.in_words == "lmdb"


def test_the_first_is_ahead_within_sweeps_whatever_the_medians_say() -> None:
    fast = {(0, place): (time,) for place, time in enumerate((1.0, 9.0, 9.1))}
    slow = {(0, place): (time,) for place, time in enumerate((2.0, 10.0, 10.1, 1.0, 1.0))}
    (cell,) = cells([figure("png", 10, 9.0, sweeps=fast), figure("hdf5", 10, 2.0, sweeps=slow)])
    assert [each.backend for each in cell.figures] == ["png", "hdf5"]


def test_the_disk_is_counted_in_bytes() -> None:
    (job,) = (job for job in JOBS if job.disk)
    assert job.value(figure("png", 10, 1.0, "store_many")) == 4096.0
    assert job.ratio(figure("png", 10, 1.0), figure("hdf5", 10, 9.0)).value == 1.0


def test_the_terminal_s_lines_name_the_winner_at_each_n() -> None:
    lines = in_lines(
        [
            *(figure("hdf5", n, 2.0) for n in (10, 100, 1000)),
            *(figure("lmdb", n, 4.0) for n in (10, 1000)),
            figure("lmdb", 100, 2.0),
        ]
    )
    assert lines[1:] == [
        "Read everything (all images, in one call)",
        "  hdf5 at n=10, 1,000",
        "  level: hdf5, lmdb at n=100",
        "",
    ]


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        (
            (1.1, 0.95, 1.2, 1.25, 1.0),
            r"about \d+ sweeps, perhaps of several runs, would decide 1 of",
        ),
        ((2.0, 0.4, 1.9, 0.5, 1.0), r"even 100 sweeps would hardly decide"),
    ],
)
def test_the_terminal_says_what_would_decide_what_is_undecided(
    factors: tuple[float, ...], said: str
) -> None:
    sweeps = {
        (0, place): (2 * f * s,) for place, (f, s) in enumerate(zip(factors, SPEEDS, strict=True))
    }
    lines = in_lines([figure("hdf5", 10, 2.0), figure("lmdb", 10, 2.4, sweeps=sweeps)])
    assert lines[2] == "  undecided: hdf5 or lmdb at n=10"
    assert re.fullmatch(f"{said} the 1 undecided", lines[3])


def test_cold_stores_compete_with_cold_ones_only() -> None:
    warm = [figure("hdf5", 10, 2.0), figure("lmdb", 10, 4.0)]
    cold = [
        replace(figure("hdf5", 10, 90.0), cold=True),
        replace(figure("lmdb", 10, 9.0), cold=True),
    ]
    assert in_lines([*warm, *cold])[1:] == [
        "Read everything (all images, in one call)",
        "  hdf5 at n=10",
        "Read everything, cold (all images, in one call)",
        "  lmdb at n=10",
        "",
    ]


def test_a_winner_among_fewer_stores_than_the_run_has_is_said_to_be_one() -> None:
    two = [figure("hdf5", 10, 2.0), figure("lmdb", 10, 4.0)]
    elsewhere = figure("npy", 10, 1.0, "epoch")
    skipped = [SkippedRow(Key("read_many", "", "png", 10), "why")]
    assert in_lines([*two, figure("limit", 10, 1.0)])[2] == "  hdf5 at n=10"
    assert in_lines([*two, elsewhere], skipped)[2] == "  hdf5, without png, npy at n=10"
    (cell,) = cells([*two, elsewhere], skipped)
    assert cell.missing == ("png", "npy")


def test_one_store_alone_has_no_lines() -> None:
    assert in_lines([figure("hdf5", 10, 2.0), figure("limit", 10, 1.0)]) == []
