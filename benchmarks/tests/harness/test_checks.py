"""The checks that figures depend on are made by every Python, however it was started."""

import ast
import subprocess
import sys

import pytest

from benchmarks.harness.checks import WrongResultError, require
from benchmarks.tests.runs import REPOSITORY, environment

REQUIRED = "from benchmarks.harness.checks import require; require(False, 'wrong')"


def test_what_does_not_hold_is_an_error_that_says_so() -> None:
    require(True, "wrong")
    with pytest.raises(WrongResultError, match=r"^wrong$") as caught:
        require(False, "wrong")
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("optimised", [(), ("-O",), ("-OO",)], ids=len)
def test_no_option_of_python_leaves_it_out(optimised: tuple[str, ...]) -> None:
    command = [sys.executable, *optimised, "-c", REQUIRED]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True)
    assert done.returncode == 1
    assert b"WrongResultError: wrong" in done.stderr


def is_for_the_type_checker(test: ast.expr) -> bool:
    """Whether it only narrows a type: without it, the next use of the value fails."""
    match test:
        case ast.Call(func=ast.Name(id="isinstance")):
            return True
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def test_no_figure_depends_on_an_assert() -> None:
    files = [
        file
        for file in (REPOSITORY / "benchmarks").rglob("*.py")
        if "tests" not in file.relative_to(REPOSITORY).parts
    ]
    asserts = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno}"
        for file in (*files, REPOSITORY / "conftest.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert) and not is_for_the_type_checker(node.test)
    ]
    assert asserts == []
