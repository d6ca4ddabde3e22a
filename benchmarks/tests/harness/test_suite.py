"""What a benchmark records of itself, and how its results are checked."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import benchmarks.harness.protocol
import benchmarks.harness.suite
from benchmarks.contenders.base import DECODER, PILLOW, Openable
from benchmarks.contenders.limit import Limit
from benchmarks.contenders.rows import DEFAULT_PICTURE_ROWS, DEFAULT_ROWS
from benchmarks.datasets import decoded
from benchmarks.harness.checks import WrongResultError
from benchmarks.harness.options import Options
from benchmarks.harness.passes import Passes
from benchmarks.harness.protocol import MAX_ROUNDS, Work, take_turns
from benchmarks.harness.suite import CHECKED_AT_ONCE, COLD_ROUNDS, MAX_ALONE, Case, Suite
from benchmarks.results import rounds
from benchmarks.results.keys import Key

from .test_protocol import FakeBenchmark

N = 12


def make_options(folder: Path, cold: bool = False, durable: bool = True) -> Options:
    return Options(
        dataset="standin",
        offline=True,
        image_size=32,
        rows=("limit",),
        cutoffs=(4, N),
        store_dir=folder,
        round_budget=0.01,
        sweeps=1,
        cache="cold" if cold else "both",
        durable=durable,
        timed=True,
    )


def make_suite(folder: Path, cold: bool = False, durable: bool = True) -> Suite:
    return Suite(make_options(folder, cold, durable), progress=False)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Suite]:
    suite = make_suite(tmp_path)
    yield suite
    suite.close()


def benchmark_of(median: float) -> FakeBenchmark:
    return FakeBenchmark(stats=SimpleNamespace(stats=SimpleNamespace(data=[median], median=median)))


def a_read(path: Path, cold: bool = False) -> Case:
    return Case("read_many", Limit(), N, images=N, path=path, reads=True, cold=cold)


def nothing() -> None:
    pass


def ignore(_: object) -> None:
    pass


def test_a_row_records_what_its_figure_depends_on(made: Suite) -> None:
    benchmark = benchmark_of(median=0.5)
    path = made.workspace.store(Limit(), N)
    passes = Passes(1)
    made.measure(benchmark, passes, a_read(path), Work(nothing, ignore))
    allocated = sum(p.stat().st_blocks * 512 for p in (path, path / "raw"))
    assert benchmark.group == "read_many n=12"
    assert benchmark.extra_info == {
        "operation": "read_many",
        "variant": "",
        "backend": "limit",
        "n": N,
        "images_per_round": N,
        "image_shape": [32, 32, 3],
        "dataset": made.identity,
        "round_budget_seconds": 0.01,
        "cache": "warm",
        "durability": "durable",
        "apparent_bytes": N * (3072 + 8),
        "allocated_bytes": allocated,
        "files": 1,
        "images_per_second": N / 0.5,
        "pixel_megabytes_per_second": N * 3072 / 0.5 / 1e6,
        "microseconds_per_image": 0.5 / N * 1e6,
        "rounds_microseconds": rounds.pack(passes.seconds),
        "sweep_rounds": [len(passes.seconds)],
    }
    assert benchmark.stats.stats.data == passes.seconds


@pytest.mark.parametrize(("durable", "promise"), [(True, "durable"), (False, "buffered")])
def test_a_storing_row_records_its_durability_and_is_never_cold(
    tmp_path: Path, durable: bool, promise: str
) -> None:
    suite = make_suite(tmp_path, cold=True, durable=durable)
    benchmark = benchmark_of(median=1.0)
    path = suite.workspace.scratch()
    work = Work(path.mkdir, ignore, after=lambda: suite.workspace.remove(path))
    suite.measure(
        benchmark, Passes(1), Case("store_single", Limit(), None, 1, path, reads=False), work
    )
    suite.close()
    assert benchmark.group == "store_single"
    assert benchmark.extra_info["durability"] == promise
    assert benchmark.extra_info["cache"] == "warm"
    assert suite.circumstances().cache == "cold"
    assert benchmark.extra_info["n"] == 1
    assert None not in benchmark.extra_info.values()
    assert "resident_fraction" not in benchmark.extra_info


def test_a_cold_row_is_evicted_after_its_state_is_made_and_records_the_worst_round(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fractions = iter([0.0, 0.008, 0.002, *[0.0] * 300])

    def evict(_: Path) -> float:
        events.append("evict")
        return next(fractions)

    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", True)
    monkeypatch.setattr(benchmarks.harness.suite, "evict_or_wait", evict)
    benchmark = benchmark_of(median=1.0)
    path = made.workspace.store(Limit(), N)
    work = Work(lambda: events.append("run"), ignore, before=lambda: events.append("before"))
    made.measure(benchmark, Passes(1), a_read(path, cold=True), work)
    assert events == ["before", "evict", "run"] * (1 + COLD_ROUNDS)
    assert benchmark.group == "read_many n=12 cold"
    assert benchmark.extra_info["resident_fraction"] == 0.008
    assert benchmark.extra_info["cache"] == "cold"
    assert made.skipped == []


def test_a_warm_row_is_read_again_after_a_cold_one(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[Path] = []
    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", True)
    monkeypatch.setattr(benchmarks.harness.suite, "evict_or_wait", lambda _: 0.0)
    monkeypatch.setattr(benchmarks.harness.suite, "warm", warmed.append)
    path = made.workspace.store(Limit(), N)
    for cold in (False, False, True, True, False, False):
        case, work = a_read(path, cold), Work(nothing, ignore)
        made.measure(benchmark_of(median=1.0), Passes(1), case, work)
    assert warmed == [path, path]


def test_in_each_sweep_a_store_of_some_size_is_placed_anew_once_and_not_warmed_again(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", True)
    monkeypatch.setattr(benchmarks.harness.suite, "PLACED_ANEW", range(10_000, 10**6))
    monkeypatch.setattr(benchmarks.harness.suite, "place_anew", lambda _: done.append("placed"))
    monkeypatch.setattr(benchmarks.harness.suite, "warm", lambda _: done.append("warmed"))
    path, small = made.workspace.store(Limit(), N), made.workspace.store(Limit(), 2)
    passes = [Passes(5) for _ in range(4)]
    cases = [
        Case(operation, Limit(), N, N, path, reads=True)
        for operation in ("read_single", "read_many", "iterate")
    ] + [Case("read_many", Limit(), 2, 2, small, reads=True)]
    for expected in (["warmed", "placed", "warmed"], ["placed"]):
        for case, own in zip(cases, passes, strict=True):
            made.measure(benchmark_of(median=1.0), own, case, Work(nothing, ignore))
            own.add([1.0])
        assert done == expected
        done.clear()


@pytest.mark.parametrize(
    ("can_evict", "resident", "reason"),
    [
        (True, 0.02, "some of the store stays in memory when evicted, because .* keeps it"),
        (False, 0.0, "cannot evict"),
    ],
)
def test_where_a_store_stays_in_memory_nothing_is_called_cold(
    made: Suite,
    monkeypatch: pytest.MonkeyPatch,
    can_evict: bool,
    resident: float,
    reason: str,
) -> None:
    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", can_evict)
    monkeypatch.setattr(benchmarks.harness.suite, "evict_or_wait", lambda _: resident)
    benchmark = benchmark_of(median=1.0)
    path = made.workspace.store(Limit(), N)
    with pytest.raises(pytest.skip.Exception, match=reason):
        made.measure(benchmark, Passes(1), a_read(path, cold=True), Work(nothing, ignore))
    assert benchmark.used == 0
    (skipped,) = made.skipped
    assert skipped.key == Key("read_many", "", "limit", N, cold=True)
    assert re.search(reason, skipped.reason)


def test_a_row_whose_rounds_take_far_too_long_is_skipped_with_what_would_measure_it(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("LONGEST", "LONGEST_TIMES"):
        monkeypatch.setattr(benchmarks.harness.protocol, limit, -1)
    path = made.workspace.store(Limit(), N)
    with pytest.raises(pytest.skip.Exception, match="more than 300 times --round-budget"):
        made.measure(benchmark_of(1.0), Passes(1), a_read(path, cold=False), Work(nothing, ignore))
    (skipped,) = made.skipped
    assert skipped.key == Key("read_many", "", "limit", N)
    assert skipped.reason.startswith("one round would take about 0 s")


def test_in_a_run_of_several_sweeps_a_pass_waits_for_its_turns(made: Suite) -> None:
    benchmark = benchmark_of(median=1.0)
    path, ran = made.workspace.store(Limit(), N), list[str]()
    passes = Passes(2)
    work = Work(lambda: ran.append("run"), ignore, most=3)
    made.measure(benchmark, passes, a_read(path), work)
    assert passes.ready is not None
    assert ran == ["run"]  # to warm up
    take_turns([passes.ready], np.random.default_rng(0))
    passes.end()
    assert passes.rounds == [2]
    assert benchmark.used == 0
    made.measure(benchmark, passes, a_read(path), replace(work, in_turns=False))
    assert passes.ready is None
    assert passes.rounds == [2, 2]
    assert passes.are_complete
    assert benchmark.used == 0
    passes.record()
    assert benchmark.used == 1
    assert benchmark.extra_info["sweep_rounds"] == [2, 2]


@pytest.mark.parametrize(
    ("sweeps", "in_turns", "rounds"),
    [(1, True, MAX_ALONE), (2, False, MAX_ALONE), (2, True, MAX_ROUNDS)],
)
def test_rows_that_take_no_turns_make_fewer_rounds(
    made: Suite, sweeps: int, in_turns: bool, rounds: int
) -> None:
    made.options = replace(made.options, sweeps=sweeps, round_budget=60.0)
    passes = Passes(1)
    path = made.workspace.store(Limit(), N)
    work = Work(nothing, ignore, in_turns=in_turns)
    made.measure(benchmark_of(median=1.0), passes, a_read(path), work)
    assert passes.rounds == [rounds]


def test_what_was_stored_before_is_on_the_disk_when_a_row_begins_to_read(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(benchmarks.harness.suite, "write_out", lambda _: events.append("written"))
    path = made.workspace.store(Limit(), N)
    work = Work(lambda: events.append("run"), ignore, most=2)
    made.measure(benchmark_of(median=1.0), Passes(1), a_read(path), work)
    assert events == ["written", *["run"] * 3]


def test_a_store_that_was_read_too_long_ago_is_read_again_before_its_turn(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    path = made.workspace.store(Limit(), N)
    monkeypatch.setattr(benchmarks.harness.suite, "warm", lambda _: done.append("warmed"))
    work = Work(lambda: done.append("run"), ignore, most=2)
    passes = Passes(2)
    made.measure(benchmark_of(median=1.0), passes, a_read(path), work)
    assert done == ["warmed", "run"]
    monkeypatch.setattr(benchmarks.harness.suite, "STAYS_SECONDS", -1)
    assert passes.ready is not None
    take_turns([passes.ready], np.random.default_rng(0))
    assert done == ["warmed", "run", "warmed", "run"]


def test_before_a_timed_round_of_storing_the_disk_has_written_what_others_left(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(benchmarks.harness.suite, "write_out", lambda _: events.append("written"))
    path = made.workspace.scratch()
    case = Case("store_many", Limit(), 1, 1, path, reads=False)
    store = partial(Limit().store_many, path, made.images[:1], made.labels[:1], durable=False)

    def run() -> None:
        store()
        events.append("run")

    work = Work(run, ignore, after=lambda: made.workspace.remove(path), most=2)
    made.measure(benchmark_of(median=1.0), Passes(1), case, work)
    assert events == ["written", "run"] * 3


def test_a_row_is_skipped_once_three_passes_and_none_before_were_not_cold(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", True)
    monkeypatch.setattr(benchmarks.harness.suite, "evict_or_wait", lambda _: 1.0)
    case, work = a_read(made.workspace.store(Limit(), N), cold=True), Work(nothing, ignore)
    good, never = Passes(20), Passes(20)
    good.add([1.0])
    for passes in (good, never):
        for _ in range(3):
            assert made.skipped == []
            with pytest.raises(pytest.skip.Exception):
                made.measure(benchmark_of(median=1.0), passes, case, work)
    assert [one.key.cold for one in made.skipped] == [True]
    assert not good.has_given_up
    assert good.done == 1


def test_a_round_that_is_not_cold_enough_is_cleaned_up(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(benchmarks.harness.suite, "CAN_EVICT", True)
    monkeypatch.setattr(benchmarks.harness.suite, "evict_or_wait", lambda _: 1.0)
    path = made.workspace.store(Limit(), N)
    work = Work(
        lambda: events.append("run"),
        ignore,
        before=lambda: events.append("before"),
        after=lambda: events.append("after"),
    )
    with pytest.raises(pytest.skip.Exception):
        made.measure(benchmark_of(median=1.0), Passes(1), a_read(path, cold=True), work)
    assert events == ["before", "after"]


def test_a_reading_row_records_the_size_of_its_store_without_what_reading_singly_adds(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Limit, "prepare_read_single", lambda _, path, *__: (path / "extra").write_bytes(b"more")
    )
    benchmark = benchmark_of(median=0.5)
    path = made.workspace.store(Limit(), N)
    made.measure(benchmark, Passes(1), a_read(path), Work(nothing, ignore))
    assert (path / "extra").exists()
    assert benchmark.extra_info["files"] == 1
    assert benchmark.extra_info["apparent_bytes"] == N * (3072 + 8)


def test_what_is_equal_passes_the_check(made: Suite) -> None:
    ids = np.array([3, 3, 0])
    made.assert_equal(made.images.copy(), made.labels.copy(), slice(0, N))
    made.assert_equal(made.images[2:5], made.labels[2:5], slice(2, 5))
    made.assert_equal(made.images[ids], made.labels[ids], ids)


def test_a_wrong_pixel_label_order_number_or_type_fails_the_check(made: Suite) -> None:
    whole = slice(0, N)
    images, labels = made.images.copy(), made.labels.copy()
    wrong_pixel, wrong_label = images.copy(), labels.copy()
    wrong_pixel[-1, -1, -1, -1] ^= 1
    wrong_label[-1] += 1
    for bad_images, bad_labels in (
        (wrong_pixel, labels),
        (images, wrong_label),
        (images[::-1], labels),
        (images[..., ::-1], labels),
        (images[:-1], labels),
        (images[:-1], labels[:-1]),
        (images.astype(np.int64), labels),
        ([*images], labels),
    ):
        with pytest.raises(WrongResultError):
            made.assert_equal(bad_images, bad_labels, whole)


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Suite]:
    """The suite of a folder of pictures of several sizes."""
    (tmp_path / "photos").mkdir()
    for i, size in enumerate([(4, 3), (5, 5), (7, 2)]):
        Image.new("RGB", size, (i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    options = replace(
        make_options(tmp_path),
        dataset=str(tmp_path / "photos"),
        rows=DEFAULT_ROWS,
        cutoffs=(2, 3),
    )
    suite = Suite(options, progress=False)
    yield suite
    suite.close()


def test_of_pictures_the_folder_the_stores_and_the_limits_are_measured(mixed: Suite) -> None:
    assert mixed.rows == DEFAULT_PICTURE_ROWS
    assert "3 images" in mixed.header()
    assert mixed.image_bytes == (12 + 25 + 14)
    for name in mixed.names_of("read_many"):
        row = mixed.row(name)
        path = mixed.workspace.store(row, 3)
        mixed.assert_equal(*row.read_many(path, mixed.images.shape), slice(0, 3))
        if isinstance(row, Openable):
            ids = np.array([2, 0, 2])
            with row.open(path, ()) as opened:
                images, labels = opened.read_many(ids)
                assert isinstance(images, list)
                mixed.assert_equal(images, labels, ids)
                assert isinstance(images[0], bytes) == name.endswith("-bytes")
            with row.open(path, ()) as opened:
                for i, (image, label) in enumerate(row.one_by_one(opened, 3)):
                    mixed.assert_equal(image[np.newaxis], np.array([label]), slice(i, i + 1))


def test_what_keeps_files_is_read_twice_and_what_keeps_pixels_once(mixed: Suite) -> None:
    names = mixed.names_of("read_batch")
    files = ("files", "files-encoded", "lmdb-encoded", "hdf5-encoded", "limit-encoded")
    pixels = ("png", "lmdb", "hdf5")
    assert {*names} == {*files, *(f"{name}-bytes" for name in files), *pixels}
    assert not any(name.endswith("-bytes") for name in mixed.names_of("store_many"))
    assert mixed.row("lmdb-encoded-bytes").name == "lmdb-encoded"


@pytest.mark.parametrize(
    ("name", "operation", "decoder"),
    [
        ("lmdb-encoded", "read_many", DECODER),
        ("lmdb-encoded-bytes", "read_many", None),
        ("lmdb-encoded", "store_many", None),
        ("files", "read_many", PILLOW),
        ("lmdb", "read_many", None),
        ("lmdb", "store_many", DECODER),
    ],
)
def test_a_row_records_what_decoded_its_pictures(
    mixed: Suite, name: str, operation: str, decoder: str | None
) -> None:
    benchmark, row = benchmark_of(median=0.5), mixed.row(name)
    path = mixed.workspace.store(row, 3)
    case = Case(operation, row, 3, images=3, path=path, reads=operation == "read_many")
    mixed.measure(benchmark, Passes(1), case, Work(nothing, ignore))
    info = benchmark.extra_info
    assert info.get("decoder") == decoder
    assert info["variant"] == ("bytes" if name.endswith("-bytes") else "")
    assert info.get("file_bytes") == (None if name == "lmdb" else mixed.file_bytes)


def test_pixels_that_do_not_fit_the_disk_are_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "0.png")
    options = replace(make_options(tmp_path), dataset=str(tmp_path), cutoffs=(1,))
    options = replace(options, rows=DEFAULT_ROWS, store_dir=None)
    free = SimpleNamespace(f_bavail=20_000, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr("os.statvfs", lambda _: free)
    suite = Suite(options, progress=False)
    suite.close()
    assert suite.left_out == ("png", "lmdb", "hdf5", "limit")
    assert suite.rows == DEFAULT_PICTURE_ROWS
    (line,) = (line for line in suite.header() if "which hold pixels" in line)
    assert line.startswith("left out: png, lmdb, hdf5, limit, which hold pixels: --store-dir: ")
    free.f_bavail = 10
    with pytest.raises(pytest.UsageError, match="MB free"):
        Suite(options, progress=False)


@pytest.mark.parametrize("has_torch", [False, True])
def test_it_says_beforehand_that_nothing_can_be_loaded(
    has_torch: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    found = object() if has_torch else None
    monkeypatch.setattr("benchmarks.harness.loader.find_spec", lambda _: found)
    options = replace(make_options(tmp_path), dataset=str(tmp_path), cutoffs=(1,), rows=("lmdb",))
    suite = Suite(options, progress=False)
    suite.close()
    said = [line for line in suite.header() if line.startswith("left out: loader needs PyTorch")]
    assert bool(said) is not has_torch


def test_no_more_pixels_are_held_at_once_than_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(benchmarks.harness.suite, "MOST_READ_BYTES", 100)
    monkeypatch.setattr(benchmarks.harness.suite, "MOST_KEPT_BYTES", 60)
    options = replace(make_options(tmp_path), dataset=str(tmp_path), cutoffs=(3,), rows=("lmdb",))
    suite = Suite(options, progress=False)
    suite.close()
    assert suite.fits(2)
    assert not suite.fits(3)
    assert suite.at_once(3) == 1
    assert any(line.startswith("left out: reading all images at") for line in suite.header())
    with pytest.raises(pytest.skip.Exception, match="MB of pixels"):
        suite.require_memory(suite.row("lmdb"), 3, cold=True)
    assert [one.key for one in suite.skipped] == [Key("read_many", "", "lmdb", 3, cold=True)]


def test_of_pictures_the_mean_size_is_recorded_and_no_name(mixed: Suite) -> None:
    benchmark, row = benchmark_of(median=0.5), mixed.row("lmdb")
    path = mixed.workspace.store(row, 3)
    case = Case("read_many", row, 3, images=3, path=path, reads=True)
    mixed.measure(benchmark, Passes(1), case, Work(nothing, ignore))
    info = benchmark.extra_info
    assert info["image_shape"] == []
    assert info["image_bytes"] == mixed.image_bytes
    assert info["pixel_megabytes_per_second"] == pytest.approx(3 * 51 / 0.5 / 1e6)
    assert "photos" not in repr(info) + repr(mixed.circumstances())


@pytest.mark.parametrize(
    ("name", "operation", "n", "images", "of"),
    [
        ("lmdb", "read_many", 2, 2, [0, 1]),
        ("lmdb", "read_batch", 2, 256, [0, 1]),
        ("lmdb", "iterate", 3, 1, [0]),
        ("lmdb", "store_single", None, 1, [0]),
        ("lmdb", "read_single", 3, 1, [0, 1, 2]),
        ("lmdb-encoded-bytes", "read_many", 2, 2, None),
    ],
)
def test_the_pixels_per_second_are_those_of_the_pictures_read_or_stored(
    mixed: Suite, name: str, operation: str, n: int | None, images: int, of: list[int] | None
) -> None:
    benchmark, row = benchmark_of(median=0.5), mixed.row(name)
    path = mixed.workspace.store(row, n or 1)
    case = Case(operation, row, n, images, path, reads=operation != "store_single")
    mixed.measure(benchmark, Passes(1), case, Work(nothing, ignore))
    found = benchmark.extra_info.get("pixel_megabytes_per_second")
    if of is None:
        assert found is None
    else:
        size = np.mean([picture.nbytes for picture in mixed.images[of]])
        assert found == pytest.approx(images * size / 0.5 / 1e6)


def test_a_wrong_picture_of_several_fails_the_check(mixed: Suite) -> None:
    images, labels, whole = [*decoded(mixed.images)], mixed.labels, slice(0, 3)
    mixed.assert_equal(images, labels, whole)
    wrong = images[0].copy()
    wrong[0, 0, 0] ^= 1
    for bad_images, bad_labels in (
        ([wrong, *images[1:]], labels),
        (images[::-1], labels),
        (images[:2], labels),
        (images, labels + 1),
        ([image[:1] for image in images], labels),
        ([image.astype(np.int16) for image in images], labels),
        (None, labels),
    ):
        with pytest.raises(WrongResultError):
            mixed.assert_equal(bad_images, bad_labels, whole)


def test_of_large_pictures_a_batch_has_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.suite.PICTURE_BATCH_BYTES", 100)
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    options = replace(make_options(tmp_path), dataset=str(tmp_path), cutoffs=(1,), rows=("lmdb",))
    suite = Suite(options, progress=False)
    suite.close()
    assert suite.batch == 100 // 48


@pytest.mark.parametrize("place", [0, CHECKED_AT_ONCE - 1, CHECKED_AT_ONCE, CHECKED_AT_ONCE + 2])
def test_the_check_reaches_every_image(made: Suite, place: int) -> None:
    ids = np.arange(CHECKED_AT_ONCE + 3) % N
    images = made.images[ids]
    made.assert_equal(images, made.labels[ids], ids)
    images[place, 0, 0, 0] ^= 1
    with pytest.raises(WrongResultError):
        made.assert_equal(images, made.labels[ids], ids)


def test_closing_leaves_nothing_in_the_store_directory(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    suite.workspace.store(Limit(), 4)
    assert [*tmp_path.iterdir()] == [suite.workspace.path]
    suite.close()
    assert [*tmp_path.iterdir()] == []
