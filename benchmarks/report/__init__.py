"""A saved run as a page: `python -m benchmarks.report [RUN] [--out DIR] [--against RUN]`."""

from .plain import import_matplotlib

import_matplotlib()  # before any module here imports it
