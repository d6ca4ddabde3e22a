"""Tests of `benchmarks/peers`."""
