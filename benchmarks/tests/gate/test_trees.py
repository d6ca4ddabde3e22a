"""The two versions that the gate compares: what is taken, and what is refused."""

from pathlib import Path

import pytest

from benchmarks.gate import trees
from benchmarks.gate.errors import InvalidError
from benchmarks.tests.repositories import commit, git, make_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def test_the_head_is_the_working_tree_as_it_is(repository: Path, tmp_path: Path) -> None:
    (repository / "storage" / "__init__.py").write_text("changed")
    (repository / "storage" / "_new.py").write_text("new")
    (repository / "storage" / "__pycache__").mkdir()
    (repository / "storage" / "__pycache__" / "x.pyc").write_text("ignored")
    (repository / "storage" / "tests" / "__init__.py").unlink()
    trees.export_head(repository, tmp_path / "head")
    storage = tmp_path / "head" / "storage"
    assert {"_new.py", "__init__.py", "tests"} < {path.name for path in storage.iterdir()}
    assert not (storage / "__pycache__").exists()
    assert not (storage / "tests" / "__init__.py").exists()
    assert (storage / "__init__.py").read_text() == "changed"
    assert (tmp_path / "head" / "conftest.py").exists()
    assert trees.uncommitted(repository) == [
        "storage/__init__.py",
        "storage/tests/__init__.py",
        "storage/_new.py",
    ]


def test_what_is_not_measured_does_not_make_a_tree_dirty(repository: Path) -> None:
    (repository / "README.md").write_text("new")
    (repository / ".benchmarks").mkdir()
    (repository / ".benchmarks" / "0001.json").write_text("{}")
    assert trees.uncommitted(repository) == []


def test_the_base_is_the_commit_and_measured_by_the_head_s_benchmarks(
    repository: Path, tmp_path: Path
) -> None:
    package = (repository / "storage" / "__init__.py").read_text()
    (repository / "storage" / "__init__.py").write_text("of the head")
    (repository / "benchmarks" / "operations" / "test_read.py").write_text("of the head")
    (repository / "benchmarks" / "operations" / "test_batch.py").unlink()
    (repository / "conftest.py").write_text("of the head")
    (repository / "storage" / "tests" / "samples.py").write_text("of the head")
    base = trees.find_base(repository, "main")
    assert base.commit == git(repository, "rev-parse", "HEAD")
    assert base.name == f"main ({base.commit[:12]})"
    trees.export_base(repository, base, tmp_path / "base")
    assert (tmp_path / "base" / "benchmarks" / "operations" / "test_batch.py").exists()
    trees.export_head(repository, tmp_path / "head")
    trees.share_harness(tmp_path / "head", tmp_path / "base")
    assert (tmp_path / "base" / "storage" / "__init__.py").read_text() == package
    assert (
        tmp_path / "base" / "benchmarks" / "operations" / "test_read.py"
    ).read_text() == "of the head"
    assert not (tmp_path / "base" / "benchmarks" / "operations" / "test_batch.py").exists()
    assert (tmp_path / "base" / "conftest.py").read_text() == "of the head"
    # Which conftest.py imports some of.
    assert (tmp_path / "base" / "storage" / "tests" / "samples.py").read_text() == "of the head"
    assert git(repository, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("revision", ["nowhere", "0" * 40, "--help", "main:storage", ""])
def test_a_base_that_is_no_commit_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(InvalidError, match="there is no commit"):
        trees.find_base(repository, revision)


@pytest.mark.parametrize("folder", ["benchmarks", "storage"])
def test_a_base_without_benchmarks_or_stores_is_refused(repository: Path, folder: str) -> None:
    git(repository, "rm", "-r", "--quiet", folder)
    commit(repository)
    with pytest.raises(InvalidError, match=rf"HEAD \(\w+\) has no {folder}/"):
        trees.find_base(repository, "HEAD")


def test_outside_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InvalidError, match="not a git repository"):
        trees.find_base(tmp_path, "main")


def test_without_git_there_is_a_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InvalidError, match="git is not installed"):
        trees.find_base(repository, "main")


def test_an_unfinished_merge_is_refused(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "other")
    (repository / "pytest.ini").write_text("one")
    commit(repository)
    git(repository, "checkout", "--quiet", "main")
    (repository / "pytest.ini").write_text("two")
    commit(repository)
    with pytest.raises(Exception, match="merge"):  # git's exit code
        git(repository, "merge", "other")
    with pytest.raises(InvalidError, match="in the middle of a merge"):
        trees.export_head(repository, tmp_path / "head")


def test_requirements_that_differ_are_named(tmp_path: Path) -> None:
    for side, text in {
        "base": "# a comment\nh5py>=3.14,<4\nlmdb>=3.0,<4   # why\nnumpy>=2.1\nPillow\n",
        "head": "h5py>=3.14,<4  # another comment\nlmdb>=3.1,<4\npillow\n\nscipy==1.15\n",
    }.items():
        (tmp_path / side).mkdir()
        (tmp_path / side / "requirements.txt").write_text(text)
    assert trees.requirement_differences(tmp_path / "base", tmp_path / "head") == [
        "lmdb: >=3.0,<4 → >=3.1,<4",
        "numpy: >=2.1 → not required",
        "scipy: not required → ==1.15",
    ]
    assert trees.requirement_differences(tmp_path / "base", tmp_path / "base") == []


def test_a_side_without_requirements_requires_nothing(tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "requirements.txt").write_text("numpy\n")
    differences = trees.requirement_differences(tmp_path / "base", tmp_path / "head")
    assert differences == ["numpy: not required → any"]


def test_stores_are_the_same_where_no_module_of_the_library_differs(
    repository: Path, tmp_path: Path
) -> None:
    for side in ("base", "head"):
        trees.export_head(repository, tmp_path / side)
    base, head = tmp_path / "base", tmp_path / "head"
    (head / "storage" / "tests" / "__init__.py").write_text("more = 1")
    (head / "benchmarks" / "__init__.py").write_text("more = 1")
    assert trees.have_same_stores(base, head)
    (head / "storage" / "containers" / "more.py").write_text("")
    assert not trees.have_same_stores(base, head)


def test_a_python_that_does_not_refuse_unsafe_files_is_named(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("tarfile.data_filter")
    base = trees.find_base(repository, "main")
    with pytest.raises(InvalidError, match=r"needs Python 3\.11\.4"):
        trees.export_base(repository, base, tmp_path / "base")
