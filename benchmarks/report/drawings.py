"""Drawing each kind of figure. A drawing returns false if the run has no data for it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, NullFormatter

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.results.runs import Row, SavedRun
from benchmarks.results.summary import format_multiple

from . import style
from .series import (
    GROUP,
    LOG,
    Value,
    by_backend,
    draw_line,
    group_name,
    label_once,
    legend,
    linear_axes,
    log_axis,
    n_axis,
    panels,
    seconds,
)

ARTICLE = "article-{}"
"""The row of the tutorial's way that matches a store."""
COMMON = ("store_single", "store_many", "read_single", "read_many")
"""The operations that the tutorial has too."""


def over_n(
    axes: Axes,
    run: SavedRun,
    kinds: Mapping[str, tuple[str, str]],
    value: Value,
    finish_y: Callable[[Axes], None],
) -> bool:
    """Draw a line for each back end and kind of operation, dashed for the second kind.

    kinds: operation and variant, by the text after the back end's name in the legend
    """
    found = [run.of(*kind) for kind in kinds.values()]
    among = [*by_backend(chain(*found))]
    for place, (ending, rows) in enumerate(zip(kinds, found, strict=True)):
        for name, points in by_backend(rows).items():
            if len(kinds) == 1 or name in STORE_ROWS:  # two limits would be too many lines
                ns = [row.figure.n for row in points]
                draw_line(axes, name, ns, points, value, ending, place > 0, among)
    n_axis(axes, chain(*found))
    finish_y(axes)
    return legend(axes, columns=4 if len(kinds) == 1 else 2)


def in_panels(axes: Axes, run: SavedRun, operation: str) -> bool:
    """Draw the time over n on linear axes, in a small panel for each back end."""
    found = by_backend(run.of(operation))
    if not found:
        return False
    for panel, (name, points) in zip(panels(axes, [*found]), found.items(), strict=True):
        ns = [row.figure.n for row in points]
        draw_line(panel, name, ns, points, seconds)
        linear_axes(panel, ns[-1])
        figure = panel.get_figure(root=True)
        assert figure is not None
        figure.supxlabel("n, images in the store", size=11)
        figure.supylabel("time, each on its own scale", size=11)
    return True


def over_sizes(axes: Axes, run: SavedRun, others: Sequence[SavedRun]) -> bool:
    """Draw the throughput over the size of images: storing, and dashed reading, at one n.

    others: runs of other sizes
    """
    runs = (run, *others)
    common = set.intersection(*({r.figure.n for r in each.of("read_many")} for each in runs))
    n = max(common, default=0)
    for operation, ending in (("store_many", " storing"), ("read_many", " reading")):
        rows = [row for each in runs for row in each.of(operation) if row.figure.n == n]
        found = by_backend(row for row in rows if row.recorded.bytes_per_image)
        for name, points in found.items():
            if name in STORE_ROWS:
                points.sort(key=_bytes)
                sizes = [_bytes(row) for row in points]
                draw_line(axes, name, sizes, points, _rate, ending, ending == " reading", [*found])
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(unit="B", sep=" "))
    axes.set_xlabel(f"bytes of pixels{LOG}, n = {n:,} images")
    log_axis(axes, "MB of pixels per second")
    return legend(axes, columns=2)


def _bytes(row: Row) -> float:
    return row.recorded.bytes_per_image or 0.0


def _rate(microseconds: float, row: Row) -> float:
    return _bytes(row) / microseconds


def over_processes(axes: Axes, run: SavedRun) -> bool:
    """Draw the images per second of parallel readers of the largest store."""
    sizes = {key: row.recorded.processes for key, row in run.rows.items() if row.recorded.processes}
    n = max((key[3] for key in sizes), default=0)
    found = by_backend(run.rows[key] for key in sizes if key[3] == n)
    for name, points in found.items():
        points.sort(key=lambda row: sizes[row.key])
        processes = [sizes[row.key] for row in points]
        draw_line(axes, name, processes, points, _images_per_second, among=[*found])
    axes.set_xscale("log", base=2)  # so that ideal scaling is a straight line
    axes.set_xticks(sorted(set(sizes.values())))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axes.set_xlabel(f"processes, reading a store of n = {n:,} images")
    log_axis(axes, "images per second")
    return legend(axes, columns=4)


def _images_per_second(microseconds: float, _: Row) -> float:
    return 1e6 / microseconds


