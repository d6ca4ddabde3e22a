"""Refuses, in one line, to run benchmarks without the project around them.

pytest looks for `conftest.py` and `pytest.ini` above a path as the user named it. Above a link from
elsewhere to this folder or its parent there are none, so the suite's options would be missing.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL = HERE.resolve()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    files = (getattr(plugin, "__file__", None) for plugin in pluginmanager.get_plugins())
    project = REAL.parents[1] / "conftest.py"
    if not any(file and Path(file).resolve() == project for file in files):
        raise pytest.UsageError(
            f"{HERE} leads to {REAL}, and pytest looks for the project above the link;"
            f" name {REAL} itself"
        )
