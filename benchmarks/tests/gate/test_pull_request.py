"""The gate of a pull request: `.ci/gate`, with a program in place of Python that notes its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.tests.runs import REPOSITORY

NOTING = """#!/bin/sh
printf '%s\\n' "$@" > "$NOTED"
exit "$CODE"
"""
USUAL = ["-m", "benchmarks.gate", "--base", "HEAD^1"]


def gate(folder: Path, code: int = 0, **variables: str) -> tuple[int, str, list[str]]:
    """The exit code, what is printed, and the arguments of a gate that ends with `code`."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").write_text(NOTING)
    (folder / "bin" / "python").chmod(0o755)
    noted = folder / "noted"
    done = subprocess.run(
        [REPOSITORY / ".ci" / "gate", "HEAD^1"],
        env={
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(folder),  # as if one were active
            "NOTED": str(noted),
            "CODE": str(code),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, noted.read_text().splitlines()


def test_what_the_text_of_a_pull_request_names_is_expected(tmp_path: Path) -> None:
    text = "Zarr, too\r\n\r\nGate-expect: zarr\r\n  Gate-expect: test_append[npy-n=10]\r\nAnd more.\r\n"
    _, _, arguments = gate(tmp_path, PULL_REQUEST_TEXT=text)
    assert arguments == [*USUAL, "--expect=zarr", "--expect=test_append[npy-n=10]"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Gate-expect: a b",
        "Gate-expect: $(touch noted)",
        "Gate-expect: x; exit 0",
        "Gate-expect: --",
        "I wrote Gate-expect: png",
        "Gate-expect:",
    ],
)
def test_other_text_is_never_an_option_nor_run(tmp_path: Path, text: str) -> None:
    _, printed, arguments = gate(tmp_path, PULL_REQUEST_TEXT=text)
    assert [argument for argument in arguments if argument != "--expect=--"] == USUAL
    assert printed == ""


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_a_verdict_is_the_exit_code(tmp_path: Path, code: int) -> None:
    assert gate(tmp_path, code)[:2] == (code, "")


def test_an_inconclusive_gate_warns_and_fails_only_if_asked(tmp_path: Path) -> None:
    (tmp_path / "asked").mkdir()
    code, printed, _ = gate(tmp_path, 3)
    assert code == 0
    assert printed.startswith("::warning title=Regression gate::Inconclusive")
    assert gate(tmp_path / "asked", 3, GATE_INCONCLUSIVE="fail")[:2] == (3, "")
