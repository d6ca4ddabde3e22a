"""The suite in a process of its own, as a user runs it, for the tests of what it prints and saves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
COLUMNS = 100
SECONDS = 120
"""Seconds after which a run counts as locked up."""

BRIEF = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",  # slow to start, of no use
    "--dataset=standin",
    "--cutoff=10",
    "--round-budget=0.01",
    "--cache=warm",
    "--sweeps=5",
)
"""Options of a run that takes a few seconds at most; later ones override them."""


def skip_if_ignored(*signals: signal.Signals) -> None:
    """Skip a test of signals that are ignored here, as under `nohup`: what is started ignores them."""
    if ignored := [each.name for each in signals if signal.getsignal(each) is signal.SIG_IGN]:
        pytest.skip(f"{', '.join(ignored)} is ignored here, and so by each process that is started")


def environment(plugins: Path | None = None) -> dict[str, str]:
    """That of this process, without what pytest puts there, at a terminal of 100 columns.

    plugins: where modules for `-p` lie
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    kept |= {"COLUMNS": str(COLUMNS)}
    return kept | ({"PYTHONPATH": str(plugins)} if plugins else {})


def command(*arguments: str, tests: str = "benchmarks") -> list[str]:
    return [sys.executable, "-m", "pytest", tests, *BRIEF, *arguments]


def run(
    *arguments: str,
    tests: str = "benchmarks",
    plugins: Path | None = None,
    repository: Path = REPOSITORY,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks, or other tests; the output holds what went to standard error too.

    variables: of the environment, besides those that this process has
    """
    return subprocess.run(  # noqa: S603  # our own command
        command(*arguments, tests=tests),
        cwd=repository,
        env=environment(plugins) | dict(variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def saved_run(path: Path) -> dict[str, Any]:
    """A saved run, as pytest-benchmark writes it."""
    saved: dict[str, Any] = json.loads(path.read_text())
    return saved


def names_in(saved: dict[str, Any]) -> list[str]:
    """The benchmarks of a saved run."""
    return [bench["name"] for bench in saved["benchmarks"]]


def too_wide(output: str) -> list[str]:
    """Lines that do not fit the terminal."""
    return [line for line in output.splitlines() if len(line) > COLUMNS]
