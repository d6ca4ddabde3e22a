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
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from matplotlib.transforms import ScaledTranslation

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
SHIFT_POINTS = 5.0
"""The distance between the marks of two back ends at the same n; about that of a mark's sides."""
WIDEST, THINNEST = 2.8, 1.4
"""Points; the lines drawn first are wider, so that those drawn over them do not hide them."""
GROUP = 0.8
"""The fraction of the distance between two groups that the bars or lines of a group take."""
PANEL_INCHES = 1.5
"""The height of a small panel."""
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
    among: Sequence[str] = (),
) -> None:
    """Draw the medians of one back end, with the interquartile range at each.

    ending: the text after the name in the legend
    dashed: for the second of two kinds of lines; the limit is always dotted
    among: all back ends in the figure; their marks at the same place stand side by side
    """
    place, last = ([*among].index(name), len(among) - 1) if len(among) > 1 else (1, 2)
    medians = [value(row.figure.microseconds, row) for row in rows]
    # Sorted, because some values rise when times fall.
    quartiles = [sorted((value(row.q1, row), value(row.q3, row))) for row in rows]
    below = [max(m - low, 0.0) for m, (low, _) in zip(medians, quartiles, strict=True)]
    above = [max(high - m, 0.0) for m, (_, high) in zip(medians, quartiles, strict=True)]
    drawn = axes.errorbar(
        x,
        medians,
        yerr=(below, above),
        color=style.colour(name),
        marker=style.marker(name),
        markerfacecolor=style.SURFACE if dashed else style.colour(name),
        linestyle=":" if name == LIMIT else "--" if dashed else "-",
        linewidth=WIDEST + (THINNEST - WIDEST) * place / last,
        elinewidth=1.2,
        capsize=2.5,
        label=name + ending,
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    shift = SHIFT_POINTS * (place - last / 2) / 72
    beside = axes.transData + ScaledTranslation(shift, 0, figure.dpi_scale_trans)
    for artist in drawn.get_children():  # after drawing, so that the limits of the axes are known
        artist.set_transform(beside)


def label_once(axes: Axes, name: str) -> str:
    """The label of one of several artists of a back end, so that the legend has its name once."""
    known = axes.get_legend_handles_labels()[1]
    return "_" + name if name in known else name  # a leading _ keeps it out of the legend


def group_name(operation: str, n: int) -> str:
    return operation if n == 1 else f"{operation}\nn = {n:,}"


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


def n_axis(axes: Axes, rows: Iterable[Row]) -> None:
    """Label the logarithmic axis of n, with numbers written out, as in 1,000."""
    axes.set_xlabel("n, images in the store" + LOG)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(_ticks(sorted({row.figure.n for row in rows}))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _ticks(ns: Sequence[int]) -> list[int]:
    """The n whose labels do not touch, chosen from the largest down."""
    if not ns:
        return []
    apart = APART * math.log(ns[-1] / ns[0])
    ticks = [ns[-1]]
    for n in reversed(ns):
        if math.log(ticks[-1] / n) >= apart > 0:
            ticks.append(n)
    return ticks


def seconds_axis(axes: Axes) -> None:
    """Label the logarithmic axis of a time, each mark in a fitting unit."""
    axes.set_ylabel("time" + LOG)
    _log_scale(axes)
    axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))


def panels(axes: Axes, names: Sequence[str]) -> list[Axes]:
    """Replace the axes by small ones, two in a row, each with its own scale and a name above it."""
    figure = axes.get_figure(root=True)
    place = axes.get_subplotspec()
    assert figure is not None
    assert place is not None
    axes.remove()
    rows = math.ceil(len(names) / 2)
    figure.set_figheight(max(figure.get_figheight(), rows * PANEL_INCHES + 0.6))
    grid = place.subgridspec(rows, 2)
    made = [figure.add_subplot(grid[at]) for at in range(len(names))]
    for panel, name in zip(made, names, strict=True):
        panel.set_title(name, color=style.colour(name), weight="bold", size=11, loc="left")
    return made


def linear_axes(axes: Axes, largest: int) -> None:
    """From 0 to the largest n and time, with few marks, for a small panel."""
    axes.set_xlim(0, largest * 1.04)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(FixedLocator([0, largest]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))


def log_axis(axes: Axes, label: str) -> None:
    """Label a logarithmic vertical axis, with numbers written out."""
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
