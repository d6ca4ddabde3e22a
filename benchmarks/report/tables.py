"""The full tables of a page: back ends by n, one for each operation, winners in bold."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS
from benchmarks.results.jobs import COLD_JOBS, JOBS, Cell, Job, cells
from benchmarks.results.keys import Key
from benchmarks.results.peers import PeerCell, PeerTable
from benchmarks.results.runs import Row, SavedRun
from benchmarks.results.standing import Outcome
from benchmarks.results.summary import ORDER, TITLES, format_multiple, format_number

from .changes import Change, Changes


@dataclass(frozen=True)
class TableCell:
    """One cell of a table.

    note: small text below the main text
    mark: `wins`, `faster` or `slower` to highlight the cell, or ""
    few: whether the figure is from too few rounds
    """

    text: str
    note: str = ""
    mark: str = ""
    few: bool = False


NOT_MEASURED = TableCell("-")


@dataclass(frozen=True)
class TableLine:
    """One line, for a back end or a variant of it, with one cell for each column.

    begins: whether another variant begins here
    reference: whether the back end is not one of this project's stores
    """

    label: str
    cells: tuple[TableCell, ...]
    begins: bool
    reference: bool


@dataclass(frozen=True)
class Table:
    """The table of one operation, or of one n.

    unit: what is timed, and the unit of the figures
    columns: the n of each column, or the operation
    corner: the head of the first column
    """

    title: str
    unit: str
    columns: tuple[str, ...]
    lines: tuple[TableLine, ...]
    corner: str = "n ="


def of_times(run: SavedRun) -> list[Table]:
    """One table per operation and cache state: medians, with their multiple of the limit below."""
    won = _winners(run)
    return [
        _table(
            title, TITLES[operation].removeprefix(f"{operation}: "), rows, _time_cells(rows, won)
        )
        for operation, title, rows in _by_operation(run.rows.values())
    ]


def of_disk(run: SavedRun) -> list[Table]:
    """A table of allocated bytes per image, with apparent ones below; none without data."""
    rows = run.of("store_many")
    allocated = {
        row.key: row.recorded.allocated_bytes / row.recorded.images_per_round for row in rows
    }
    won = _won(cells(row.figure for row in run.rows.values()), disk=True)
    shown = {
        row.key: TableCell(
            f"{allocated[row.key]:,.0f}",
            f"{row.recorded.apparent_bytes / row.recorded.images_per_round:,.0f}",
            "wins" if row.key in won else "",
        )
        for row in rows
    }
    unit = "allocated bytes per image after store_many, apparent ones below"
    return [_table("disk", unit, rows, shown)] if rows else []


def of_peers(found: Iterable[PeerTable]) -> list[Table]:
    """One table per n: formats by operations, with their multiple of the limit below."""
    made = []
    for one in found:
        lines = [
            TableLine(
                name,
                tuple(_peer_cell(own[job]) if job in own else NOT_MEASURED for job in one.columns),
                begins=False,
                reference=name not in STORE_ROWS and name not in PEERS,
            )
            for name, own in one.rows.items()
        ]
        columns = tuple(job.name for job in one.columns)
        unit = "µs per image, of open + one per call; bytes per image"
        made.append(Table(f"n = {one.n:,}", unit, columns, tuple(lines), corner=""))
    return made


def _peer_cell(cell: PeerCell) -> TableCell:
    note = "" if cell.multiple is None else format_multiple(cell.multiple)
    return TableCell(format_number(cell.value), note, "wins" if cell.ahead else "", cell.few)


def of_changes(run: SavedRun, changes: Changes) -> list[Table]:
    """One table per operation: the change of each row's time, with its interval below."""
    both = [row for row in run.rows.values() if row.key in changes.rows]
    shown = {row.key: _change_cell(changes.rows[row.key]) for row in both}
    return [
        _table(title, "change of the median", rows, shown) for _, title, rows in _by_operation(both)
    ]


def percent(ratio: float) -> str:
    """A ratio as a change in per cent."""
    return f"{(ratio - 1) * 100:+.1f}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def _by_operation(rows: Iterable[Row]) -> list[tuple[str, str, list[Row]]]:
    """The operation, the title and the rows of each table."""
    found: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        found.setdefault((row.key.operation, row.key.cold), []).append(row)
    return [
        (operation, operation + (", cold" if cold else ""), found[operation, cold])
        for operation in TITLES
        for cold in (False, True)
        if (operation, cold) in found
    ]


def _time_cells(rows: Sequence[Row], won: Set[Key]) -> dict[Key, TableCell]:
    medians = {row.key: row.figure.microseconds for row in rows}
    limits = [row.figure for row in rows if row.figure.is_limit]
    made = {}
    for row in rows:
        limit = row.figure.limit(limits)
        made[row.key] = TableCell(
            format_number(medians[row.key]),
            format_multiple(row.figure.ratio_to(limit).value) if limit else "",
            "wins" if row.key in won else "",
            row.figure.rounds < FEW_ROUNDS,
        )
    return made


def _winners(run: SavedRun) -> set[Key]:
    """The rows of stores that win their column.

    Of a job of the page's answers, those that win there. The other columns are judged by the same
    rule, corrected for their own number, so that they do not make the answers less certain.
    """
    figures = [row.figure for row in run.rows.values()]
    answered = {(job.operation, job.variant, job.cold) for job in (*JOBS, *COLD_JOBS)}
    others = dict.fromkeys((figure.operation, figure.variant, figure.cold) for figure in figures)
    more = [
        Job("", "", operation, variant, cold=cold)
        for operation, variant, cold in others
        if (operation, variant, cold) not in answered
    ]
    return _won(cells(figures)) | _won(cells(figures, jobs=more))


def _won(found: Iterable[Cell], disk: bool = False) -> set[Key]:
    """The rows of the winners, at the jobs of disk space or at all others."""
    return {
        Key(cell.job.operation, cell.job.variant, cell.standing.first, cell.n, cell.job.cold)
        for cell in found
        if cell.job.disk is disk and cell.standing and cell.standing.outcome is Outcome.WINS
    }


def _change_cell(change: Change) -> TableCell:
    between = change.interval
    note = f"{percent(between.low)[:-2]} … {percent(between.high)}" if between else ""
    if not change.beyond:
        return TableCell(percent(change.ratio), note)
    faster = change.ratio < 1
    return TableCell(
        ("▼ " if faster else "▲ ") + percent(change.ratio), note, "faster" if faster else "slower"
    )


def _table(title: str, unit: str, rows: Sequence[Row], cells: Mapping[Key, TableCell]) -> Table:
    ns = sorted({row.figure.n for row in rows})
    variants = list(dict.fromkeys(row.figure.variant for row in rows))
    labels = sorted(
        {row.key._replace(n=0) for row in rows},
        key=lambda label: (variants.index(label.variant), ORDER.get(label.backend, len(ORDER))),
    )
    lines = [
        TableLine(
            label=f"{label.backend} {label.variant}".strip(),
            cells=tuple(cells.get(label._replace(n=n), NOT_MEASURED) for n in ns),
            begins=place > 0 and labels[place - 1].variant != label.variant,
            reference=label.backend not in STORE_ROWS,
        )
        for place, label in enumerate(labels)
    ]
    return Table(title, unit, tuple(f"{n:,}" for n in ns), tuple(lines))
