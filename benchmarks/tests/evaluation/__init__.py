"""Tests of `benchmarks/evaluation`."""
