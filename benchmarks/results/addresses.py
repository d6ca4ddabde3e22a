"""Where a saved benchmark is now.

pytest-benchmark takes two benchmarks for the same if their `fullname` is, which begins with the path
of the module. Runs that were saved before modules were moved still compare by way of this.
"""

import re
from typing import Any

MOVED = re.compile(r"^benchmarks/(?=test_\w+\.py::)")
"""How addresses began before the benchmarks had a folder of their own."""


def update(bench: dict[str, Any]) -> None:
    """Give a saved benchmark the address that it has now."""
    bench["fullname"] = MOVED.sub("benchmarks/operations/", bench["fullname"])
