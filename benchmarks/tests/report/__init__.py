"""Tests of `benchmarks/report`."""
