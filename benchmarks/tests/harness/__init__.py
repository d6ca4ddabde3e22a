"""Tests of `benchmarks/harness` and of whole runs."""
