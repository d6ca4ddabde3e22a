"""Further programs, each started with `python -m benchmarks.tools.NAME`."""
