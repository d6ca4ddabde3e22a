"""Finding a saved run, and what of a damaged, older or foreign one is read."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.logger import Logger
from pytest_benchmark.utils import get_machine_id, load_storage

from benchmarks.contenders.rows import ROWS
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.runs import find, load
from benchmarks.tests.saved import (
    MACHINE,
    NS,
    SPREAD,
    Saved,
    bench,
    in_one_sweep,
    only,
    save,
    speed,
    whole_run,
    without_rounds,
)

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: runs are looked for below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


OWN: str = get_machine_id()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
"""The folder in which this system's runs are saved."""


def numbered(name: str, machine: str = OWN) -> Path:
    return save(whole_run(), Path(".benchmarks", machine, name))


# ---- found -----------------------------------------------------------------------------------


def test_the_newest_run_is_the_last_one_of_this_system_as_pytest_benchmark_has_it() -> None:
    for name in ("0002_b.json", "0010_c.json", "0001_a.json", "unsaved.json"):
        numbered(name)
    numbered("0012_d.json", "Darwin-CPython-3.9-64bit")
    numbered("interrupted_e.json")
    assert find(None).name == "0010_c.json"
    logger = Logger()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    storage = load_storage(  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        "file://.benchmarks", logger=logger, default_machine_id=OWN, netrc=None
    )
    *_, (compared, _) = storage.load()  # what --benchmark-compare takes
    assert find(None).resolve() == (storage.path / compared).resolve()


def test_a_run_of_another_system_is_the_newest_if_there_is_no_other() -> None:
    path = numbered("0002_b.json", "Darwin-CPython-3.9-64bit")
    assert find(None).resolve() == path.resolve()
    numbered("0001_a.json", "Darwin-CPython-3.10-64bit")
    with pytest.raises(
        ResultsError, match=r"^none of 2 runs is of this system and Python: .*0001_a"
    ):
        find(None)


def test_a_run_is_found_by_its_number_by_its_name_or_by_its_path() -> None:
    path = numbered("0002_b_20260101.json")
    numbered("0003_c.json")
    elsewhere = save(whole_run(), Path("elsewhere.json"))
    numbered("0002_b.json", "Darwin-CPython-3.9-64bit")
    for name in ("0002", "0002_b", f"{OWN}/0002", str(path)):
        assert find(name).resolve() == path.resolve()
    assert find(str(elsewhere)) == elsewhere
    shutil.rmtree(".benchmarks")
    assert find(str(elsewhere)) == elsewhere
    assert not Path(".benchmarks").exists()


def test_a_number_of_two_other_machines_is_refused() -> None:
    numbered("0001_a.json", "Darwin-CPython-3.9-64bit")
    numbered("0001_b.json", "Darwin-CPython-3.10-64bit")
    with pytest.raises(ResultsError, match=r"'0001' fits 2 runs: .*0001_a.json.*; give the path"):
        find("0001")


@pytest.mark.parametrize(
    "name", ["0002", "missing.json", "no/such/run.json", "/", "/no", "x*", 300 * "x"]
)
def test_a_missing_run_is_an_error(name: str) -> None:
    numbered("0001_a.json")
    with pytest.raises(ResultsError, match=f"no run {re.escape(repr(name))} in .benchmarks"):
        find(name)


def test_where_nothing_is_saved_the_error_says_how_to() -> None:
    with pytest.raises(ResultsError, match=r"no runs are saved in .*--benchmark-autosave"):
        find(None)
    Path(".benchmarks").mkdir()
    with pytest.raises(ResultsError, match="no numbered run"):
        find(None)


# ---- read ------------------------------------------------------------------------------------


def test_a_row_holds_the_saved_figures_per_image() -> None:
    run = load(str(save(whole_run(), Path("0007_x.json"))))
    assert (run.name, run.round_budget, run.machine) == ("0007", 0.3, MACHINE)
    assert len(run.rows) == len(whole_run()["benchmarks"])
    row = run.rows[Key("read_many", "", "lmdb", 1000)]
    per_image = speed("lmdb") * 1.01
    assert row.figure.microseconds == pytest.approx(per_image)
    assert row.rounds is not None
    np.testing.assert_allclose(row.rounds, per_image * np.array(SPREAD), rtol=1e-3)
    assert [row.q1, row.q3] == pytest.approx([per_image * 0.9925, per_image * 1.005])
    assert (row.recorded.images_per_round, row.recorded.allocated_bytes, row.recorded.files) == (
        1000,
        4_096_000,
        4,
    )
    assert row.interval is not None
    assert row.interval.low < per_image < row.interval.high
    assert [*row.figure.sweeps] == [(0, sweep) for sweep in range(len(SPREAD))]


