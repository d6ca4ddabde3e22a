"""Tests of `benchmarks/results`."""
