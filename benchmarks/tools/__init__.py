"""Programs beside the benchmarks, each started by `python -m benchmarks.tools.NAME`."""
