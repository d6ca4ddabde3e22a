"""Cold against warm: what reading takes from the disk, beside what it takes from memory."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS
from benchmarks.results.runs import Row, SavedRun
from benchmarks.results.summary import LIMIT, ORDER, TITLES, format_multiple, format_number

from . import style
from .figures import FigurePlan
from .series import GROUP, LOG, group_name, label_once, legend

USUAL_GROUPS, GROUP_INCHES = 3, 0.5
"""Groups that fit in a figure, and the height that each further one adds."""


@dataclass(frozen=True)
class ColdLine:
    """A row that was measured warm and cold; figures are in microseconds.

    times: by what factor cold is slower, within sweeps
    between: the interval of that factor, or "" if there is none
    begins: whether another operation begins here
    reference: whether the row is not one of this project's stores
    """

    operation: str
    label: str
    n: str
    warm: str
    cold: str
    times: str
    between: str
    begins: bool
    reference: bool


def lines(run: SavedRun) -> list[ColdLine]:
    """Every row that was measured both ways, in the order of the tables."""
    made: list[ColdLine] = []
    for warm, cold in _pairs(run):
        ratio = cold.figure.ratio_to(warm.figure)
        sure = ratio.interval
        operation = warm.figure.operation
        made.append(
            ColdLine(
                operation=operation,
                label=warm.figure.label,
                n=f"{warm.figure.n:,}",
                warm=_figure(warm),
                cold=_figure(cold),
                times=format_multiple(ratio.value),
                between=f"{format_number(sure.low)} to {format_number(sure.high)}" if sure else "",
                begins=bool(made) and made[-1].operation != operation,
                reference=warm.figure.backend not in STORE_ROWS,
            )
        )
    return made


def draw(axes: Axes, run: SavedRun) -> bool:
    """Draw a line from warm to cold for each store and the limit, grouped by operation and n."""
    groups: dict[tuple[str, int], list[tuple[Row, Row]]] = {}
    for warm, cold in _pairs(run):
        if warm.figure.backend in (*STORE_ROWS, LIMIT):
            operation = f"{warm.figure.operation} {warm.figure.variant}".strip()
            groups.setdefault((operation, warm.figure.n), []).append((warm, cold))
    figure = axes.get_figure(root=True)
    assert figure is not None
    more = max(0, len(groups) - USUAL_GROUPS)
    figure.set_figheight(figure.get_figheight() + more * GROUP_INCHES)
    for place, pairs in enumerate(groups.values()):
        height = GROUP / len(pairs)
        for at, (warm, cold) in enumerate(pairs):
            _draw_pair(axes, place - GROUP / 2 + (at + 0.5) * height, warm, cold)
    axes.set_yticks(range(len(groups)), [group_name(*group) for group in groups])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("µs per image, of read_single per call" + LOG)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="y")
    return legend(axes, columns=4)


PLAN = FigurePlan(
    "cold",
    "Cold against warm",
    "Hollow marks are for stores in memory, filled ones for stores that were evicted from it before"
    " each round, and so come from the disk. Marks are medians.",
    draw,
)


def _draw_pair(axes: Axes, y: float, warm: Row, cold: Row) -> None:
    name = warm.figure.backend
    colour = style.colour(name)
    times = warm.figure.microseconds, cold.figure.microseconds
    axes.plot(times, (y, y), color=colour, linewidth=1.2)
    axes.plot(
        times[0], y, style.marker(name), color=colour, markerfacecolor=style.SURFACE, markersize=7
    )
    label = label_once(axes, name)
    axes.plot(times[1], y, style.marker(name), color=colour, markersize=7, label=label)


def _figure(row: Row) -> str:
    return format_number(row.figure.microseconds) + "*" * (row.figure.rounds < FEW_ROUNDS)


def _pairs(run: SavedRun) -> list[tuple[Row, Row]]:
    """The warm and the cold row of each that was measured both ways, in the order of the tables."""
    operations = [*TITLES]
    keys = [key for key in run.rows if not key.cold and key._replace(cold=True) in run.rows]
    keys.sort(
        key=lambda key: (
            operations.index(key.operation),
            *(key.variant, key.n, ORDER.get(key.backend, len(ORDER))),
        )
    )
    return [(run.rows[key], run.rows[key._replace(cold=True)]) for key in keys]
