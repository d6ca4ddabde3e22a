"""Benchmarks named through symbolic links run like those named by their paths."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from benchmarks.harness.links import Project, named_paths
from benchmarks.tests.repositories import make_repository
from benchmarks.tests.runs import BRIEF, SECONDS, environment, names_in, saved_run

PYTEST = Path(sysconfig.get_path("scripts"), "pytest")
"""Unlike `python -m pytest`, it does not import from the directory in which it is started."""
NAME = "test_read_many[limit-n=10]"
CHOSEN = ("--backend=limit", "-k", "read_many")


def run_in(folder: Path, *arguments: str, saved: Path) -> subprocess.CompletedProcess[str]:
    """The program pytest, as started in a folder, which may not be that of the project."""
    return subprocess.run(
        [PYTEST, *BRIEF, *CHOSEN, f"--benchmark-json={saved}", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with links in it, in a folder with links to it."""
    folder = tmp_path_factory.mktemp("linked").resolve()
    made = make_repository(folder / "repository")
    (made / "linked").symlink_to("benchmarks")
    (made / "linked.py").symlink_to("benchmarks/operations/test_read.py")
    (made / "benchmarks" / "operations" / "test_linked.py").symlink_to("test_read.py")
    (folder / "link").symlink_to("repository")
    (folder / "to-link").symlink_to("link")
    return made


@pytest.mark.parametrize(
    ("start", "arguments"),
    [
        ("..", ("link/benchmarks",)),
        ("..", (f"to-link/benchmarks/operations/test_read.py::{NAME}",)),
        ("..", ("link/linked",)),
        (".", ("../link/benchmarks",)),
        (".", (f"linked/operations/test_read.py::{NAME}",)),
        (".", ("linked.py",)),
        (".", ("benchmarks/operations/test_linked.py",)),
        (".", ("linked", "benchmarks")),
        (".", ("--pyargs", "benchmarks.operations.test_read")),
        ("benchmarks/operations", ("test_linked.py",)),
    ],
)
def test_a_benchmark_is_run_and_saved_once_however_it_is_named(
    repository: Path, tmp_path: Path, start: str, arguments: tuple[str, ...]
) -> None:
    done = run_in(repository / start, *arguments, saved=tmp_path / "run.json")
    assert done.returncode == 0, done.stdout
    saved = saved_run(tmp_path / "run.json")
    assert names_in(saved) == [NAME]
    assert saved["benchmarks"][0]["fullname"] == f"benchmarks/operations/test_read.py::{NAME}"
    assert saved["machine_info"]["dataset_name"] == "standin"
    assert " image storage benchmark " in done.stdout


def test_one_project_under_two_names_is_refused_in_one_line(
    repository: Path, tmp_path: Path
) -> None:
    both = ("../link/benchmarks/operations/test_read.py", "benchmarks/operations/test_store.py")
    done = run_in(repository, *both, saved=tmp_path / "run.json")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in done.stdout.splitlines() if "ERROR" in line]
    assert "named both with and without a symbolic link" in line
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("options", [(), ("--backend", "limit"), ("--benchmark-disable",)])
@pytest.mark.parametrize(
    ("folder", "named"),
    [
        ("benchmarks", "straight"),
        ("benchmarks", "straight/operations/test_read.py"),
        ("benchmarks/operations", "straight"),
        ("benchmarks/operations", f"straight/test_read.py::{NAME}"),
    ],
)
def test_a_link_straight_to_the_benchmarks_is_refused_in_one_line(
    repository: Path, tmp_path: Path, folder: str, named: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "straight").symlink_to(repository / folder)
    arguments = [str(PYTEST), f"{tmp_path}/{named}", *options]
    done = subprocess.run(
        arguments, cwd=repository, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (done.stdout + done.stderr).splitlines()[:1]
    assert line.startswith(f"ERROR: {tmp_path / 'straight'}")
    assert line.endswith(f"; name {repository / 'benchmarks/operations'} itself")
    assert "Traceback" not in done.stdout + done.stderr


def test_what_leads_elsewhere_or_nowhere_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "outside").symlink_to(tmp_path)
    (tmp_path / "project" / "loop").symlink_to("loop")
    (tmp_path / "project" / "dangling").symlink_to("nothing")
    project = Project(tmp_path / "project")
    for name in ("outside", "loop", "dangling", "missing", "test.py::test[a::b/..]"):
        assert project.without_links(name, project.folder) == name
        assert not project.is_second_name(project.folder / name)


def test_a_module_is_named_only_where_pytest_takes_it_for_one(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    names = [
        "benchmarks.tests.harness.test_links",
        "benchmarks.tests.harness::x",
        "no.such.module",
        "a/b.py",
    ]
    found = named_paths(names, tmp_path, pyargs=True)
    assert found[:2] == [here, here.parent]
    (tmp_path / "loop").symlink_to("loop")
    assert named_paths(["loop"], tmp_path, pyargs=False) == [tmp_path / "loop"]
    assert found[2:] == named_paths(names[2:], tmp_path, pyargs=False)
