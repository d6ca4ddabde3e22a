"""Tests of the benchmark tools."""

from benchmarks.report.plain import import_matplotlib

import_matplotlib()  # before a test does, which may run in a notebook, too
