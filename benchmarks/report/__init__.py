"""A saved run as a page: `python -m benchmarks.report [RUN] [--out DIR] [--against RUN]`."""
