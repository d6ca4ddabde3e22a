"""Runs that are refused, fail or are interrupted, and those that measure only a part."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.runs import load
from benchmarks.tests.datasets.test_batches import write_batches
from benchmarks.tests.runs import (
    REPOSITORY,
    SECONDS,
    command,
    environment,
    names_in,
    run,
    saved_run,
    skip_if_ignored,
    too_wide,
)

CORRUPTING = """
from benchmarks.contenders.rows import ROWS

genuine = ROWS["lmdb"].read_many

def read_many(path, shape):
    images, labels = genuine(path, shape)
    images[-1, -1, -1, -1] ^= 1
    return images, labels

ROWS["lmdb"].read_many = read_many
"""
"""A plugin under which one row of one operation returns a wrong pixel."""

CORRUPTING_LATE = """
from benchmarks.contenders.rows import ROWS

genuine = ROWS["lmdb"].read_many
calls = 0

def read_many(path, shape):
    global calls
    calls += 1
    images, labels = genuine(path, shape)
    images[-1, -1, -1, -1] ^= calls > 2  # the warm-up and one round were right
    return images, labels

ROWS["lmdb"].read_many = read_many
"""
"""A plugin under which one row of one operation returns a wrong pixel once it has been timed."""

CORRUPTING_THE_FIRST = """
from benchmarks.contenders.rows import STORE_ROWS

store_class = STORE_ROWS["lmdb"].store_class
read_single, read_many = store_class.read_single, store_class.read_many

def corrupt_single(store, image_id):
    image, label = read_single(store, image_id)
    image[0, 0, 0] ^= image_id == 5
    return image, label

def corrupt_batch(store, ids=None):
    images, labels = read_many(store, ids)
    images[0, 0, 0, 0] ^= len(labels) == 256
    return images, labels

store_class.read_single, store_class.read_many = corrupt_single, corrupt_batch
"""
"""A plugin under which an early image and an early batch of an open store have a wrong pixel."""

FILLED = """
import errno
from benchmarks.contenders.rows import ROWS

