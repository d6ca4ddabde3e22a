"""Tests of `benchmarks/contenders`."""
