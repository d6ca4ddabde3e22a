"""The gate's output: a verdict line, then only the rows that changed or were not decided."""

import math
from collections.abc import Iterable, Sequence

from benchmarks.results.summary import format_number

from .decide import CONFIDENCE, EFFECT, UNSEEN, Finding, Verdict

HEADS = (
    "benchmark",
    "base",
    "head",
    "ratio",
    f"{CONFIDENCE:.0%} interval",
    "sees from",
    "pairs",
    "",
)
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
NAME_WIDTH = 28
"""Columns for a name, in a line of 100; longer names are cut."""


def verdict_line(verdict: Verdict, findings: Sequence[Finding], against: str) -> str:
    """The result in one line.

    against: the base's name
    """
    again = sum(finding.confirmed for finding in findings)
    of_all = f"of {len(findings)} benchmarks"
    found = {v: sum(finding.verdict is v for finding in findings) for v in Verdict}
    undecided = found[Verdict.INCONCLUSIVE]
    match verdict:
        case Verdict.REGRESSED:
            said = f"{found[verdict]} {of_all} slower than {against}"
            said += f", {undecided} undecided" if undecided else ""
        case Verdict.INCONCLUSIVE:
            said = f"{undecided} {of_all} may be {UNSEEN:.0%} slower than {against}: too much noise"
        case _:
            said = f"none {of_all} was shown to be slower than {against} by {EFFECT:.0%} or more"
            faster = found[Verdict.IMPROVED]
            said += f", {faster} faster" if faster else ""
    return f"{verdict.upper()}: {said} ({again} measured again)"


def shown(findings: Iterable[Finding]) -> list[Finding]:
    """The rows worth showing, the slowest first."""
    changed = (
        finding
        for finding in findings
        # A suspect may pass with such a slow median, if noise keeps it from being shown slower.
        if finding.verdict is not Verdict.PASS or finding.ratio >= 1 + EFFECT
    )
    return sorted(changed, key=lambda finding: -finding.ratio)


def text_table(findings: Iterable[Finding]) -> list[str]:
    """The rows as lines of at most 100 columns; no lines if there are no rows."""
    rows = [_cells(finding) for finding in shown(findings)]
    if not rows:
        return []
    table = [HEADS, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADS))]
    return [
        "  ".join(
            f"{cell:<{width}}" if i in (0, len(HEADS) - 1) else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def markdown(line: str, findings: Iterable[Finding], notes: Sequence[str]) -> str:
    """The line, table and notes as Markdown, for the page of a run on GitHub."""
    verdict, _, said = line.partition(": ")
    lines = [f"### Regression gate: {verdict.lower()}", "", said, ""]
    rows = [_cells(finding) for finding in shown(findings)]
    if rows:
        lines += ["| " + " | ".join(HEADS) + " |", "|---|" + "---:|" * (len(HEADS) - 2) + "---|"]
        lines += ["| " + " | ".join((f"`{name}`", *cells)) + " |" for name, *cells in rows]
        lines += [""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip() + "\n\n"


def _cells(finding: Finding) -> tuple[str, ...]:
    name = finding.name.removeprefix("test_")
    return (
        name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…",
        duration(finding.base),
        duration(finding.head),
        f"×{format_number(finding.ratio)}",
        f"{format_number(finding.low)} to {format_number(finding.high)}",
        "never" if math.isinf(finding.detectable) else f"+{finding.detectable:.0%}",
        str(finding.pairs),
        str(finding.verdict),
    )


def duration(seconds: float) -> str:
    """A duration with three digits and a unit."""
    scale, unit = next((u for u in UNITS if seconds >= u[0]), UNITS[-1])
    value = seconds / scale
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
