"""The table of a run of peers, in Markdown: formats by operations, for each n."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.results.recorded import Recorded
from benchmarks.results.summary import LIMIT, LIMIT_OF_FILES, ORDER, format_multiple, format_number

from .merging import MEDIANS, RunJson

COLUMNS = {
    ("store_many", ""): "store all",
    ("read_many", ""): "read all",
    ("read_single", ""): "open + one",
    ("read_batch", ""): "random batch",
    ("epoch", ""): "epoch",
    ("iterate", "single"): "one by one",
    ("iterate", "slice"): "slice",
    ("parallel_read", "2 processes"): "2 processes",
}
"""The operations and variants of the table, and its heads."""
NONE = "-"

Cells = dict[str, dict[tuple[str, str], RunJson]]
"""The benchmarks of one n, by row and by operation."""


def table(benchmarks: Sequence[RunJson]) -> list[str]:
    """The lines of one table for each n: µs per image, and multiples of the limit."""
    by_n: dict[int, Cells] = {}
    for bench in benchmarks:
        recorded = Recorded.of(bench["extra_info"])
        row = by_n.setdefault(recorded.n, {}).setdefault(recorded.backend, {})
        row[recorded.operation, recorded.variant] = bench
    lines = []
    for n, rows in sorted(by_n.items()):
        limit = "its limit" if LIMIT_OF_FILES in rows else "limit"
        lines += [
            f"n = {n:,}: µs per image (× {limit} in the same process)",
            "",
            f"| | {' | '.join(COLUMNS.values())} | bytes |",
            "|---" * (len(COLUMNS) + 2) + "|",
        ]
        for name in sorted(rows, key=lambda name: ORDER.get(name, len(ORDER))):
            cells = [_cell(rows, name, key) for key in COLUMNS]
            lines.append(f"| {name} | {' | '.join(cells)} | {_bytes(rows[name])} |")
        lines.append("")
    return lines


def _cell(rows: Cells, name: str, key: tuple[str, str]) -> str:
    bench = rows[name].get(key)
    if bench is None:
        return NONE
    recorded = Recorded.of(bench["extra_info"])
    figure = format_number(recorded.microseconds_per_image or 0)
    # As in the suite's tables, a row that keeps files is compared with one plain file of files.
    own = LIMIT if recorded.file_bytes is None else LIMIT_OF_FILES
    limit = rows.get(own, {}).get(key)
    if limit is None or name == own:
        return figure
    return f"{figure} {format_multiple(_ratio(bench, limit))}"


def _ratio(bench: RunJson, limit: RunJson) -> float:
    """The median of a row's ratios to the limit, one for each process that measured both."""
    own: Mapping[str, float] = bench["extra_info"][MEDIANS]
    limits: Mapping[str, float] = limit["extra_info"][MEDIANS]
    return median(own[peer] / limits[peer] for peer in own if peer in limits)


def _bytes(cells: Mapping[tuple[str, str], RunJson]) -> str:
    stored = cells.get(("store_many", ""))
    if stored is None:
        return NONE
    recorded = Recorded.of(stored["extra_info"])
    return f"{recorded.allocated_bytes / recorded.images_per_round:,.0f}"
