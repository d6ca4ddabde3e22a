"""Lines over n, and the axes they are drawn on."""

import math
from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.results.runs import Row
from benchmarks.results.summary import LIMIT

from . import style

LOG = " (log scale)"
FEW_DECADES = 1e4
"""The ratio of the ends of an axis with room for three marks in each decade."""
MOST_COLUMNS = 3
"""Of a legend of more than one line, where the names of many stores are long."""
USUAL_LINES, LINE_INCHES = 3, 0.21
"""Lines of a legend that a figure has room for, and how much each further one makes it higher."""
APART = 0.14
"""The part of an axis that the label of an n takes, as 100,000 does."""
Value = Callable[[float, Row], float]
"""What a figure shows of a row's time, given as microseconds per image."""


def seconds(microseconds: float, row: Row) -> float:
    """Of a whole round."""
    return microseconds * row.recorded.images_per_round / 1e6


def per_image(microseconds: float, row: Row) -> float:
    return microseconds


def by_backend(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of the stores and of the limit, in the order of the tables, by rising n."""
    found: dict[str, list[Row]] = {name: [] for name in (*STORE_ROWS, LIMIT)}
    for row in rows:
        if row.figure.backend in found:
            found[row.figure.backend].append(row)
    return {name: sorted(of, key=lambda row: row.figure.n) for name, of in found.items() if of}


def draw_line(
    axes: Axes,
    name: str,
    x: Sequence[float],
    rows: Sequence[Row],
    value: Value,
    ending: str = "",
    dashed: bool = False,
) -> None:
    """The medians of one back end, with the interquartile range at each.

    ending: of the name in the legend
    dashed: for the second of two kinds of lines; the limit is dotted anyway
    """
    medians = [value(row.figure.microseconds, row) for row in rows]
    # Sorted, because of values that rise where times fall.
    quartiles = [sorted((value(row.q1, row), value(row.q3, row))) for row in rows]
    below = [max(m - low, 0.0) for m, (low, _) in zip(medians, quartiles, strict=True)]
    above = [max(high - m, 0.0) for m, (_, high) in zip(medians, quartiles, strict=True)]
    axes.errorbar(
        x,
        medians,
        yerr=(below, above),
        color=style.colour(name),
        marker=style.marker(name),
        markerfacecolor=style.SURFACE if dashed else style.colour(name),
        linestyle=":" if name == LIMIT else "--" if dashed else "-",
        elinewidth=1.2,
        capsize=2.5,
        label=name + ending,
    )


def legend(axes: Axes, columns: int) -> bool:
    """Name what is drawn, above it, where that hides nothing; false if nothing is drawn."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return False
    if len(labels) > columns:
        columns = min(columns, MOST_COLUMNS)
    more = max(0, math.ceil(len(labels) / columns) - USUAL_LINES)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + more * LINE_INCHES)
    axes.legend(
        # Lines without their error bars, over which the marks are lost.
        [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles],
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        columnspacing=1.1,
        handlelength=1.9,
        borderaxespad=0.2,
        borderpad=0.2,
    )
    return True


def n_axis(axes: Axes, rows: Iterable[Row], log: bool) -> None:
    """The number of images, written out, as in 1,000."""
    axes.set_xlabel("n, images in the store" + (LOG if log else ""))
    ns = sorted({row.figure.n for row in rows})
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(_ticks(ns, log)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _ticks(ns: Sequence[int], log: bool) -> list[int]:
    """Those n, from the largest down, whose labels do not touch; on a linear axis 0 too."""
    if not ns:
        return []
    place = math.log if log else float
    first = place(ns[0]) if log else 0.0
    length = place(ns[-1]) - first
    ticks = [ns[-1]]
    for n in reversed(ns):
        # The label of 0 is narrow.
        clear = log or place(n) >= APART / 2 * length
        if clear and place(ticks[-1]) - place(n) >= APART * length > 0:
            ticks.append(n)
    return ticks if log else [*ticks, 0]


def seconds_axis(axes: Axes, log: bool) -> None:
    """Of a time, each mark in a unit that it is legible in."""
    axes.set_ylabel("time" + (LOG if log else ""))
    if log:
        _log_scale(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))


def log_axis(axes: Axes, label: str) -> None:
    axes.set_ylabel(label + LOG)
    _log_scale(axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.10g}"))


def _log_scale(axes: Axes) -> None:
    """Marked at 1, 2 and 5 of each decade, where there are few; there is one at least."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high / low < 10:
        middle = math.sqrt(low * high)
        axes.set_ylim(middle / math.sqrt(10), middle * math.sqrt(10))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < FEW_DECADES else (1,)))
