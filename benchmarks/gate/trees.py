"""The two versions of the project, each in its own directory outside the repository.

The head is the working tree when the gate starts, including uncommitted changes and new files that
are not ignored; later edits do not matter. The base is a commit. It is exported, not checked out by
`git worktree`, so it leaves nothing behind in the repository even if the gate is killed. The head's
benchmarks measure both versions: only `storage/` differs.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .errors import InvalidError

STORES, BENCHMARKS, REQUIREMENTS = "storage", "benchmarks", "requirements.txt"
EXPORTED = (STORES, BENCHMARKS, "conftest.py", "pytest.ini", REQUIREMENTS)
HARNESS = (BENCHMARKS, "conftest.py", "pytest.ini", "storage/tests")
"""The files that measure, and those that they import; both sides use the head's."""
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?P<what>[^#]*)")
"""A line of requirements.txt that is not blank or a comment."""
SHOWN = 12
"""Characters of a commit's hash that are shown."""


def git(repository: Path, *arguments: str) -> bytes:
    """The output of git; raises InvalidError with the last line of its error if it fails."""
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and `--end-of-options` before a user's word
            ["git", "-C", repository, *arguments],  # noqa: S607  # the user's own git
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise InvalidError("git is not installed, and the base is one of its commits") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it does not say why"]
        raise InvalidError(f"git {arguments[0]} failed: {said[-1]}")
    return done.stdout


@dataclass(frozen=True)
class Base:
    """The commit to compare with.

    name: the user's name for it, with the start of its hash
    """

    commit: str
    name: str


def find_base(repository: Path, revision: str) -> Base:
    """The commit that `revision` names; raises InvalidError for none, or one without a folder."""
    try:
        asked = ("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        commit = git(repository, "rev-parse", *asked).decode().split()[-1]
    except InvalidError as error:
        git(repository, "rev-parse", "--git-dir")  # raises a better error outside a repository
        raise InvalidError(
            f"--base: there is no commit {revision!r} here; fetch it, or name another"
        ) from error
    present = set(_names(git(repository, "ls-tree", "-z", "--name-only", commit, *EXPORTED)))
    base = Base(commit, f"{revision} ({commit[:SHOWN]})")
    for folder in (BENCHMARKS, STORES):
        if folder not in present:
            raise InvalidError(f"--base: {base.name} has no {folder}/; choose a later commit")
    return base


def export_base(repository: Path, base: Base, tree: Path) -> None:
    """Write the base's files, including its own benchmarks, below the new directory `tree`."""
    if not hasattr(tarfile, "data_filter"):
        raise InvalidError("the gate needs Python 3.11.4 or newer, which refuses unsafe files")
    listed = git(repository, "ls-tree", "-z", "--name-only", base.commit, *EXPORTED)
    archive = git(repository, "archive", base.commit, *_names(listed))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        try:
            files.extractall(tree, filter="data")
        except tarfile.FilterError as error:
            raise InvalidError(f"--base: {base.name} has an unsafe file: {error}") from error


def _names(listed: bytes) -> list[str]:
    """The names of files in a list that git printed with -z."""
    return os.fsdecode(listed).split("\0")[:-1]


def export_head(repository: Path, tree: Path) -> None:
    """Write the working tree's files below the new directory `tree`."""
    if git(repository, "ls-files", "--unmerged"):
        raise InvalidError("the working tree is in the middle of a merge; finish it first")
    asked = ("--cached", "--others", "--exclude-standard", "--", *EXPORTED)
    tree.mkdir()
    for name in _names(git(repository, "ls-files", "-z", *asked)):
        source, target = repository / name, tree / name
        if source.is_file():  # a deleted file may still be in git's index
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for folder in (BENCHMARKS, STORES):
        if not (tree / folder).is_dir():
            raise InvalidError(f"the working tree has no {folder}/")


def share_harness(head: Path, base: Path) -> None:
    """Replace the benchmarks in the base's tree by the head's."""
    for name in HARNESS:
        if (base / name).is_dir():
            shutil.rmtree(base / name)
        if (head / name).is_dir():
            shutil.copytree(head / name, base / name)
        else:
            shutil.copyfile(head / name, base / name)


def uncommitted(repository: Path) -> list[str]:
    """The names of the head's files with uncommitted changes."""
    asked = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *EXPORTED)
    return [entry[3:] for entry in _names(git(repository, "status", *asked))]


def have_same_stores(base: Path, head: Path) -> bool:
    """Whether both sides have the same library, apart from its tests, which are not measured."""
    return _library(base) == _library(head)


def _library(tree: Path) -> dict[str, bytes]:
    folder = tree / STORES
    return {
        name.as_posix(): file.read_bytes()
        for file in folder.rglob("*.py")
        if (name := file.relative_to(folder)).parts[0] != "tests"
    }


def requirement_differences(base: Path, head: Path) -> list[str]:
    """The differences between the two sides' requirements, a phrase for each package."""
    before, after = _requirements(base), _requirements(head)
    return [
        f"{name}: {before.get(name, 'not required')} → {after.get(name, 'not required')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _requirements(tree: Path) -> dict[str, str]:
    """The packages that a tree requires, with their version specifiers."""
    file = tree / REQUIREMENTS
    lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
    found = (REQUIREMENT.match(line) for line in lines)
    return {match["name"].lower(): match["what"].strip() or "any" for match in found if match}
