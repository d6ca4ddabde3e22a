"""The benchmarks, and the code that measures, shows and judges them."""
