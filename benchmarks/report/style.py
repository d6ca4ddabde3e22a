"""The style of figures: one colour per store, and one drawing for light and dark pages."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.results.summary import LIMIT

INCHES = (5.2, 3.6)
"""Small, so that letters stay legible on a phone, where a figure is as wide as the page."""
PNG_DOTS_PER_INCH = 200

SURFACE, INK, MUTED, GRID = "#fdfdfc", "#1f2428", "#59626b", "#dfe3e7"
STORE_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#b0508a"),
    *("#8a6d00", "#4b4ba8", "#7f1d1d", "#5b8c00", "#2f6f6f"),
)
"""In the order of the registry, repeated if need be. Any kind of colour vision tells the first
three apart: Okabe and Ito's blue, vermilion and green (https://jfly.uni-koeln.de/color/)."""
LIMIT_COLOUR = "#565e66"
DARK = dict(
    zip(
        (SURFACE, INK, MUTED, GRID, *STORE_COLOURS, LIMIT_COLOUR),
        (
            *("#15181c", "#e8eaed", "#a3acb5", "#31373e"),
            *("#56b4e9", "#ff8a3d", "#2bd3a0", "#e58fc2"),
            *("#d9b93b", "#a2a2f5", "#ff6b7a", "#a3d65c", "#7fd0d0"),
            "#7b848d",
        ),
        strict=True,
    )
)
"""Each colour's counterpart on a dark page."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""For readers who see no colours, or print the page."""

RC: dict[Any, Any] = {  # matplotlib's type of its keys differs between versions
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # all are wide, so text fits with each
    "font.size": 11,
    "axes.edgecolor": MUTED,
    "axes.facecolor": SURFACE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.facecolor": SURFACE,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "savefig.facecolor": SURFACE,
    "svg.fonttype": "none",  # letters stay text that can be searched, copied and read aloud
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


DEFAULTS: dict[Any, Any] = {
    key: mpl.rcParamsDefault[key]
    for key in mpl.rcParamsDefault
    if key != "backend"  # reading it would make matplotlib choose one
}
"""All other settings, in case matplotlib was imported before with the user's settings."""


@contextmanager
def canvas(name: str, title: str) -> Iterator[tuple[Figure, Axes]]:
    """An empty figure; everything drawn and saved within the block has this style.

    name: the seed of the names in an SVG, so that the same figure gives the same file, and two on
        a page do not share a name
    """
    with mpl.rc_context(DEFAULTS | RC | {"svg.hashsalt": name}):
        figure = Figure(figsize=INCHES)
        figure.suptitle(title, x=0.015, horizontalalignment="left", weight="bold", size=12)
        yield figure, figure.add_subplot()


def colour(backend: str) -> str:
    if backend == LIMIT:
        return LIMIT_COLOUR
    return STORE_COLOURS[[*STORE_ROWS].index(backend) % len(STORE_COLOURS)]


def marker(backend: str) -> str:
    if backend == LIMIT:
        return "."
    return MARKERS[[*STORE_ROWS].index(backend) % len(MARKERS)]


def dark_rules() -> str:
    """CSS that changes a figure's colours with the page's.

    The selectors do not name `svg`, since a mark drawn by `use` does not count as inside it.
    """
    rules = [
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    ]
    return "@media (prefers-color-scheme: dark){" + "".join(rules) + "}"


def png(figure: Figure) -> bytes:
    """The figure as PNG in light colours, since the page that shows it is unknown."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=PNG_DOTS_PER_INCH, metadata={"Software": None})
    return target.getvalue()


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as SVG, light or dark as the viewer prefers, for a page or `standalone`.

    title, description: for readers who cannot see it
    """
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    drawn = target.getvalue()
    # Nothing refers to names with a number, and each figure of a page would repeat them.
    drawn = re.sub(r' id="[\w.]+_\d+"', "", drawn[drawn.index("<svg") :])
    named = f' aria-labelledby="{name}-title" aria-describedby="{name}-description">'
    return drawn.replace(
        ">",
        f'{named}\n <title id="{name}-title">{escape(title)}</title>'
        f'\n <desc id="{name}-description">{escape(description)}</desc>',
        1,
    )


def standalone(drawn: str) -> str:
    """The SVG as a file of its own, with the rules for dark pages."""
    end = drawn.index(">") + 1
    style = f"\n <style>{dark_rules()}</style>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n{drawn[:end]}{style}{drawn[end:]}'