def store_many(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")

ROWS["lmdb"].store_many = store_many
"""
"""A plugin under which the disk is full when one row stores many images."""

STALLING_IN = """
import time
from pathlib import Path

def {hook}():
    Path(__file__).with_name("stalled").touch()
    time.sleep(600)
"""
"""A plugin under which a run stalls outside of any benchmark, where pytest calls that hook."""

FORGETTING = """
length = store_class.__len__
store_class.__len__ = lambda store: length(store) - 1
"""
"""Appended to the previous plugin, it makes every store report one image less."""

STALLING = """
import time
from pathlib import Path
from benchmarks.contenders.rows import ROWS

genuine = ROWS["limit"].read_many
calls = 0

def read_many(path, shape):
    global calls
    calls += 1
    if calls == 3:  # the warm-up and one round are done
        Path(__file__).with_name("stalled").touch()
        time.sleep(600)
    return genuine(path, shape)

ROWS["limit"].read_many = read_many
"""
"""A plugin under which one row of one operation never finishes its second round, and says so."""


def assert_refused(*arguments: str, said: str) -> None:
    done = run(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in done.stdout.splitlines() if "ERROR" in line]
    assert said in line
    assert "Traceback" not in done.stdout
    assert "collected" not in done.stdout


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--backend=zarr", "--backend: there is no 'zarr'"),
        ("--cutoff=0", "--cutoff: '0' is not a number of images"),
        ("--store-dir=missing", "is not a directory"),
        ("--dataset=missing", "--dataset: "),
        ("--dataset=~nosuch/x", "--dataset: ~nosuch/x: no such user"),
        ("--dataset=two\nlines", "--dataset: two\\nlines: no such data set"),
        ("--store-dir=~nosuch/x", "--store-dir: ~nosuch/x: "),
        ("--store-dir=", "--store-dir: '' names no directory"),
        ("--benchmark-storage=", "--benchmark-storage: '' names nothing"),
    ],
)
def test_a_wrong_option_ends_the_run_at_once_in_one_line(argument: str, said: str) -> None:
    assert_refused(argument, said=said)


def test_a_cutoff_beyond_the_data_does_too(tmp_path: Path) -> None:
    write_batches(tmp_path / "few", 1, count=7)
    said = "--cutoff: few gives 14 images at most"
    assert_refused(f"--dataset={tmp_path / 'few'}", "--cutoff=10,15", said=said)


def test_a_wrong_result_is_neither_saved_nor_shown_and_the_others_are(tmp_path: Path) -> None:
    (tmp_path / "corrupting.py").write_text(CORRUPTING)
    done = run(
        *("-p", "corrupting"),
        f"--store-dir={tmp_path}",
        f"--benchmark-json={tmp_path / 'run.json'}",
        "--backend=png,lmdb,hdf5",
        *("-k", "read_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
    names = names_in(saved_run(tmp_path / "run.json"))
    assert names == ["test_read_many[png-n=10]", "test_read_many[hdf5-n=10]"]
    summary = done.stdout.split(" image storage benchmark ")[1].split("short test summary")[0]
    rows = [line.split()[0] for line in summary.splitlines() if "read_many[" not in line and line]
    assert "png" in rows
    assert "lmdb" not in rows
    assert "not measured: failed: read_many lmdb n=10" in summary
    assert re.search("^  .*, without lmdb at n=10$", summary, re.MULTILINE)
    failed = SkippedRow(Key("read_many", "", "lmdb", 10), "failed")
    assert load(str(tmp_path / "run.json")).skipped == (failed,)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("image-stores-")] == []


def test_rows_that_were_not_selected_leave_gaps_in_the_summary(tmp_path: Path) -> None:
    done = run(
        f"--store-dir={tmp_path}",
        "--cutoff=4,10",
        "--backend=png,limit",
        *("-k", "read_many or store_single"),
        "--deselect=benchmarks/operations/test_read.py::test_read_many[limit-n=10]",
        "--deselect=benchmarks/operations/test_store.py::test_store_single[limit]",
    )
    assert done.returncode == 0, done.stdout
    summary = done.stdout.split(" image storage benchmark ")[1]
    assert re.search(r"^store_single: .*; µs per call$", summary, re.MULTILINE)
    assert re.search(r"^read_many: .*; µs per image \(× limit\)$", summary, re.MULTILINE)
    rows = [line.split() for line in summary.splitlines() if line.startswith(("png", "limit"))]
    shapes = [["×" if "×" in cell else "-" if cell == "-" else "" for cell in row] for row in rows]
    assert shapes == [["", ""], ["", "", "×", ""], ["", "", "-"]]
    assert too_wide(summary) == []


def test_with_benchmarks_disabled_everything_is_tried_and_nothing_is_said_of_time(
    tmp_path: Path,
) -> None:
    done = run(
        "--benchmark-disable",
        f"--store-dir={tmp_path}",
        f"--benchmark-json={tmp_path / 'run.json'}",
        "--backend=png,limit",
        "--ignore=benchmarks/tests",  # where this test is
        "--deselect=benchmarks/operations/test_parallel.py",
        "--deselect=benchmarks/operations/test_loader.py",  # it may be skipped
    )
    assert done.returncode == 0, done.stdout
    each_of_two, each_store = 4, 1 + 4 + 1 + 1 + 2
    assert f" {2 * each_of_two + each_store} passed, 7 deselected" in done.stdout
    assert " image storage benchmark " not in done.stdout
    assert "Median" not in done.stdout
    assert [*tmp_path.iterdir()] == []


# With --assert=plain pytest leaves the asserts of the benchmarks, too, to Python.
@pytest.mark.parametrize("level", ["1", "2"])
def test_an_optimised_python_checks_results_too(tmp_path: Path, level: str) -> None:
    (tmp_path / "corrupting.py").write_text(CORRUPTING + CORRUPTING_THE_FIRST + FORGETTING)
    done = run(
        *("-p", "corrupting", "--assert=plain"),
        f"--store-dir={tmp_path}",
        f"--benchmark-json={tmp_path / 'run.json'}",
        "--cutoff=300",
        "--backend=lmdb,limit",
        *("-k", "read_many or epoch or (iterate and single) or append or commits_open"),
        plugins=tmp_path,
        variables={"PYTHONOPTIMIZE": level},
    )
    assert done.returncode == 1, done.stdout
    assert names_in(saved_run(tmp_path / "run.json")) == ["test_read_many[limit-n=300]"]
    assert done.stdout.count("WrongResultError") >= 5


@pytest.mark.parametrize("timed", ["--benchmark-disable", "--benchmark-enable"])
def test_every_image_of_a_pass_is_checked(tmp_path: Path, timed: str) -> None:
    (tmp_path / "corrupting.py").write_text(CORRUPTING_THE_FIRST)
    done = run(
        *("-p", "corrupting"),
        timed,
        f"--store-dir={tmp_path}",
        "--cutoff=300",  # a batch of 256, and a last one that is right
        "--backend=lmdb",
        "--ignore=benchmarks/tests",  # where this test is
        *("-k", "epoch or (iterate and single)"),
        plugins=tmp_path,
    )
    assert done.returncode == 1, done.stdout
    failed = re.findall(r"^FAILED .*::(\S+\])", done.stdout, re.MULTILINE)
    assert failed == ["test_epoch[lmdb-n=300]", "test_iterate[lmdb-n=300-single]"]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the file is there; raises AssertionError where the process ends without it."""
    for _ in range(100 * SECONDS):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


Send = Callable[[int, int], None]
"""Sends a signal to a process, or to all processes of a group, by the first one's number."""


def interrupted_run(
    folder: Path, how: signal.Signals, send: Send, *arguments: str
) -> tuple[int, str]:
    """The exit code and the output of a stalled run with its stores in `folder`."""
    skip_if_ignored(how)
    with subprocess.Popen(
        command(*arguments, f"--store-dir={folder}"),
        cwd=REPOSITORY,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_for(folder / "stalled", process)
            assert [*folder.glob("image-stores-*")] != []
            send(process.pid, how)
            time.sleep(0.1)  # and another, while it clears up
            with suppress(ProcessLookupError):
                send(process.pid, signal.SIGTERM)
            output = process.communicate(timeout=SECONDS)[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


# A terminal sends its signal to all processes, also to those that read.
@pytest.mark.parametrize(
    ("how", "send"),
    [
        (signal.SIGINT, os.kill),
        (signal.SIGINT, os.killpg),
        (signal.SIGTERM, os.kill),
        (signal.SIGHUP, os.killpg),
    ],
    ids=["SIGINT-one", "SIGINT-group", "SIGTERM-one", "SIGHUP-group"],
)
def test_an_interrupted_run_removes_its_stores_and_does_not_save_what_it_broke_off(
    tmp_path: Path, how: signal.Signals, send: Send
) -> None:
    (tmp_path / "stalling.py").write_text(STALLING)
    code, output = interrupted_run(
        tmp_path,
        how,
        send,
        *("-p", "stalling"),
        f"--benchmark-json={tmp_path / 'run.json'}",
        *("--backend=hdf5,limit", "--sweeps=1"),
        *("-k", "read_single or read_many or parallel_read"),
    )
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert [*tmp_path.glob("image-stores-*")] == []
    assert "EOFError" not in output
    assert names_in(saved_run(tmp_path / "run.json")) == [
        *(f"test_parallel_read[hdf5-n=10-processes={processes}]" for processes in (1, 2, 4)),
        "test_read_single[hdf5-n=10]",
        "test_read_single[limit-n=10]",
        "test_read_many[hdf5-n=10]",
    ]


def test_an_interrupted_run_is_saved_as_such_and_without_a_number(tmp_path: Path) -> None:
    """So that nothing takes it for the newest run."""
    (tmp_path / "stalling.py").write_text(STALLING)
    storage = tmp_path / "saved"
    chosen = ("--backend=hdf5,limit", "--sweeps=1", "-k", "read_single or read_many")
    saving = ("--benchmark-save=mine", f"--benchmark-storage={storage}")
    code, output = interrupted_run(
        tmp_path, signal.SIGINT, os.kill, "-p", "stalling", *saving, *chosen
    )
    assert code == pytest.ExitCode.INTERRUPTED, output
    (file,) = storage.rglob("*.json")
    assert file.name == "interrupted_mine.json"
    assert saved_run(file)["interrupted"] == "by Ctrl-C or another signal"
    assert load(str(file)).interruption == "by Ctrl-C or another signal"


def test_a_run_that_is_interrupted_in_its_first_benchmark_is_not_saved(tmp_path: Path) -> None:
    (tmp_path / "stalling.py").write_text(STALLING)
    storage = tmp_path / "saved"
    saving = ("--benchmark-autosave", f"--benchmark-storage={storage}")
    code, output = interrupted_run(
        tmp_path,
        signal.SIGINT,
        os.kill,
        *("-p", "stalling", *saving, f"--benchmark-json={tmp_path / 'run.json'}"),
        *("--backend=limit", "-k", "read_many"),
    )
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert [*storage.rglob("*.json")] == []
    assert not (tmp_path / "run.json").exists()


def test_a_run_in_which_every_benchmark_fails_is_not_saved(tmp_path: Path) -> None:
    (tmp_path / "corrupting.py").write_text(CORRUPTING_LATE)
    saved = tmp_path / "run.json"
    chosen = ("-p", "corrupting", "--backend=lmdb", "--sweeps=1", "-k", "read_many")
    done = run(*chosen, f"--benchmark-json={saved}", plugins=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert not saved.exists()
    # pytest-benchmark says it itself where the first to fail had not been timed yet.
    said = f"NOT SAVED: {saved}: no benchmark was measured", "Not saving anything, no benchmarks"
    assert any(text in done.stdout for text in said), done.stdout


@pytest.mark.parametrize(
    "hook", ["pytest_collection_modifyitems", "pytest_sessionfinish", "pytest_unconfigure"]
)
def test_a_run_that_is_interrupted_as_it_begins_or_ends_removes_its_stores(
    tmp_path: Path, hook: str
) -> None:
    (tmp_path / "stalling.py").write_text(STALLING_IN.format(hook=hook))
    chosen = ("-k", "parallel_read", "--backend=hdf5")
    code, output = interrupted_run(tmp_path, signal.SIGTERM, os.kill, "-p", "stalling", *chosen)
    assert code != 0, output
    assert [*tmp_path.glob("image-stores-*")] == []


def test_a_saved_run_that_is_not_there_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    done = run(f"--benchmark-storage=file://{tmp_path}", "--benchmark-compare=0099", "--cutoff=10")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in done.stdout.splitlines() if "ERROR" in line)
    assert "--benchmark-compare: there is no saved run 0099" in line


@pytest.mark.parametrize(
    "saved",
    [
        "{",
        '{"benchmarks": []}',
        '{"machine_info": {}, "benchmarks": [{"name": "a", "fullname": "a", "stats": {"min": "x"}}]}',
    ],
)
def test_a_saved_run_that_is_damaged_is_refused_before_anything_is_measured(
    tmp_path: Path, saved: str
) -> None:
    (tmp_path / "0001_run.json").write_text(saved)
    done = run(f"--benchmark-storage=file://{tmp_path}", "--benchmark-compare")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in done.stdout.splitlines() if "ERROR" in line)
    assert "--benchmark-compare: " in line
    assert " damaged: " in line
    assert line.endswith("; name another run")


@pytest.mark.parametrize("more", [(), ("--benchmark-compare",)])
def test_a_limit_for_a_comparison_with_nothing_is_refused_before_anything_is_measured(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    options = (f"--benchmark-storage=file://{tmp_path}", "--benchmark-compare-fail=median:10%")
    done = run(*options, *more)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in done.stdout.splitlines() if "ERROR" in line)
    assert "there is no saved run" in line if more else "nothing is compared" in line


def test_what_would_be_run_is_listed_without_the_data(tmp_path: Path) -> None:
    """All of it and nothing else, though the data are not there."""
    done = run("--collect-only", f"--dataset={tmp_path / 'absent'}", "--backend=png")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert "<Function test_read_many[png-n=10]>" in done.stdout
    assert "<Module test_batch.py>" in done.stdout
    assert "<Module test_options.py>" not in done.stdout


def test_a_disk_that_fills_up_ends_the_run_in_one_line(tmp_path: Path) -> None:
    """What was measured is shown and kept."""
    (tmp_path / "filled.py").write_text(FILLED)
    saved = tmp_path / "run.json"
    options = ("-p", "filled", f"--benchmark-json={saved}", "-k", "store_single or store_many")
    done = run(*options, "--backend=lmdb,limit", "--sweeps=1", plugins=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert "Traceback" not in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("the disk is full:"))
    assert "choose another by --store-dir" in line
    kept = json.loads(saved.read_text())
    assert len(kept["benchmarks"]) == 2
    assert kept["interrupted"] == "the disk is full"
    assert "limit" in done.stdout.split(" image storage benchmark ")[1]
