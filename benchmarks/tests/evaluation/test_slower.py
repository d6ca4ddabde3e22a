"""The plugin that makes one row slower, in a run of the suite."""

from pathlib import Path

import pytest

from benchmarks.tests.runs import run

NOTING = """
from benchmarks.gate import inject

genuine = inject.slowed

def slowed(run, fraction):
    with open(__file__ + ".noted", "a") as file:
        file.write(f"{fraction}\\n")
    return genuine(run, fraction)

inject.slowed = slowed
"""


@pytest.mark.parametrize(("row", "is_slow"), [("hdf5-twin", True), ("lmdb-twin", False)])
def test_only_the_row_that_was_named_is_slower(tmp_path: Path, row: str, is_slow: bool) -> None:
    (tmp_path / "noting.py").write_text(NOTING)
    done = run(
        *("-p", "benchmarks.evaluation.slower", f"--slow-row={row}", "-p", "noting"),
        *("--backend=hdf5", "--twin=hdf5", f"--store-dir={tmp_path}", "-k", "read_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    noted = tmp_path / "noting.py.noted"
    assert noted.exists() == is_slow
    if is_slow:
        assert set(noted.read_text().split()) == {"0.1"}
