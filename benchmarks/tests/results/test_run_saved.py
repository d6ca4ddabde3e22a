"""A run from end to end: what is printed, what is saved, and what it may be compared with."""

import json
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.contenders.rows import DEFAULT_ROWS, DEFAULT_STORES, STORE_ROWS
from benchmarks.harness.cache import MOST_RESIDENT
from benchmarks.harness.options import COLD_OPERATIONS
from benchmarks.results import rounds
from benchmarks.results.machine import LIBRARIES
from benchmarks.results.summary import TITLES
from benchmarks.tests.datasets.test_batches import write_batches
from benchmarks.tests.harness.test_loader import HAS_TORCH
from benchmarks.tests.runs import REPOSITORY, environment, names_in, run, saved_run, too_wide

WORKERS = (0, 1, 2, 4) if HAS_TORCH else ()
"""Of PyTorch's `DataLoader`, in a run without further options."""
SHM = Path("/dev/shm")
COMMAND = Path(sysconfig.get_path("scripts"), "pytest-benchmark")


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: where it was saved, and what it printed."""

    storage: Path
    store_dir: Path
    output: str

    @property
    def file(self) -> Path:
        """The first that was saved there."""
        return next(iter(sorted(self.storage.rglob("0001_*.json"))))

    @property
    def is_never_cold(self) -> bool:
        """Whether the file system keeps what it is asked to drop."""
        return "of the store stays in memory when evicted" in self.output

    @property
    def json(self) -> dict[str, Any]:
        return saved_run(self.file)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run of every benchmark for every row that is measured by default."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "stores").mkdir()
    done = run(
        f"--benchmark-storage=file://{folder / 'saved'}",
        "--benchmark-autosave",
        "--cache=both",
        "--sweeps=3",
        f"--store-dir={folder / 'stores'}",
    )
    assert done.returncode == 0, done.stdout
    return FinishedRun(folder / "saved", folder / "stores", done.stdout)


@pytest.fixture(scope="module")
def second(whole: FinishedRun) -> subprocess.CompletedProcess[str]:
    """A run like it of some benchmarks, compared with it and saved beside it."""
    return run(
        f"--benchmark-storage=file://{whole.storage}",
        "--benchmark-autosave",
        "--benchmark-compare=0001",
        "--cache=both",
        f"--store-dir={whole.store_dir}",
        "--backend=lmdb,limit",
        *("-k", "read_many or read_single"),
    )


# ---- what is saved ---------------------------------------------------------------------------


def test_every_row_is_saved_under_a_readable_name(whole: FinishedRun) -> None:
    expected = {f"test_store_single[{name}]" for name in DEFAULT_ROWS}
    for operation in ("store_many", "read_single", "read_many"):
        expected |= {f"test_{operation}[{name}-n=10]" for name in DEFAULT_ROWS}
    for operation in ("append", "read_batch", "epoch"):
        expected |= {f"test_{operation}[{name}-n=10]" for name in DEFAULT_STORES}
    for name in DEFAULT_STORES:
        expected |= {f"test_iterate[{name}-n=10-{how}]" for how in ("single", "slice")}
        expected |= {f"test_parallel_read[{name}-n=10-processes={size}]" for size in (1, 2, 4)}
        expected |= {f"test_loader[{name}-workers={count}]" for count in WORKERS}
        expected |= {f"test_commits_store[{name}]", f"test_commits_open[{name}]"}
        expected |= {f"test_commits_read[{name}-{how}]" for how in ("read", "compacted")}
    if not whole.is_never_cold:
        expected |= {
            f"test_{operation}[{name}-n=10-cold]"
            for operation in COLD_OPERATIONS
            for name in (DEFAULT_STORES if operation == "read_batch" else DEFAULT_ROWS)
        }
    names = names_in(whole.json)
    assert len(names) == len(expected)
    assert set(names) == expected
    assert "test_read_many[lmdb-n=10]" in names


def test_other_stores_have_every_row_of_a_store(whole: FinishedRun, tmp_path: Path) -> None:
    others = [name for name in STORE_ROWS if name not in DEFAULT_STORES][::3]
    done = run(
        f"--backend={','.join(others)}",
        "--sweeps=1",
        "--cache=both",
        f"--store-dir={tmp_path}",
        f"--benchmark-json={tmp_path / 'others.json'}",
    )
    assert done.returncode == 0, done.stdout
    names = names_in(saved_run(tmp_path / "others.json"))
    of_one = [name for name in names_in(whole.json) if "[hdf5" in name]
    expected = {name.replace("[hdf5", f"[{other}") for name in of_one for other in others}
    assert set(names) == expected
    assert too_wide(done.stdout.split(" image storage benchmark ")[1]) == []


def test_one_group_holds_the_rows_of_one_operation_at_one_n(whole: FinishedRun) -> None:
    for bench in whole.json["benchmarks"]:
        operation = bench["extra_info"]["operation"]
        assert re.match(rf"test_{operation}(_store|_open|_read)?\[", bench["name"])
        at_n = "" if operation == "store_single" else " n=10"
        # The rows of commits are of unlike operations: storing, opening, reading.
        variant = f" {bench['extra_info']['variant']}" if operation == "commits" else ""
        cold = " cold" if "-cold]" in bench["name"] else ""
        assert bench["group"] == operation + variant + at_n + cold


def test_every_row_says_what_its_figure_depends_on(whole: FinishedRun) -> None:
    for bench in whole.json["benchmarks"]:
        info, median = bench["extra_info"], bench["stats"]["median"]
        images = info["images_per_round"]
        assert images == {
            "store_single": 1,
            "read_single": 1,
            "append": 256,
            "read_batch": 256,
            "parallel_read": 8 * 256 * bench["params"].get("processes", 0),
            "commits": 1 if info["variant"] == "open" else 10,
        }.get(info["operation"], 10)
        assert info["images_per_second"] == pytest.approx(images / median)
        assert info["pixel_megabytes_per_second"] == pytest.approx(images * 0.003072 / median)
        assert info["microseconds_per_image"] == pytest.approx(median / images * 1e6)
        assert info["backend"] in bench["name"]
        assert info["n"] == (1 if info["operation"] == "store_single" else 10)
        assert None not in info.values()
        assert info["image_shape"] == [32, 32, 3]
        assert info["files"] >= 1
        assert info["apparent_bytes"] > 0
        assert info["allocated_bytes"] % 512 == 0
        assert info["dataset"] == whole.json["machine_info"]["dataset"]
        assert info["round_budget_seconds"] == 0.01
        assert bench["stats"]["rounds"] >= 3
        assert bench["stats"]["iterations"] == 1


def test_every_row_holds_the_duration_of_each_round(whole: FinishedRun) -> None:
    for bench in whole.json["benchmarks"]:
        found, stats = rounds.unpack(bench["extra_info"]["rounds_microseconds"]), bench["stats"]
        assert len(found) == stats["rounds"]
        saved = [stats["min"], stats["median"], stats["max"]]
        assert [found.min(), np.median(found), found.max()] == pytest.approx(saved, rel=1e-3)


def test_every_row_says_its_cache_state_and_its_durability(whole: FinishedRun) -> None:
    promises = dict.fromkeys(("article-png", "article-hdf5"), "as the tutorial: not synced")
    promises["article-lmdb"] = "as the tutorial: synced"
    for bench in whole.json["benchmarks"]:
        info = bench["extra_info"]
        assert info["cache"] == ("cold" if "-cold]" in bench["name"] else "warm")
        assert info.get("resident_fraction", 1) <= MOST_RESIDENT or info["cache"] == "warm"
        if (info["operation"], info["variant"]) == ("commits", "store"):
            assert info["durability"] == "buffered"
        else:
            assert info["durability"] == promises.get(info["backend"], "durable")


def test_rows_that_read_a_store_give_the_size_that_storing_it_gave(whole: FinishedRun) -> None:
    sizes: dict[str, set[tuple[int, int]]] = {}
    for bench in whole.json["benchmarks"]:
        info = bench["extra_info"]
        if info["operation"] not in ("store_single", "append", "commits"):
            size = info["files"], info["apparent_bytes"]
            sizes.setdefault(info["backend"], set()).add(size)
    assert set(sizes) == set(DEFAULT_ROWS)
    assert {name: len(found) for name, found in sizes.items()} == dict.fromkeys(DEFAULT_ROWS, 1)


def test_parameters_are_saved_by_name(whole: FinishedRun) -> None:
    assert "UNSERIALIZABLE" not in whole.file.read_text()
    by_name = {bench["name"]: bench["params"] for bench in whole.json["benchmarks"]}
    limit = {"contender": "limit", "n": 10, "cold": False}
    assert by_name["test_read_many[limit-n=10]"] == limit
    assert by_name["test_store_many[png-n=10]"] == {"contender": "png", "n": 10}


def test_the_run_says_where_it_was_made(whole: FinishedRun) -> None:
    info = whole.json["machine_info"]
    assert {
        "cpu_model": str,
        "cores": int,
        "memory_gib": int,
        "kernel": str,
        "file_system": str,
        "dataset": str,
        "python_version": str,
    }.items() <= {key: type(value) for key, value in info.items()}.items()
    assert set(info["libraries"]) == set(LIBRARIES)
    assert {"numpy", "pillow", "lmdb", "h5py"} <= set(LIBRARIES)
    assert (info["dataset_name"], info["cache"], info["durability"]) == (
        "standin",
        "warm",
        "durable",
    )
    assert info["dataset"].startswith("standin-v")


def test_the_run_says_nothing_that_changes_by_itself(whole: FinishedRun) -> None:
    info = whole.json["machine_info"]
    assert "node" not in info
    assert "cpu" not in info
    text = whole.file.read_text()
    assert "hz_actual" not in text
    assert str(whole.store_dir) not in text


def test_the_stores_are_removed(whole: FinishedRun) -> None:
    assert [*whole.store_dir.iterdir()] == []


# ---- what is printed -------------------------------------------------------------------------


def test_tables_and_summary_fit_100_columns(whole: FinishedRun) -> None:
    printed = whole.output.split("test session starts")[1]
    # A path is as long as it is; pytest-benchmark's legend and its line of defaults are its own.
    others = ("  Outliers: ", "benchmark: ", "rootdir: ", "plugins: ", "cachedir: ")
    wide = [line for line in too_wide(printed) if not line.startswith(others)]
    assert [line for line in wide if str(whole.storage.parent) not in line] == []


def test_the_head_names_data_and_disk(whole: FinishedRun) -> None:
    info = whole.json["machine_info"]
    assert f"data: standin ({info['dataset']}), cutoffs 10\n" in whole.output
    assert f"stores: in {whole.store_dir} ({info['file_system']})\n" in whole.output


def test_a_timed_run_measures_only(whole: FinishedRun) -> None:
    assert "benchmarks/operations/test_read.py" in whole.output
    assert "benchmarks/tests" not in whole.output


def test_the_summary_follows_the_tables_of_pytest_benchmark(whole: FinishedRun) -> None:
    tables, summary = whole.output.split(" image storage benchmark ")
    assert "benchmark 'read_many n=10': 7 tests" in tables
    titles = [line.split(":")[0] for line in summary.splitlines() if re.match(r"\w+: ", line)]
    loader = ["loader", "disk", "first_batch"] if HAS_TORCH else ["disk"]
    assert titles == [*(title for title in TITLES if title != "loader"), *loader]
    assert re.search(r"^lmdb +[\d.,]+\*? +×[\d.,]+$", summary, re.MULTILINE)
    assert re.search(r"^hdf5 4 processes +[\d.,]+\*?$", summary, re.MULTILINE)


def test_the_column_of_storing_one_image_is_headed_so(whole: FinishedRun) -> None:
    summary = whole.output.split(" image storage benchmark ")[1].splitlines()
    (title,) = [i for i, line in enumerate(summary) if line.startswith("store_single: ")]
    assert summary[title + 1].split() == ["n=1"]


def test_the_summary_names_data_disk_and_machine_once(whole: FinishedRun) -> None:
    info = whole.json["machine_info"]
    summary = whole.output.split(" image storage benchmark ")[1]
    cache = "warm cache" if whole.is_never_cold else "warm and cold cache"
    state = ("standin", f" on {info['file_system']};", cache, "durable")
    for said in (*state, info["cpu_model"], f"{info['cores']} cores"):
        assert len([line for line in summary.splitlines() if said in line]) == 1, said


# ---- comparing -------------------------------------------------------------------------------


def test_a_like_run_is_compared_and_saved(
    whole: FinishedRun, second: subprocess.CompletedProcess[str]
) -> None:
    assert second.returncode == 0, second.stdout
    assert "test_read_many[lmdb-n=10] (0001" in second.stdout
    assert "test_read_many[lmdb-n=10] (NOW)" in second.stdout
    (saved,) = whole.storage.rglob("0002_*.json")
    assert len(names_in(saved_run(saved))) == (4 if whole.is_never_cold else 8)


def test_the_command_line_compares_two_saved_runs(
    whole: FinishedRun, second: subprocess.CompletedProcess[str]
) -> None:
    assert second.returncode == 0, second.stdout
    done = subprocess.run(
        [
            COMMAND,
            f"--storage=file://{whole.storage}",
            *("compare", "0001", "0002", "--columns=median,rounds"),
        ],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for number in ("0001", "0002"):
        assert f"test_read_single[limit-n=10] ({number}" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.fixture
def before(whole: FinishedRun, tmp_path: Path) -> Path:
    """The run as it was saved before the benchmarks had a folder of their own."""
    saved = whole.file.read_text()
    assert "benchmarks/operations/test_" in saved
    file = tmp_path / whole.file.relative_to(whole.storage)
    file.parent.mkdir()
    file.write_text(saved.replace("benchmarks/operations/test_", "benchmarks/test_"))
    return file


def test_a_run_of_before_the_modules_were_moved_compares(
    whole: FinishedRun, before: Path, tmp_path: Path
) -> None:
    """And one that became slower fails in a line, after all tables."""
    faster = json.loads(before.read_text())
    for bench in faster["benchmarks"]:
        bench["stats"]["median"] /= 100
    before.write_text(json.dumps(faster))
    done = run(
        f"--benchmark-storage=file://{tmp_path}",
        "--benchmark-compare=0001",
        "--benchmark-compare-fail=median:10%",
        f"--store-dir={whole.store_dir}",
        "--backend=limit",
        *("-k", "store_single"),
    )
    assert "test_store_single[limit] (0001" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in done.stdout
    tables = done.stdout.split(" image storage benchmark ")[1]
    assert "store_single: " in tables
    assert done.stdout.count("ERROR: Performance has regressed.") == 1
    both = subprocess.run(
        [COMMAND, "compare", "--between=median", "-k", "store_single", before, whole.file],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [
        line for line in both.stdout.splitlines() if line.startswith("test_store_single[limit]")
    ]
    assert len(rows) == 1, both.stdout + both.stderr
    assert " - " not in rows[0]


def test_a_run_on_other_data_and_another_cache_state_is_refused_in_one_line(
    whole: FinishedRun, tmp_path: Path
) -> None:
    write_batches(tmp_path / "other", 1)
    done = run(
        f"--benchmark-storage=file://{whole.storage}",
        "--benchmark-compare=0001",
        f"--store-dir={whole.store_dir}",
        f"--dataset={tmp_path / 'other'}",
        "--cache=cold",
        "--benchmark-json=refused.json",
    )
    assert done.returncode == 4
    (line,) = [line for line in done.stdout.splitlines() if "ERROR" in line]
    assert f"data set ({whole.json['machine_info']['dataset']}, now sha256:" in line
    assert "--cache (warm, now cold)" in line
    assert "file system" not in line
    assert "Traceback" not in done.stdout
    assert not (REPOSITORY / "refused.json").exists()
    assert [*whole.store_dir.iterdir()] == []


# ---- cold ------------------------------------------------------------------------------------


def cold_run(folder: Path, chosen: str) -> FinishedRun:
    """A cold run of the rows `chosen`, where the file system drops what it is asked to."""
    done = run(
        "--cache=cold",
        f"--store-dir={folder}",
        f"--benchmark-json={folder / '0001_cold.json'}",
        *("-rs", "-k", chosen),
    )
    assert done.returncode == 0, done.stdout
    finished = FinishedRun(folder, folder, done.stdout)
    if finished.is_never_cold:
        pytest.skip("the temporary directory's file system keeps what it is asked to drop")
    return finished


# A store that is opened lists its parts, and reads none of them before it must: nothing of it is in
# use when the clock starts.


def test_a_cold_row_shows_how_cold_it_was(tmp_path: Path) -> None:
    cold = cold_run(tmp_path, "(read_many or read_batch) and (lmdb or hdf5)")
    assert names_in(cold.json) == [
        *(f"test_read_batch[{name}-n=10-cold]" for name in ("lmdb", "hdf5")),
        *(
            f"test_read_many[{name}-n=10-cold]"
            for name in DEFAULT_ROWS
            if "lmdb" in name or "hdf5" in name
        ),
    ]
    assert " skipped" not in cold.output
    for bench in cold.json["benchmarks"]:
        assert bench["extra_info"]["cache"] == "cold"
        assert bench["extra_info"]["resident_fraction"] <= MOST_RESIDENT
    assert cold.json["machine_info"]["cache"] == "cold"
    assert "; cold cache, durable" in re.sub(r"\s+", " ", cold.output)


def test_cold_rows_of_several_processes_are_too(tmp_path: Path) -> None:
    cold = cold_run(tmp_path, "parallel and (lmdb or hdf5)")
    assert names_in(cold.json) == [
        f"test_parallel_read[{name}-n=10-cold-processes={size}]"
        for name in ("lmdb", "hdf5")
        for size in (1, 2, 4)
    ]
    assert " skipped" not in cold.output
    for bench in cold.json["benchmarks"]:
        assert bench["extra_info"]["resident_fraction"] <= MOST_RESIDENT


@pytest.mark.skipif(not SHM.is_dir(), reason="no /dev/shm")
def test_on_a_tmpfs_nothing_is_reported_as_cold(tmp_path: Path) -> None:
    done = run(
        "--cache=cold",
        f"--store-dir={SHM}",
        f"--benchmark-json={tmp_path / 'cold.json'}",
        *("-rs", "-k", "read_many and (png or limit)"),
    )
    assert done.returncode == 0, done.stdout
    assert "passed" not in done.stdout.splitlines()[-1]
    assert re.search(
        r"SKIPPED.*some of the store stays in memory when evicted, .* tmpfs keeps it", done.stdout
    )
    assert not (tmp_path / "cold.json").exists()
    assert (
        " not measured: some of the store stays in memory when evicted, because a process uses"
        " it or tmpfs keeps it: read_many article-png n=10 cold, read_many limit n=10 cold, read_many"
        " png n=10 cold "
    ) in " ".join(done.stdout.split())


@pytest.mark.skipif(not SHM.is_dir(), reason="no /dev/shm")
def test_there_a_default_run_says_why_nothing_is_cold_and_saves_it(tmp_path: Path) -> None:
    done = run(
        "--cache=both",
        f"--store-dir={SHM}",
        f"--benchmark-json={tmp_path / 'run.json'}",
        *("-k", "read_many and hdf5 and not article"),
    )
    assert done.returncode == 0, done.stdout
    saved = saved_run(tmp_path / "run.json")
    assert names_in(saved) == ["test_read_many[hdf5-n=10]"]
    (skipped,) = saved["skipped"]
    assert skipped.pop("reason").endswith("or tmpfs keeps it")
    assert skipped == {
        "operation": "read_many",
        "variant": "",
        "backend": "hdf5",
        "n": 10,
        "cold": True,
    }
    assert " or tmpfs keeps it: read_many hdf5 n=10 cold " in " ".join(done.stdout.split())


def test_cold_rows_are_chosen_by_their_name(tmp_path: Path) -> None:
    done = run(
        *("--collect-only", "-q", "--cache=both", "--cutoff=10,1000,10000"),
        *("--backend=hdf5", "-k", "cold"),
    )
    assert [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line] == [
        f"test_{operation}[hdf5-n=1000-cold]"
        for operation in ("read_batch", "read_single", "read_many")
    ]


def test_pytest_benchmark_compares_cold_rows_with_cold_ones_only(
    whole: FinishedRun,
) -> None:
    if whole.is_never_cold:
        pytest.skip("the temporary directory's file system keeps what it is asked to drop")
    done = subprocess.run(
        [COMMAND, "compare", "--columns=median", "-k", "read_many", whole.file],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "benchmark 'read_many n=10': 7 tests" in done.stdout, done.stdout + done.stderr
    assert "benchmark 'read_many n=10 cold': 7 tests" in done.stdout