def test_a_run_of_before_sweeps_has_one() -> None:
    run = load(str(save(in_one_sweep(whole_run()), Path("old.json"))))
    for row in run.rows.values():
        assert row.rounds is not None
        assert row.figure.sweeps == {(0, 0): [row.figure.microseconds]}
        assert row.interval is None


def test_a_run_without_rounds_has_no_intervals() -> None:
    run = load(str(save(without_rounds(whole_run()), Path("old.json"))))
    assert run.name == "old"
    assert {row.interval for row in run.rows.values()} == {None}


def test_what_this_version_does_not_know_is_named_and_left_out() -> None:
    saved = whole_run()
    saved["benchmarks"] += [bench("read_many", "zarr", 10, 5.0), bench("erase", "png", 10, 5.0)]
    run = load(str(save(saved, Path("new.json"))))
    assert run.strangers == ("zarr", "erase")
    assert {key[2] for key in run.rows} == {*ROWS}
    assert "erase" not in {key[0] for key in run.rows}


def info(**changed: object) -> Callable[[Saved], None]:
    return lambda one: one["extra_info"].update(changed)


def stats(**changed: object) -> Callable[[Saved], None]:
    return lambda one: one["stats"].update(changed)


@pytest.mark.parametrize(
    "damage",
    [
        *(info(n=value) for value in (None, 0, -5, 10.5, "10")),
        *(info(images_per_round=value) for value in (0, -1, "many", None)),
        *(info(backend=value) for value in (None, ["png"], 5)),
        *(info(files=value) for value in (0, True, 1e400, 10**400)),
        *(info(allocated_bytes=value) for value in (0, -4096, 10**16)),
        info(apparent_bytes=-1),
        *(info(n=value) for value in (True, 10**400, float("inf"))),
        *(info(pixel_megabytes_per_second=value) for value in (0, -1.0, NAN, INF, 10**400, "5")),
        *(stats(median=value) for value in (0, -1.0, None, "1s", NAN, INF, 1e300, 1e-300, 10**400)),
        *(stats(q1=value) for value in (None, -1.0, NAN, 1e3)),
        *(stats(q3=value) for value in (INF, 1e-9)),
        *(stats(rounds=value) for value in (0, 10**400, 7.5)),
        *(info(operation="parallel_read", variant=f"{of} processes") for of in (0, "", -1, 10**9)),
        info(cache=5),
        info(operation=None),
        info(variant=None),
        info(files="x"),
        lambda one: one.pop("stats"),
        lambda one: one.pop("extra_info"),
        lambda one: one.update(extra_info=None),
        lambda one: one["extra_info"].pop("cache"),
    ],
)
def test_a_damaged_benchmark_is_named_and_the_others_are_read(
    damage: Callable[[Saved], Any],
) -> None:
    saved = whole_run()
    saved["benchmarks"] = saved["benchmarks"][:6]
    damage(saved["benchmarks"][3])
    run = load(str(save(saved, Path("damaged.json"))))
    assert run.unreadable == (saved["benchmarks"][3]["name"],)
    assert len(run.rows) == len(saved["benchmarks"]) - 1


def test_a_benchmark_that_is_there_twice_counts_once_and_is_named() -> None:
    saved = whole_run()
    again = bench("read_many", "png", 10, 999.0)
    run = load(str(save(saved | {"benchmarks": [*saved["benchmarks"], again]}, Path("two.json"))))
    assert run.unreadable == (again["name"],)
    assert run.rows[Key("read_many", "", "png", 10)].figure.microseconds < 999


@pytest.mark.parametrize(
    "damage",
    [
        *(info(rounds_microseconds=value) for value in ("1 x", "1 nan", "", 5, None, ["1"])),
        info(rounds_microseconds="1 2 3"),
        info(rounds_microseconds=" ".join(7 * ["nan"])),
        info(rounds_microseconds=" ".join(7 * ["1"])),  # as many, but with another median
        lambda one: one["extra_info"].pop("rounds_microseconds"),
    ],
)
def test_damaged_rounds_cost_a_row_its_interval_and_no_more(
    damage: Callable[[Saved], Any],
) -> None:
    saved = whole_run()
    damage(saved["benchmarks"][3])
    run = load(str(save(saved, Path("damaged.json"))))
    assert run.unreadable == ()
    assert len(run.rows) == len(saved["benchmarks"])
    lacking = [row for row in run.rows.values() if row.interval is None]
    assert [row.figure.backend for row in lacking] == [
        saved["benchmarks"][3]["extra_info"]["backend"]
    ]


