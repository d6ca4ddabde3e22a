"""How much of reading pictures is said to be storage and how much decoding."""

from dataclasses import replace

import numpy as np

from benchmarks.results import decoding
from benchmarks.results.keys import WIDTH
from benchmarks.results.summary import Figure, tables


def figure(
    operation: str, backend: str, microseconds: float, variant: str = "", n: int = 100
) -> Figure:
    sweeps = {(0, place): (microseconds * factor,) for place, factor in enumerate((1, 0.99, 1.02))}
    files = "encoded" in backend or backend == "files"
    return Figure(
        *(operation, variant, backend, n, microseconds, 50, None, sweeps), keeps_files=files
    )


def both(operation: str, backend: str, files: float, images: float, n: int = 100) -> list[Figure]:
    of_files = figure(operation, backend, files, "bytes", n)
    return [figure(operation, backend, images, n=n), of_files]


FIGURES = [
    *both("read_many", "lmdb-encoded", 10, 1_000),
    *both("read_many", "hdf5-encoded", 30, 1_000),
    *both("read_many", "limit-encoded", 5, 1_000),
    *both("read_single", "lmdb-encoded", 100, 1_000),
    *both("read_single", "hdf5-encoded", 300, 1_200),
    figure("read_many", "hdf5", 20),
    figure("read_many", "limit", 10),
]


def test_the_share_of_decoding_is_what_the_files_alone_do_not_take() -> None:
    found = decoding.shares(FIGURES)
    assert [*found] == ["read_single n=100", "read_many n=100"]
    assert found["read_many n=100"] == "97.0 to 99.5 %; the files alone take 5.00 to 30.0 µs"
    assert found["read_single n=100"] == "75.0 to 90.0 %; the files alone take 100 to 300 µs"


def test_where_decoding_is_all_the_store_does_not_matter() -> None:
    first, second = decoding.conclusion(FIGURES)
    assert "more than 95 % of the time" in first
    assert first.startswith("The choice of a store of files does not matter in read_many, at its ")
    assert second.startswith("It may matter in read_single, ")
    (only,) = decoding.conclusion(FIGURES[:6])
    assert "does not matter in any reading" in only
    (only,) = decoding.conclusion(FIGURES[6:])
    assert only.startswith("It may matter in read_single")


def test_of_each_kind_the_largest_stores_count() -> None:
    """Also of one that was left out at a larger n, or is cold, and so measured at a smaller one."""
    larger = both("read_many", "lmdb-encoded", 1, 100, n=1_000)
    found = decoding.splits([*FIGURES, *larger])
    assert [split.images.n for split in found] == [100, 100, 1_000]
    np.testing.assert_allclose(found[-1].decoding, 0.99)


def test_what_cold_rows_show_counts_too() -> None:
    stores = [
        *both("read_single", "lmdb-encoded", 10, 1_000, n=1_000),
        *both("read_single", "hdf5-encoded", 10, 1_000, n=1_000),
    ]
    cold = [
        replace(one, n=100, cold=True, microseconds=us, sweeps={(0, 0): [us]})
        for one, us in zip(stores, (1_000.0, 500.0) * 2, strict=True)
    ]
    (only,) = decoding.conclusion(stores)
    assert "does not matter in any reading measured, at its largest n" in only
    first, second = decoding.conclusion([*stores, *cold])
    assert "does not matter in read_single, at its largest n" in first
    assert second.startswith("It may matter in read_single cold, ")


def test_among_one_store_there_is_no_choice() -> None:
    alone = both("read_single", "lmdb-encoded", 10, 1_000)
    assert decoding.conclusion([*alone, *both("read_single", "limit-encoded", 5, 1_000)]) == []


def test_without_files_nothing_is_said() -> None:
    assert decoding.in_lines([figure("read_many", "lmdb", 1)]) == []
    assert decoding.conclusion([figure("read_many", "lmdb", 1)]) == []


def test_the_lines_fit_a_terminal() -> None:
    lines = decoding.in_lines(FIGURES)
    assert lines[0] == "decoding: its share of reading images, at the largest n"
    assert lines[2] == "  read_many n=100    97.0 to 99.5 %; the files alone take 5.00 to 30.0 µs"
    assert max(map(len, lines)) <= WIDTH


def test_a_row_of_files_is_compared_with_one_plain_file_of_files() -> None:
    lines = tables(FIGURES)
    start = next(i for i, line in enumerate(lines) if line.startswith("read_many"))
    assert lines[start].endswith("(× its limit)")
    multiples = {
        line[: line.index("  ")]: line.split()[-1] for line in lines[start + 2 : start + 10]
    }
    assert multiples["lmdb-encoded bytes"] == "×2.00"
    assert multiples["hdf5-encoded bytes"] == "×6.00"
    assert multiples["lmdb-encoded"] == "×1.00"
    assert multiples["hdf5"] == "×2.00"
    assert "×" not in multiples["limit"] + multiples["limit-encoded"]