def disk(axes: Axes, run: SavedRun) -> bool:
    """Draw bytes per image, a group of bars for each n: allocated, and the apparent as a line."""
    stored = by_backend(run.of("store_many"))
    ns = sorted({row.figure.n for row in chain(*stored.values())})
    width = GROUP / max(len(stored), 1)
    for place, (name, rows) in enumerate(stored.items()):
        x = [ns.index(row.figure.n) - GROUP / 2 + (place + 0.5) * width for row in rows]
        allocated = [row.recorded.allocated_bytes / row.recorded.images_per_round for row in rows]
        apparent = [row.recorded.apparent_bytes / row.recorded.images_per_round for row in rows]
        axes.bar(x, allocated, 0.86 * width, color=style.colour(name), label=name)
        ends = [at - width / 2 for at in x], [at + width / 2 for at in x]
        # A pale line around the dark one, since it may lie on a bar or on the surface.
        axes.hlines(apparent, *ends, color=style.SURFACE, linewidth=3)
        axes.hlines(apparent, *ends, color=style.INK, linewidth=1.2)
    axes.set_xticks(range(len(ns)), [f"{n:,}" for n in ns])
    axes.set_xlabel("n, images in the store")
    axes.set_ylabel("bytes per image")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.grid(visible=False, axis="x")
    return legend(axes, columns=4)


def in_groups(axes: Axes, run: SavedRun, kinds: Mapping[str, tuple[str, str]]) -> bool:
    """Draw a mark for each back end at the largest n, grouped by the kind of operation.

    kinds: operation and variant, by the group's name
    """
    found = {name: by_backend(run.of(*kind)) for name, kind in kinds.items()}
    among = [*by_backend(row for of in found.values() for rows in of.values() for row in rows)]
    height = GROUP / max(len(among), 1)
    for at, name in enumerate(among):
        places = [place for place, of in enumerate(found.values()) if name in of]
        rows = [of[name][-1] for of in found.values() if name in of]
        medians = [row.figure.microseconds for row in rows]
        axes.errorbar(
            medians,
            [place - GROUP / 2 + (at + 0.5) * height for place in places],
            xerr=(
                [max(m - row.q1, 0.0) for m, row in zip(medians, rows, strict=True)],
                [max(row.q3 - m, 0.0) for m, row in zip(medians, rows, strict=True)],
            ),
            color=style.colour(name),
            marker=style.marker(name),
            linestyle="none",
            elinewidth=1.2,
            capsize=2.5,
            label=name,
        )
    axes.set_yticks(range(len(found)), [*found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xscale("log")
    n = max(
        (row.figure.n for of in found.values() for rows in of.values() for row in rows), default=0
    )
    axes.set_xlabel(f"µs (log scale), n = {n:,}")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="y")
    for border in range(1, len(found)):
        axes.axhline(border - 0.5, color=style.GRID, linewidth=0.8)
    return legend(axes, columns=4)


def speed_up(axes: Axes, run: SavedRun) -> bool:
    """Draw the tutorial's time divided by each store's, at the largest n, grouped by operation."""
    groups = {operation: pairs for operation in COMMON if (pairs := _pairs(run, operation))}
    names = [name for name in STORE_ROWS if any(name in pairs for pairs in groups.values())]
    height = GROUP / max(len(names), 1)
    for at, name in enumerate(names):
        for place, pairs in enumerate(groups.values()):
            if name in pairs:
                y = place - GROUP / 2 + (at + 0.5) * height
                _speed_up_bar(axes, y, 0.9 * height, *pairs[name])
    axes.axvline(1, color=style.INK, linewidth=1)
    ns = [next(store.figure.n for store, _ in pairs.values()) for pairs in groups.values()]
    axes.set_yticks(range(len(groups)), [*map(group_name, groups, ns)])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as the tutorial's way (log scale)")
    axes.margins(x=0.16)  # for the numbers
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"×{x:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="y")
    return legend(axes, columns=4)


def _pairs(run: SavedRun, operation: str) -> dict[str, tuple[Row, Row]]:
    """Each store's row at the largest n, and the row of the tutorial's way."""
    every = run.of(operation)
    largest = max((row.figure.n for row in every), default=0)
    rows = {row.figure.backend: row for row in every if row.figure.n == largest}
    found = {}
    for name in STORE_ROWS:
        store = rows.get(name)
        article = rows.get(ARTICLE.format(name))
        if store and article:
            found[name] = store, article
    return found


def _speed_up_bar(axes: Axes, y: float, height: float, store: Row, article: Row) -> None:
    name = store.figure.backend
    ratio = article.figure.ratio_to(store.figure)
    times, sure = ratio.value, ratio.interval
    axes.barh(y, times - 1, height, left=1, color=style.colour(name), label=label_once(axes, name))
    if sure:
        axes.plot(sure, (y, y), color=style.INK, linewidth=1.2)
    end = max(times, sure.high if sure else 0) if times > 1 else min(times, sure.low if sure else 1)
    axes.annotate(
        format_multiple(times),
        (end, y),
        xytext=(4 if times > 1 else -4, 0),
        textcoords="offset points",
        ha="left" if times > 1 else "right",
        va="center_baseline",
        fontsize=9,
    )
