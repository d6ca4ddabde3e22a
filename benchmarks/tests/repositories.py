"""Throw-away git repositories that hold this project, for the tests of the gate."""

import subprocess
from pathlib import Path
from shutil import copy, copytree
from shutil import ignore_patterns as _without

from .runs import REPOSITORY

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
SLOWER = """

parse = Hdf5Part._parse


def parse_often(part):
    for _ in range(20):
        parse(part)
    return parse(part)


Hdf5Part._parse = parse_often
"""
"""Put at the end of `storage/_hdf5.py`, it makes opening a store take many times as long."""


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own command
        ["git", *IDENTITY, *arguments],  # noqa: S607  # the user's own git
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(repository: Path, message: str = "more") -> str:
    """Commit all there is; returns its hash."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(repository, "rev-parse", "HEAD")


def make_repository(folder: Path) -> Path:
    """The project at `folder`, but for the tests of its tools, committed once."""
    copytree(REPOSITORY / "storage", folder / "storage", ignore=_without("__pycache__"))
    tools = _without("__pycache__", "tests")
    copytree(REPOSITORY / "benchmarks", folder / "benchmarks", ignore=tools)
    for name in ("conftest.py", "pytest.ini", "requirements.txt", ".gitignore"):
        copy(REPOSITORY / name, folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    return folder


def make_slower(repository: Path) -> None:
    """Make opening HDF5 stores slower in the working tree."""
    with (repository / "storage" / "_hdf5.py").open("a") as file:
        file.write(SLOWER)
