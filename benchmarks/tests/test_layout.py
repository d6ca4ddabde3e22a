"""What keeps `benchmarks/` easy to find one's way in."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from .runs import REPOSITORY

BENCHMARKS, STORAGE = REPOSITORY / "benchmarks", REPOSITORY / "storage"
MEASURING = ("contenders", "datasets", "harness", "operations", "peers", "results")
JUDGING = ("benchmarks.evaluation", "benchmarks.gate", "benchmarks.report", "benchmarks.tools")
TESTS = ("benchmarks.tests", "storage.tests")
MOST_IN_A_FOLDER = 24
"""Modules; more do not fit in a screen."""


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The full names of all that a module imports, wherever it does."""
    package = ".".join(path.parent.relative_to(REPOSITORY).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def named(path: Path) -> Iterator[str]:
    """The names of the classes and types that a module defines."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name[0].isupper() and not name.isupper():
                    yield name


def test_what_measures_imports_neither_what_judges_nor_tests() -> None:
    paths = [path for folder in MEASURING for path in modules(BENCHMARKS / folder)]
    assert any(name.startswith("benchmarks.harness.") for path in paths for name in imported(path))
    found = [
        (str(path.relative_to(REPOSITORY)), name)
        for path in paths
        for name in imported(path)
        if f"{name}.".startswith(tuple(f"{package}." for package in (*JUDGING, *TESTS)))
    ]
    assert found == []


def twice(names: Iterable[str], known: str) -> list[str]:
    """The names that are there more than once; `known` is there."""
    counted = Counter(names)
    assert known in counted
    return [name for name, times in counted.items() if times > 1]


def test_no_two_things_share_a_name() -> None:
    assert twice((n for path in modules(BENCHMARKS) for n in named(path)), "Recorded") == []


def test_nor_do_classes_of_the_library_and_the_suite() -> None:
    """Aliases of types may: both call an array of labels `Labels`."""
    paths = [path for folder in (BENCHMARKS, STORAGE) for path in modules(folder)]
    classes = (
        node.name
        for path in paths
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert twice(classes, "Store") == []


def test_a_folder_fits_in_a_screen() -> None:
    folders = {path.parent for path in modules(BENCHMARKS)}
    large = [folder for folder in folders if len([*folder.glob("*.py")]) > MOST_IN_A_FOLDER]
    assert large == []


def test_the_tests_mirror_the_folders() -> None:
    mirrored = [
        path for path in (BENCHMARKS / "tests").iterdir() if (path / "__init__.py").exists()
    ]
    assert mirrored
    assert [path.name for path in mirrored if not (BENCHMARKS / path.name).is_dir()] == []
    stray = [path.name for path in (BENCHMARKS / "tests").glob("test_*.py")]
    assert stray == [Path(__file__).name]
