"""Tests of `benchmarks/tools`."""
