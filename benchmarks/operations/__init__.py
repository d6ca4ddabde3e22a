"""The benchmarks, one module per kind of operation."""
