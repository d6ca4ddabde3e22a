"""Throw-away git repositories that hold this project, for the tests of the gate."""

import subprocess
from pathlib import Path
from shutil import copy, copytree
from shutil import ignore_patterns as _without

from .runs import REPOSITORY

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
SLOWER = """

opening = Hdf5Store.__init__


def open_slowly(store, *arguments, **options):
    sum(range(100_000))
    opening(store, *arguments, **options)


Hdf5Store.__init__ = open_slowly
"""
"""Put at the end of the storage library, it makes opening a store take many times as long."""


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
    """Commit everything; returns the commit's hash."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(repository, "rev-parse", "HEAD")


def make_repository(folder: Path) -> Path:
    """The project at `folder`, without its tests, in one commit."""
    # What the tests have in common stays, since pytest learns the option --faults from it.
    untested = _without("__pycache__", "test_*.py")
    copytree(REPOSITORY / "storage", folder / "storage", ignore=untested)
    tools = _without("__pycache__", "tests")
    copytree(REPOSITORY / "benchmarks", folder / "benchmarks", ignore=tools)
    for name in ("conftest.py", "pytest.ini", "requirements.txt", ".gitignore"):
        copy(REPOSITORY / name, folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    return folder


def append_to_storage(repository: Path, code: str) -> None:
    """Append `code` to a module that every storage library has."""
    with (repository / "storage" / "__init__.py").open("a") as file:
        file.write(code)


def make_slower(repository: Path) -> None:
    """Make opening HDF5 stores slower in the working tree."""
    append_to_storage(repository, SLOWER)
