"""The figures of a page, with the tutorial's figures first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from matplotlib.axes import Axes

from benchmarks.results.runs import SavedRun

from . import style
from .drawings import disk, in_groups, in_panels, over_n, over_processes, over_sizes, speed_up
from .series import log_axis, per_image, seconds, seconds_axis
from .words import CONFIDENCE_SHOWN

QUARTILES = "Marks are medians, and their bars are interquartile ranges."
BESIDE = f"{QUARTILES} Marks at the same place stand side by side."
COLD = (
    "Reading was measured cold only: each store was evicted from memory before each round, and so"
    " comes from the disk."
)
PANELS = f"Each has a scale of its own. {QUARTILES}"


@dataclass(frozen=True)
class FigurePlan:
    """A figure that a run may have.

    name: the name of its files
    caption: the content of the figure, and the meaning of its marks
    draw: draws on empty axes; returns false if the run has no data for it
    reads: the reading operations that it shows
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Axes, SavedRun], bool]
    reads: tuple[str, ...] = ()

    def captioned(self, run: SavedRun) -> Self:
        """The plan whose caption says so if what it shows was read cold only."""
        found = [figure for figure in run.figures.values() if figure.reads]
        warm = {figure.operation for figure in found if not figure.cold}
        only_cold = {figure.operation for figure in found if figure.cold} - warm
        if only_cold.isdisjoint(self.reads):
            return self
        return replace(self, caption=f"{self.caption} {COLD}")


@dataclass(frozen=True)
class Picture:
    """A drawn figure; `svg` is for a page, see `style.standalone`."""

    plan: FigurePlan
    svg: str
    png: bytes


def _panels(operation: str) -> Callable[[Axes, SavedRun], bool]:
    return partial(in_panels, operation=operation)


def _time(operation: str) -> Callable[[Axes, SavedRun], bool]:
    return partial(over_n, kinds={"": (operation, "")}, value=seconds, finish_y=seconds_axis)


def _per_image(
    kinds: dict[str, tuple[str, str]], unit: str = "µs per image"
) -> Callable[[Axes, SavedRun], bool]:
    y = partial(log_axis, label=unit)
    return partial(over_n, kinds=kinds, value=per_image, finish_y=y)


PLANS = (
    FigurePlan(
        "store-time",
        "Storing n images",
        f"The time of one call that creates a store and stores n images in it. {PANELS}",
        _panels("store_many"),
    ),
    FigurePlan(
        "store-time-log",
        "Storing n images, logarithmic",
        f"The same on logarithmic axes, which also show small stores. {BESIDE}",
        _time("store_many"),
    ),
    FigurePlan(
        "read-time",
        "Reading n images",
        f"The time to open a store, read all of it in one call and close it. {PANELS}",
        _panels("read_many"),
        reads=("read_many",),
    ),
    FigurePlan(
        "read-time-log",
        "Reading n images, logarithmic",
        f"The same on logarithmic axes. {BESIDE}",
        _time("read_many"),
        reads=("read_many",),
    ),
    FigurePlan(
        "store-and-read-time-log",
        "Storing and reading together",
        f"Solid lines are for storing n images, dashed lines for reading them. {BESIDE}",
        partial(
            over_n,
            kinds={" storing": ("store_many", ""), " reading": ("read_many", "")},
            value=seconds,
            finish_y=seconds_axis,
        ),
        reads=("read_many",),
    ),
    FigurePlan(
        "disk",
        "Space on disk",
        "Bars show the space that the file system allocates, which is what is compared. The line"
        " across a bar is the sizes of the files added up.",
        disk,
    ),
    FigurePlan(
        "store-per-image",
        "Storing, per image",
        f"The dotted line is the limit: writing the raw pixels to one plain file. {BESIDE}",
        _per_image({"": ("store_many", "")}),
    ),
    FigurePlan(
        "append",
        "Appending a batch",
        f"The time to open a store of n images, store a batch in it and close it. {BESIDE}",
        _per_image({"": ("append", "")}),
    ),
    FigurePlan(
        "commits",
        "Many small commits",
        "A store into which images were stored one by one: storing an image, opening the store for"
        " a call, and reading an image before and after the store was compacted."
        f" {BESIDE}",
        partial(
            in_groups,
            kinds={
                "storing,\nper image": ("commits", "store"),
                "opening,\nper call": ("commits", "open"),
                "reading,\nper image": ("commits", "read"),
                "reading when\ncompacted": ("commits", "compacted"),
            },
        ),
        reads=("commits",),
    ),
    FigurePlan(
        "read-per-image",
        "Reading everything, per image",
        f"The dotted line is the limit: reading the raw pixels from one plain file. {BESIDE}",
        _per_image({"": ("read_many", "")}),
        reads=("read_many",),
    ),
    FigurePlan(
        "read-single",
        "Opening a store for one image",
        f"The time to open a store, read one image by its id and close it. {BESIDE}",
        _per_image({"": ("read_single", "")}, "µs per call"),
        reads=("read_single",),
    ),
    FigurePlan(
        "iterate",
        "One by one, or as a slice",
        "Reading up to 2,000 images of an open store in order, fewer of large pictures: one at a"
        f" time (solid), or all at once (dashed). {BESIDE}",
        _per_image({" one by one": ("iterate", "single"), " slice": ("iterate", "slice")}),
        reads=("iterate",),
    ),
    FigurePlan(
        "random-batches",
        "Random batches",
        "Reading a batch of random images of an open store (solid), and a shuffled pass over the"
        f" store in batches (dashed). {BESIDE}",
        _per_image({" batch": ("read_batch", ""), " whole pass": ("epoch", "")}),
        reads=("read_batch", "epoch"),
    ),
    FigurePlan(
        "parallel-read",
        "Parallel readers",
        "The total throughput of processes that read random batches of one store at the same time."
        f" {BESIDE}",
        over_processes,
        reads=("parallel_read",),
    ),
    FigurePlan(
        "speed-up",
        "Beside the tutorial's way",
        "How many times as fast as the tutorial's code each store is; left of ×1 it is slower. The"
        " tutorial's PNG and HDF5 do not wait for the disk when storing. Thin lines are"
        f" {CONFIDENCE_SHOWN} intervals.",
        speed_up,
        reads=("read_single", "read_many"),
    ),
)


def of_sizes(others: Sequence[SavedRun]) -> FigurePlan:
    """The figure that takes several runs, each of images of another size."""
    return FigurePlan(
        "image-sizes",
        "Larger images",
        "How many bytes of pixels are stored (solid) and read (dashed) per second, by the bytes of"
        f" pixels of an image. Each size is a run of its own. {BESIDE}",
        partial(over_sizes, others=others),
        reads=("read_many",),
    )


def draw(
    run: SavedRun, plans: Sequence[FigurePlan] = PLANS
) -> tuple[list[Picture], list[FigurePlan]]:
    """Draw the figures that a run has data for; returns them, and the plans of the others."""
    pictures, missing = [], []
    for plan in (plan.captioned(run) for plan in plans):
        with style.canvas(plan.name, plan.title) as (figure, axes):
            if plan.draw(axes, run):
                drawn = style.svg(figure, plan.name, plan.title, plan.caption)
                figure.set_layout_engine("none")  # keep the places that were found, for the PNG
                pictures.append(Picture(plan, drawn, style.png(figure)))
            else:
                missing.append(plan)
    return pictures, missing
