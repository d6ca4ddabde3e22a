"""The benchmarks, and what measures, shows and judges them."""
