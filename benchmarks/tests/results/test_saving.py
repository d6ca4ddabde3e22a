"""Results are not lost at the end: a run that cannot be saved is refused, or shown all the same."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

from benchmarks.results.saving import new_file
from benchmarks.tests.repositories import git, make_repository
from benchmarks.tests.runs import run

CHOSEN = ("--backend=limit", "-k", "read_many")

SPOILING = """
import shutil
from pathlib import Path

def pytest_runtest_logfinish():
    folder = Path(__file__).with_name("saved")
    shutil.rmtree(folder)
    folder.write_text("in the way")
"""
"""A plugin under which, once a benchmark is measured, a file is where the run is to be saved."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a small file system, and makes it read-only, where the user may."""
    mounted = tmp_path / "disk"
    mounted.mkdir()

    def make(*, size: str = "16m", read_only: Path | None = None) -> Path:
        made = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", mounted]
        if subprocess.run([*map(str, made)], capture_output=True).returncode:
            pytest.skip("only root may make a file system of a chosen size")
        if read_only:
            copytree(read_only, mounted, dirs_exist_ok=True, symlinks=True)
            subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)  # binds root too
        return mounted

    yield make
    subprocess.run(["umount", mounted], capture_output=True)


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """In one line, before anything is measured."""
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "ERROR" in line]
    assert said in line
    assert "Traceback" not in done.stdout
    assert "collected" not in done.stdout


def assert_shown(done: subprocess.CompletedProcess[str], where: Path, why: str) -> None:
    """All tables, and at the end one line that says that nothing was saved."""
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "benchmark 'read_many n=10': 1 tests" in done.stdout
    assert "1 passed" in done.stdout
    tables = done.stdout.split(" image storage benchmark ")[1]
    assert "\nlimit " in tables
    (line,) = [line for line in tables.splitlines() if "NOT SAVED" in line]
    assert line.startswith(f"NOT SAVED: {where}")
    assert line.endswith(why)
    assert "Traceback" not in done.stdout


def test_in_a_read_only_checkout_a_run_to_be_saved_is_refused(
    tmp_path: Path, disk: Callable[..., Path]
) -> None:
    checkout = disk(read_only=make_repository(tmp_path / "repository"))
    done = run("--benchmark-autosave", *CHOSEN, repository=checkout)
    assert_refused(done, f"--benchmark-storage: {checkout} is not writable")
    assert run(*CHOSEN, repository=checkout).returncode == 0
    done = run("--benchmark-disable", "--benchmark-autosave", *CHOSEN, repository=checkout)
    assert done.returncode == 0, done.stdout


def test_a_run_from_another_directory_is_saved_in_the_repository(tmp_path: Path) -> None:
    """With the commit that is measured."""
    repository, elsewhere = make_repository(tmp_path / "repository"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    tests = str(repository / "benchmarks")
    done = run("--benchmark-autosave", *CHOSEN, repository=elsewhere, tests=tests)
    assert done.returncode == 0, done.stdout
    assert not [*elsewhere.iterdir()]
    (file,) = (repository / ".benchmarks").glob("*/0001_*.json")
    commit = git(repository, "rev-parse", "HEAD")
    assert commit in file.name
    assert json.loads(file.read_text())["commit_info"]["id"] == commit


def test_what_cannot_be_written_is_refused_by_its_option(
    tmp_path: Path, disk: Callable[..., Path]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "old.xml").touch()
    folder = disk(read_only=tmp_path / "empty")
    for said, *arguments in (
        ("--benchmark-storage", "--benchmark-save=x", f"--benchmark-storage=file://{folder}/new"),
        ("--benchmark-json", f"--benchmark-json={folder / 'run.json'}"),
        ("--junitxml", f"--junitxml={folder / 'new' / 'run.xml'}"),
    ):
        done = run(*arguments, *CHOSEN)
        assert_refused(done, f"{said}: {folder} is not writable, and the run is to be saved there")
    done = run(f"--junitxml={folder / 'old.xml'}", *CHOSEN)
    assert_refused(done, f"--junitxml: {folder / 'old.xml'} is not writable")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--benchmark-json={}",), "--benchmark-json: '{}' is no file"),
        (
            ("--benchmark-json={}/missing/run.json",),
            "--benchmark-json: '{}/missing/run.json' is no",
        ),
        (("--benchmark-json=",), "--benchmark-json: '.' is no file"),
        (
            ("--benchmark-autosave", "--benchmark-storage={}/file/saved"),
            "--benchmark-storage: {}/file is not a directory",
        ),
        (("--benchmark-histogram",), "--benchmark-histogram: pygal, which draws it"),
    ],
)
def test_what_is_no_place_for_a_run_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file").touch()
    done = run(*(argument.format(tmp_path) for argument in arguments), *CHOSEN)
    assert_refused(done, said.format(tmp_path))


def test_a_place_that_goes_while_the_run_measures_costs_no_table(tmp_path: Path) -> None:
    (tmp_path / "spoiling.py").write_text(SPOILING)
    storage = tmp_path / "saved"
    done = run(
        *("-p", "spoiling", "--benchmark-autosave", f"--benchmark-storage={storage}"),
        *CHOSEN,
        plugins=tmp_path,
    )
    assert_shown(done, storage, "Not a directory")


def test_a_full_disk_costs_no_table_and_no_other_file(
    tmp_path: Path, disk: Callable[..., Path]
) -> None:
    storage = disk(size="8k")
    (storage / "filling").write_bytes(bytes(4096))
    (storage / "more").touch()
    with (storage / "filling").open("ab") as file:
        file.write(bytes(os.statvfs(storage).f_bavail * 4096))
    done = run(
        *("--benchmark-autosave", f"--benchmark-storage={storage}"),
        f"--benchmark-json={tmp_path / 'run.json'}",
        *CHOSEN,
    )
    assert_shown(done, storage, "No space left on device")
    assert [*storage.rglob("*.json")] == []
    assert (tmp_path / "run.json").exists()


def test_a_device_that_takes_nothing_costs_no_table_and_stays() -> None:
    done = run("--benchmark-json=/dev/full", *CHOSEN)
    assert_shown(done, Path("/dev/full"), "No space left on device")
    assert Path("/dev/full").exists()


def test_a_second_run_of_a_name_that_ends_early_does_not_replace_the_first(tmp_path: Path) -> None:
    for name in ("interrupted_mine.json", "interrupted_mine_2.json", "interrupted_mine_3.json"):
        (target := new_file(tmp_path, "interrupted_mine")).touch(exist_ok=False)
        assert target.name == name
