"""Tests of `benchmarks/gate`."""
