"""The tables of a run of peers, in Markdown."""

from collections.abc import Iterable

from benchmarks.results.peers import PeerCell, peer_tables
from benchmarks.results.summary import Figure, format_multiple, format_number

NONE = "-"


def table(figures: Iterable[Figure]) -> list[str]:
    """The lines of one table for each n: µs per image, and multiples of the limit."""
    lines = []
    for found in peer_tables(figures):
        limit = "its limit" if found.of_files else "limit"
        lines += [
            f"n = {found.n:,}: µs per image, of open + one per call (× {limit} in the same process)",
            "",
            f"| | {' | '.join(job.name for job in found.columns)} |",
            "|---" * (len(found.columns) + 1) + "|",
        ]
        for name, cells in found.rows.items():
            shown = [_cell(cells[job]) if job in cells else NONE for job in found.columns]
            lines.append(f"| {name} | {' | '.join(shown)} |")
        lines.append("")
    return lines


def _cell(cell: PeerCell) -> str:
    text = format_number(cell.value) + (r"\*" if cell.few else "")
    if cell.multiple is not None:
        text += f" {format_multiple(cell.multiple)}"
    return f"**{text}**" if cell.ahead else text