@pytest.mark.parametrize("budget", [None, "x", 0, -1, NAN, INF, pytest.param(10**400, id="huge")])
def test_a_damaged_round_budget_costs_nothing_but_itself(budget: object) -> None:
    saved = whole_run()
    info(round_budget_seconds=budget)(saved["benchmarks"][0])
    assert load(str(save(saved, Path("one.json")))).round_budget == 0.3
    for one in saved["benchmarks"]:
        info(round_budget_seconds=budget)(one)
    run = load(str(save(saved, Path("all.json"))))
    assert run.round_budget is None
    assert len(run.rows) == len(saved["benchmarks"])


def test_text_that_cannot_be_printed_is_escaped() -> None:
    saved = whole_run()
    saved["machine_info"] |= {"cpu_model": "a\nb\x1b[1m", "libraries": {"\ud800": ["\u2028"]}}
    saved["benchmarks"][3] |= {"name": "c\rd", "stats": {}}
    run = load(str(save(saved, Path("ru\n\x7f.json"))))
    assert run.machine["cpu_model"] == r"a\nb\x1b[1m"
    assert run.machine["libraries"] == {r"\ud800": [r"\u2028"]}
    assert run.unreadable == (r"c\rd",)
    assert run.name == r"ru\n\x7f"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged: not JSON"),
        (json.dumps(whole_run()).encode()[:5000], "is damaged: not JSON"),
        (b"\xff\xfe\x00", "is damaged: not JSON"),
        (b"[" * 100_000, "is damaged: not JSON"),
        (b"[1]", "is not a run"),
        (b'{"benchmarks": []}', "is not a run"),
        (b'{"machine_info": {}, "benchmarks": [5]}', "is not a run"),
        (b'{"machine_info": {}, "benchmarks": []}', "holds no benchmark"),
        (b'{"machine_info": {}, "benchmarks": [{"name": "other"}]}', "holds no benchmark"),
    ],
)
def test_a_file_that_is_no_run_is_an_error_of_one_line(content: bytes, reason: str) -> None:
    Path("bad.json").write_bytes(content)
    with pytest.raises(ResultsError, match=f"^bad.json {reason}"):
        load("bad.json")
    Path("bad.json").rename("b\na\x1bd.json")
    with pytest.raises(ResultsError, match=rf"^b\\na\\x1bd.json {reason}"):
        load("b\na\x1bd.json")


def test_a_cold_row_stands_beside_the_warm_one() -> None:
    saved = whole_run()
    cold = bench("read_many", "hdf5", 1000, 9.0)
    cold["extra_info"] |= {"cache": "cold", "resident_fraction": 0.0}
    saved["benchmarks"].append(cold)
    run = load(str(save(saved, Path("run.json"))))
    assert run.unreadable == ()
    warm = Key("read_many", "", "hdf5", 1000)
    assert run.rows[warm._replace(cold=True)].figure.microseconds == pytest.approx(9.0)
    assert run.rows[warm].figure.microseconds < 9.0
    assert not any(row.key.cold for row in run.of("read_many"))
    only_cold = load(str(save(saved | {"benchmarks": [cold]}, Path("cold.json"))))
    assert [row.key for row in only_cold.of("read_many")] == [warm._replace(cold=True)]


def test_skipped_rows_are_read_but_for_damaged_and_unknown_ones() -> None:
    known = SkippedRow(Key("read_many", "", "png", 10, cold=True), "tmpfs keeps it")
    strange = SkippedRow(known.key._replace(backend="tape"), "why")
    rows = [known.written(), strange.written(), {"n": 0}, 7]
    saved = whole_run() | {"skipped": rows}
    assert load(str(save(saved, Path("run.json")))).skipped == (known,)
    assert load(str(save(saved | {"skipped": 7}, Path("run.json")))).skipped == ()


def test_a_run_of_one_back_end_is_read() -> None:
    saved = only(whole_run(), lambda info: info["backend"] == "png")
    run = load(str(save(saved, Path("png.json"))))
    assert {key[2] for key in run.rows} == {"png"}
    assert {row.figure.n for row in run.of("read_many")} == {*NS}
