"""The present addresses of saved benchmarks.

pytest-benchmark treats two benchmarks as the same if they have the same `fullname`, which begins
with the path of the module. With this, runs saved before modules moved can still be compared.
"""

import re
from typing import Any

MOVED = re.compile(r"^benchmarks/(?=test_\w+\.py::)")
"""The start of addresses from before the benchmarks had their own folder."""


def update(bench: dict[str, Any]) -> None:
    """Give a saved benchmark its present address."""
    bench["fullname"] = MOVED.sub("benchmarks/operations/", bench["fullname"])
