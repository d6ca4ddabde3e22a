"""Processes that measure say in one line why they ended."""

import pytest

from benchmarks.harness.processes import reason


@pytest.mark.parametrize(
    ("output", "code", "why"),
    [
        ("ERROR: --cutoff: too large\n\n", 4, "--cutoff: too large"),
        (
            "E   ImportError: cannot import name 'x'\n=== short",
            2,
            "ImportError: cannot import name 'x'",
        ),
        ("Traceback\nstorage.DiskFullError: full\n", 1, "storage.DiskFullError: full"),
        ("nothing\n", 3, "pytest ended with code 3"),
        ("ERROR: first\n", -9, "it was ended by SIGKILL"),
    ],
)
def test_why_a_process_ended_is_one_line(output: str, code: int, why: str) -> None:
    assert reason(output, code) == why
