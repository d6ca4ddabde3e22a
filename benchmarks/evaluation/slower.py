"""A pytest plugin that makes one row slower by `SLOWER`, a true difference of known size.

pytest benchmarks --twin=hdf5 -p benchmarks.evaluation.slower --slow-row=hdf5-twin
"""

import pytest

from benchmarks.gate.inject import Slowdown

SLOWER = 0.10


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("evaluation, for its own use").addoption("--slow-row", required=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Slowdown(SLOWER, config.getoption("slow_row")))
