"""The tables at the end of a run, from hand-made figures."""

import json
from dataclasses import replace

import pytest

from benchmarks.contenders.rows import ROWS, STORE_ROWS
from benchmarks.harness.options import CUTOFFS
from benchmarks.results.recorded import Recorded
from benchmarks.results.summary import (
    TITLES,
    Figure,
    cache_in_words,
    format_multiple,
    format_number,
    tables,
)


def figure(
    backend: str,
    n: int,
    microseconds: float,
    operation: str = "read_many",
    variant: str = "",
    rounds: int = 10,
    allocated: float | None = None,
) -> Figure:
    sweeps = {(0, 0): [microseconds]}
    return Figure(operation, variant, backend, n, microseconds, rounds, allocated, sweeps)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0456, "0.046"),
        (0.25, "0.250"),
        (1.0, "1.00"),
        (9.876, "9.88"),
        (12.34, "12.3"),
        (99.94, "99.9"),
        (123.4, "123"),
        (1234567.8, "1,234,568"),
    ],
)
def test_a_number_has_about_three_digits(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "×0.50"), (1.0, "×1.00"), (9.994, "×9.99"), (38.2, "×38")]
)
def test_a_multiple_is_marked_as_one(value: float, text: str) -> None:
    assert format_multiple(value) == text


def test_whether_stores_were_in_memory_is_known_from_the_rows_that_read() -> None:
    warm = figure("png", 10, 2.0)
    cold = replace(warm, cold=True)
    storing = [figure("png", 10, 2.0, "store_many"), figure("png", 10, 2.0, "commits", "store")]
    assert cache_in_words([warm, *storing]) == "warm cache"
    assert cache_in_words([cold, *storing]) == "cold cache"
    assert cache_in_words([cold, warm]) == "warm and cold cache"
    assert cache_in_words(storing) == ""


