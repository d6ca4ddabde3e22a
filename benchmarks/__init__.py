"""The benchmarks, one module per kind of operation, and what they share."""
