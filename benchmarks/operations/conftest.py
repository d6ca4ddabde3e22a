"""Refuses, in one line, benchmarks that pytest sees without the project around them.

pytest looks for `conftest.py` and `pytest.ini` above a path as it was named. Above a link that leads
here, or to the folder of this one, from elsewhere there are none, and so none of the suite's options.
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
            f"{HERE} leads straight to {REAL}, and pytest looks for the project above the link;"
            f" name {REAL} itself"
        )