def test_a_matrix_has_rows_by_back_end_and_columns_by_cutoff_beside_the_limit() -> None:
    found = [
        figure("limit", 1000, 2.0),
        figure("article-png", 1000, 50.0),
        figure("png", 1000, 40.0),
        figure("hdf5", 10, 9.0),
        figure("limit", 10, 4.0),
        figure("png", 10, 60.0),
        figure("hdf5", 1000, 3.0),
        figure("article-png", 10, 80.0),
    ]
    assert tables(found) == [
        "read_many: open, read n images, close; µs per image (× limit)",
        "                            n=10          n=1,000",
        "png                60.0      ×15    40.0      ×20",
        "hdf5               9.00    ×2.25    3.00    ×1.50",
        "limit              4.00             2.00",
        "article-png        80.0      ×20    50.0      ×25",
        "",
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    found = [figure("png", 10, 60.0), figure("lmdb", 100, 3.0), figure("limit", 100, 1.5)]
    assert tables(found) == [
        "read_many: open, read n images, close; µs per image (× limit)",
        "                            n=10            n=100",
        "png                60.0                         -",
        "lmdb                           -    3.00    ×2.00",
        "limit                          -    1.50",
        "",
    ]


def test_without_the_limit_there_are_no_multiples() -> None:
    lines = tables([figure("png", 10, 60.0), figure("article-lmdb", 10, 3.0)])
    assert lines[0] == "read_many: open, read n images, close; µs per image"
    assert "×" not in "\n".join(lines)


def test_storing_one_image_has_the_one_column_of_one_image() -> None:
    found = [
        figure("limit", 1, 200.0, operation="store_single"),
        figure("lmdb", 1, 500.0, operation="store_single"),
    ]
    assert tables(found) == [
        "store_single: open, store one image, close; µs per call (× limit)",
        "                             n=1",
        "lmdb                500    ×2.50",
        "limit               200",
        "",
    ]


def test_each_way_of_an_operation_is_a_row() -> None:
    ways = {"iterate": ("single", "slice"), "parallel_read": ("1 process", "4 processes")}
    found = [
        figure(name, 10, 1.0, operation, variant)
        for operation, variants in ways.items()
        for name in ("hdf5", "png")
        for variant in variants
    ]
    assert tables(found) == [
        "iterate: up to 2,000 images in order, one by one or as a slice; µs per image",
        "                    n=10",
        "png single         1.00",
        "png slice          1.00",
        "hdf5 single        1.00",
        "hdf5 slice         1.00",
        "",
        "parallel_read: random batches, all processes together; µs per image",
        "                     n=10",
        "png 1 process       1.00",
        "png 4 processes     1.00",
        "hdf5 1 process      1.00",
        "hdf5 4 processes    1.00",
        "",
    ]


def test_operations_come_in_one_order_whatever_ran_first() -> None:
    found = [figure("png", 10, 1.0, operation) for operation in reversed(TITLES)]
    titles = [line for line in tables(found) if ":" in line]
    assert titles == [*TITLES.values()]


def test_what_storing_many_took_on_disk_has_a_table_of_its_own() -> None:
    found = [
        figure("png", 10, 1.0, "store_many", allocated=5734.4),
        figure("limit", 10, 1.0, "store_many", allocated=3686.4),
        figure("png", 100_000, 1.0, "store_many", allocated=4099.6),
        figure("png", 10, 1.0, "read_many"),
    ]
    assert tables(found)[-5:] == [
        "disk: allocated bytes per image, after store_many",
        "                     n=10 n=100,000",
        "png                 5,734     4,100",
        "limit               3,686         -",
        "",
    ]


def test_too_few_rounds_are_starred_and_said_below() -> None:
    found = [
        figure("png", 10, 7.0, rounds=3),
        figure("png", 100, 8.0, rounds=4),
        figure("png", 1000, 9.0, rounds=5),
    ]
    lines = tables(found)
    assert lines[2].split() == ["png", "7.00*", "8.00*", "9.00"]
    assert lines[-1] == (
        "* too few rounds, 3 to 4, in 2 of 3 figures: their medians may be off; raise"
        " --round-budget"
    )


def test_with_enough_rounds_there_is_no_footnote() -> None:
    assert "*" not in "\n".join(tables([figure("png", 10, 1.0, rounds=5)]))


def test_a_back_end_of_another_release_comes_last() -> None:
    found = [figure(name, 10, 1.0) for name in ("zarr", "article-hdf5", "png", "limit")]
    rows = [line.split()[0] for line in tables(found)[2:-1]]
    assert rows == ["png", "limit", "article-hdf5", "zarr"]


def test_the_time_to_the_first_batch_has_a_table_of_its_own() -> None:
    loaded = Recorded(
        operation="loader",
        variant="1 forked worker",
        backend="hdf5",
        n=100,
        images_per_round=50,
        cache="warm",
        durability="durable",
        first_batch_seconds=[0.5, 0.025, 0.05],
    )
    found = [Figure.of(loaded, {"median": 0.001, "rounds": 5}), figure("png", 10, 1.0)]
    assert tables(found)[-8:] == [
        "loader: shuffled batches from PyTorch's DataLoader; µs per image",
        "                        n=100",
        "hdf5 1 forked worker    20.0",
        "",
        "first_batch: loader, from starting its workers to the first batch; ms",
        "                     n=100",
        "hdf5 1 forked worker  50.0",
        "",
    ]


def test_nothing_measured_is_nothing_printed() -> None:
    assert tables([]) == []


def test_the_widest_numbers_fit_100_columns() -> None:
    variants = {
        "iterate": ("single", "slice"),
        "parallel_read": ("1 process", "2 processes", "4 processes"),
    }
    found = [
        figure(name, n, 1.0 if name == "limit" else 99_999.0, operation, variant, 3, 65_536.0)
        for operation in TITLES
        for name in (STORE_ROWS if operation in variants else ROWS)
        for variant in variants.get(operation, ("",))
        for n in CUTOFFS
    ]
    lines = tables(found)
    assert max(map(len, lines)) <= 100
    widest = next(line for line in lines if line.startswith("article-lmdb"))
    assert widest.split() == ["article-lmdb", *["99,999*", "×99,999"] * len(CUTOFFS)]


def test_a_figure_is_read_from_a_saved_run() -> None:
    saved = json.loads(
        """{
            "extra_info": {"operation": "store_many", "variant": "", "backend": "png", "n": 100,
                           "images_per_round": 100, "allocated_bytes": 409600, "files": 104,
                           "cache": "warm", "durability": "durable"},
            "stats": {"median": 0.025, "rounds": 12, "min": 0.02}
        }"""
    )
    assert Figure.of(Recorded.of(saved["extra_info"]), saved["stats"]) == Figure(
        operation="store_many",
        variant="",
        backend="png",
        n=100,
        microseconds=250.0,
        rounds=12,
        allocated_per_image=4096.0,
        sweeps={(0, 0): [250.0]},
    )


def test_a_figure_of_reading_says_nothing_of_the_disk() -> None:
    read = Recorded(
        operation="iterate",
        variant="slice",
        backend="hdf5",
        n=100,
        images_per_round=100,
        cache="warm",
        durability="durable",
        allocated_bytes=409600,
    )
    found = Figure.of(read, {"median": 0.025, "rounds": 3})
    assert found.allocated_per_image is None
    assert found.label == "hdf5 slice"
