"""Lines over n, and their axes."""

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
"""The largest ratio of an axis's ends with room for three marks in each decade."""
MOST_COLUMNS, LONG_LABEL = 3, 12
"""The most columns of a legend with several lines, since the names of stores may be long; and from
how many characters on its letters are smaller.
"""
USUAL_LINES, LINE_INCHES = 3, 0.21
"""Lines of a legend that fit in a figure, and the height that each further line adds."""
APART = 0.14
"""The fraction of an axis that a label of n takes; that of 100,000."""
Value = Callable[[float, Row], float]
"""Turns a time of a row, in microseconds per image, into the value that a figure shows."""


def seconds(microseconds: float, row: Row) -> float:
    """The time of a whole round."""
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
    """Draw the medians of one back end, with the interquartile range at each.

    ending: the text after the name in the legend
    dashed: for the second of two kinds of lines; the limit is always dotted
    """
    medians = [value(row.figure.microseconds, row) for row in rows]
    # Sorted, because some values rise when times fall.
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
    """Put a legend above the axes, where it hides nothing; false if nothing is drawn."""
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
        # Lines without their error bars, which would hide the marks.
        [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles],
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        fontsize="small" if max(map(len, labels)) > LONG_LABEL else None,
        columnspacing=1.1,
        handlelength=1.9,
        borderaxespad=0.2,
        borderpad=0.2,
    )
    return True


def n_axis(axes: Axes, rows: Iterable[Row], log: bool) -> None:
    """Label the axis of n, with numbers written out, as in 1,000."""
    axes.set_xlabel("n, images in the store" + (LOG if log else ""))
    ns = sorted({row.figure.n for row in rows})
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(_ticks(ns, log)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _ticks(ns: Sequence[int], log: bool) -> list[int]:
    """The n whose labels do not touch, chosen from the largest down; on a linear axis 0 too."""
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
    """Label the axis of a time, each mark in a fitting unit."""
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
    """Use a log scale of at least a decade, marked at 1, 2 and 5 if there are few decades."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high / low < 10:
        middle = math.sqrt(low * high)
        axes.set_ylim(middle / math.sqrt(10), middle * math.sqrt(10))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < FEW_DECADES else (1,)))
