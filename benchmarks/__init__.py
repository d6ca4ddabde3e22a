"""Benchmarks of the stores, and the tools that read saved runs."""
