"""Fresh processes that measure: their environment, and why they ended."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
REASON = re.compile(r"(?:E +)?((?:\w+\.)*(?:\w+Error|ERROR|UsageError)\b: .*)")
"""A line of pytest's output that says why it ended."""
UNSET = {
    "PYTHONSAFEPATH",  # a tree's own packages must come first
    "PYTHONHASHSEED",  # each process needs its own seed, so that no pair repeats another's
    "PYTHONDONTWRITEBYTECODE",  # many processes read the trees, which are removed afterwards
}
UTF8 = {"PYTHONIOENCODING": "utf-8"}
"""Set for processes whose output is read here, whatever this process's own encoding is."""


def environment() -> dict[str, str]:
    """The environment of a measured process: this one's, without what changes how it runs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and name not in UNSET
    }
    return kept | UTF8


def reason(output: str, code: int | None) -> str:
    """The reason why pytest ended, in one line."""
    if code is None:
        return "it has closed its connection, but not ended"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    found = REASON.findall(output)
    if found:
        return str(found[-1]).removeprefix("ERROR: ")
    return f"pytest ended with code {code}"


def run_pytest(arguments: Sequence[str]) -> tuple[int, str]:
    """Run pytest in a fresh process; returns its exit code and what it printed.

    After an interruption here, it is ended first, and removes its stores.
    """
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", "pytest", *arguments],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.communicate()  # not just a wait: it may have more to print than a pipe holds
            raise
    return process.returncode, output
