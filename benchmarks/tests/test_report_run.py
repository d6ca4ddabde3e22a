"""Finding a saved run, and what of a damaged, older or foreign one is read."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report.errors import ReportError
from benchmarks.report.run import find, load
from benchmarks.rounds import KEY
from benchmarks.rows import ROWS

from .saved import MACHINE, NS, SPREAD, Saved, bench, only, save, speed, whole_run, without_rounds


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: runs are looked for below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbered(name: str, machine: str = "Linux-CPython-3.11-64bit") -> Path:
    return save(whole_run(), Path(".benchmarks", machine, name))


# ---- found -----------------------------------------------------------------------------------


def test_the_newest_run_is_that_of_the_highest_number() -> None:
    for name in ("0002_b.json", "0010_c.json", "0001_a.json", "unsaved.json"):
        numbered(name)
    assert find(None).name == "0010_c.json"


def test_a_run_is_found_by_its_number_by_its_name_or_by_its_path() -> None:
    path = numbered("0002_b_20260101.json")
    numbered("0003_c.json")
    elsewhere = save(whole_run(), Path("elsewhere.json"))
    for name in ("0002", "0002_b", "Linux-*/0002", str(path)):
        assert find(name).resolve() == path.resolve()
    assert find(str(elsewhere)) == elsewhere
    shutil.rmtree(".benchmarks")
    assert find(str(elsewhere)) == elsewhere
    assert not Path(".benchmarks").exists()


def test_a_number_of_two_machines_is_refused() -> None:
    numbered("0001_a.json")
    numbered("0001_b.json", "Darwin-CPython-3.12-64bit")
    with pytest.raises(ReportError, match=r"'0001' fits 2 runs: .*0001_a.json.*; give the path"):
        find("0001")


@pytest.mark.parametrize("name", ["0002", "missing.json", "no/such/run.json", "/", "/no", "x*"])
def test_a_missing_run_is_an_error(name: str) -> None:
    numbered("0001_a.json")
    with pytest.raises(ReportError, match=f"no run {re.escape(repr(name))} in .benchmarks"):
        find(name)


def test_where_nothing_is_saved_the_error_says_how_to() -> None:
    with pytest.raises(ReportError, match=r"no runs are saved in .*--benchmark-autosave"):
        find(None)
    Path(".benchmarks").mkdir()
    with pytest.raises(ReportError, match="no numbered run"):
        find(None)


# ---- read ------------------------------------------------------------------------------------


def test_a_row_holds_the_saved_figures_per_image() -> None:
    run = load(str(save(whole_run(), Path("0007_x.json"))))
    assert (run.name, run.round_budget, run.machine) == ("0007", 0.3, MACHINE)
    assert len(run.rows) == len(whole_run()["benchmarks"])
    row = run.rows["read_many", "", "lmdb", 1000]
    per_image = speed("lmdb") * 1.01
    assert row.figure.microseconds == pytest.approx(per_image)
    assert row.rounds is not None
    np.testing.assert_allclose(row.rounds, per_image * np.array(SPREAD), rtol=1e-3)
    assert [row.q1, row.q3] == pytest.approx([per_image * 0.9925, per_image * 1.005])
    assert (row.images, row.allocated_bytes, row.files) == (1000, 4_096_000, 4)
    assert row.images_per_second == pytest.approx(1e6 / per_image)
    assert row.interval is not None
    assert row.interval.low < per_image < row.interval.high


def test_a_run_without_rounds_has_no_intervals() -> None:
    run = load(str(save(without_rounds(whole_run()), Path("old.json"))))
    assert run.name == "old"
    assert not run.has_rounds
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
        *(info(**{KEY: value}) for value in ("1 x", "1 nan", "0 1", 5)),
        *(stats(median=value) for value in (0, -1.0, None, "1s", float("nan"), float("inf"))),
        stats(q1=None),
        stats(rounds=0),
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
    damage(saved["benchmarks"][3])
    run = load(str(save(saved, Path("damaged.json"))))
    assert run.unreadable == (saved["benchmarks"][3]["name"],)
    assert len(run.rows) == len(saved["benchmarks"]) - 1


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
    with pytest.raises(ReportError, match=f"^bad.json {reason}") as caught:
        load("bad.json")
    assert "\n" not in str(caught.value)


def test_a_run_of_one_back_end_is_read() -> None:
    saved = only(whole_run(), lambda info: info["backend"] == "png")
    run = load(str(save(saved, Path("png.json"))))
    assert {key[2] for key in run.rows} == {"png"}
    assert {row.figure.n for row in run.of("read_many")} == {*NS}
