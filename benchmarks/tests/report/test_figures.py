"""What the figures draw: the saved medians, at the right n, in the right unit."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.patches import Rectangle

from benchmarks.contenders.article import ARTICLE
from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.report import style
from benchmarks.report.figures import PLANS, FigurePlan
from benchmarks.results.runs import load
from benchmarks.tests.saved import NS, Saved, bench, only, save, speed, whole_run

Points = dict[float, float]


def drawn(name: str, saved: Saved, folder: Path) -> Axes:
    """The axes of one figure, drawn of a run."""
    (plan,) = (plan for plan in PLANS if plan.name == name)
    run = load(str(save(saved, folder / "run.json")))
    with style.canvas(plan.name, plan.title) as (_, axes):
        assert plan.draw(axes, run)
    return axes


def lines(axes: Axes) -> dict[str, Points]:
    """What each line of a legend shows."""
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line = container[0]
        found[str(container.get_label())] = dict(
            zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True)
        )
    return found


def of_n(microseconds: float, per_image: bool) -> Points:
    """Of the operations whose time in `whole_run` falls with n."""
    return {n: microseconds * (1 + 10 / n) * (1 if per_image else n / 1e6) for n in NS}


@pytest.mark.parametrize(
    ("name", "per_image"),
    [
        ("store-time", False),
        ("store-time-log", False),
        ("read-time", False),
        ("read-time-log", False),
        ("store-per-image", True),
        ("read-per-image", True),
    ],
)
def test_each_store_and_the_limit_is_a_line_over_n(
    tmp_path: Path, name: str, per_image: bool
) -> None:
    axes = drawn(name, whole_run(), tmp_path)
    found = lines(axes)
    assert [*found] == [*STORE_ROWS, "limit"]
    for backend, points in found.items():
        assert points == pytest.approx(of_n(speed(backend), per_image))
    logarithmic = per_image or name.endswith("-log")
    assert {axes.get_xscale(), axes.get_yscale()} == {"log" if logarithmic else "linear"}
    assert "image" in axes.get_ylabel() if per_image else axes.get_ylabel().startswith("time")


@pytest.mark.parametrize(
    ("ns", "linear", "log"),
    [
        ((1000,), [0, 1000], [1000]),
        ((10, 1000), [0, 1000], [10, 1000]),
        ((10, 100, 1000, 10_000, 100_000), [0, 10_000, 100_000], [10, 100, 1000, 10_000, 100_000]),
        ((1000, 20_000, 50_000, 60_000), [0, 20_000, 50_000, 60_000], [1000, 20_000, 60_000]),
        ((90, 95, 100), [0, 100], [90, 95, 100]),
    ],
)
def test_axes_of_n_are_marked_where_it_was_measured_and_is_legible(
    tmp_path: Path, ns: tuple[int, ...], linear: list[int], log: list[int]
) -> None:
    saved = whole_run() | {"benchmarks": [bench("read_many", "png", n, 50.0) for n in ns]}
    for name, expected in (("read-time", linear), ("read-time-log", log)):
        axes = drawn(name, saved, tmp_path)
        assert sorted(axes.get_xticks()) == expected
        assert axes.xaxis.get_major_formatter()(10_000) == "10,000"


@pytest.mark.parametrize("microseconds", [2.1, 5.5, 9.9, 600.0])
@pytest.mark.parametrize("name", ["read-time-log", "read-per-image"])
def test_a_logarithmic_axis_has_marks_however_little_is_drawn(
    tmp_path: Path, name: str, microseconds: float
) -> None:
    saved = whole_run() | {"benchmarks": [bench("read_many", "png", 100, microseconds)]}
    axes = drawn(name, saved, tmp_path)
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


def test_two_operations_are_solid_and_broken_lines(tmp_path: Path) -> None:
    found = lines(drawn("iterate", whole_run(), tmp_path))
    assert len(found) == 2 * len(STORE_ROWS)
    assert found["lmdb one by one"] == pytest.approx(dict.fromkeys(NS, speed("lmdb")))
    assert found["lmdb slice"] == pytest.approx(dict.fromkeys(NS, speed("lmdb") / 2))


def test_parallel_readers_are_shown_for_the_largest_store(tmp_path: Path) -> None:
    axes = drawn("parallel-read", whole_run(), tmp_path)
    one = 1e6 / speed("hdf5")
    assert lines(axes)["hdf5"] == pytest.approx({1: one, 2: 2 * one, 4: 2 * one})
    assert f"{max(NS):,}" in axes.get_xlabel()
    for container in axes.containers:  # the quartiles lie on both sides, though a rate is inverse
        assert isinstance(container, ErrorbarContainer)
        ((_, low), (_, high)), *_ = container[2][0].get_segments()
        assert low < container[0].get_ydata()[0] < high


def test_bars_of_disk_space_are_allocated_and_apparent_bytes(tmp_path: Path) -> None:
    heights: dict[str, list[float]] = {}
    for bars in drawn("disk", whole_run(), tmp_path).containers:
        assert isinstance(bars, BarContainer)
        for bar in bars:
            heights.setdefault(to_hex(bar.get_facecolor()), []).append(bar.get_height())
    assert heights[style.colour("hdf5")] == [3200, 3200, 3100, 3100]
    assert heights[style.colour("png")] == [4096, 4096, 3100, 3100]


def test_a_bar_ends_at_the_factor_to_the_tutorials_way(tmp_path: Path) -> None:
    axes = drawn("speed-up", whole_run(), tmp_path)
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx(
        [3.0] * 4 * len(ARTICLE)
    )
    assert {text.get_text() for text in axes.texts} == {"×3.00"}
    assert len({round(bar.get_y(), 6) for bar in bars}) == 4 * len(ARTICLE)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_legend_of_all_stores_is_in_the_figure_and_leaves_room(
    tmp_path: Path, plan: FigurePlan
) -> None:
    run = load(str(save(whole_run(), tmp_path / "run.json")))
    with style.canvas(plan.name, plan.title) as (figure, axes):
        assert plan.draw(axes, run)
        figure.draw_without_rendering()
        legend = axes.get_legend()
        assert legend is not None
        assert legend.get_window_extent().x1 <= figure.bbox.x1
        assert axes.get_window_extent().height >= 0.4 * style.INCHES[1] * figure.dpi


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_nothing_measured_is_nothing_drawn(tmp_path: Path, plan: FigurePlan) -> None:
    saved = only(whole_run(), lambda info: info["backend"] == "limit")
    saved = only(saved, lambda info: info["operation"] == "store_single")
    run = load(str(save(saved, tmp_path / "run.json")))
    with style.canvas("empty", "Empty") as (_, axes):
        assert not plan.draw(axes, run)


def test_every_colour_differs_and_has_one_for_dark_pages() -> None:
    assert len(style.DARK) == len(set(style.DARK)) == len(set(style.DARK.values()))
    assert len({style.colour(name) for name in STORE_ROWS}) == len(STORE_ROWS)
    assert len({style.marker(name) for name in STORE_ROWS}) == len(STORE_ROWS)
    rules = style.dark_rules()
    for light, dark in style.DARK.items():
        assert f'[style*="stroke: {light}"]{{stroke:{dark}!important}}' in rules
