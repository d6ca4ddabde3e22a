"""What the figures draw: the saved medians, at the right n, in the right unit."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.patches import Rectangle

from benchmarks.contenders.article import ARTICLE
from benchmarks.contenders.rows import ROWS, STORE_ROWS
from benchmarks.report import style
from benchmarks.report.figures import PLANS, FigurePlan, of_sizes
from benchmarks.report.series import SHIFT_POINTS
from benchmarks.results.runs import SavedRun, load
from benchmarks.tests.saved import NS, Saved, bench, faster, only, save, speed, whole_run

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
        ("store-time-log", False),
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
    assert {axes.get_xscale(), axes.get_yscale()} == {"log"}
    assert "image" in axes.get_ylabel() if per_image else axes.get_ylabel().startswith("time")


@pytest.mark.parametrize(
    ("name", "operation"), [("store-time", "store_many"), ("read-time", "read_many")]
)
def test_on_linear_axes_each_store_has_a_panel_and_a_scale_of_its_own(
    tmp_path: Path, name: str, operation: str
) -> None:
    """So that the slowest does not flatten the others."""
    run = load(str(save(whole_run(), tmp_path / "run.json")))
    (plan,) = (plan for plan in PLANS if plan.name == name)
    with style.canvas(plan.name, plan.title) as (figure, axes):
        assert plan.draw(axes, run)
        panels = figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == [*STORE_ROWS, "limit"]
    for panel in panels:
        backend = panel.get_title(loc="left")
        assert lines(panel)[backend] == pytest.approx(of_n(speed(backend), per_image=False))
        largest = of_n(speed(backend), per_image=False)[max(NS)]
        low, high = panel.get_ylim()
        assert low == 0
        assert largest < high < 1.3 * largest
        assert (panel.get_xscale(), panel.get_yscale()) == ("linear", "linear")
        assert [*panel.get_xticks()] == [0, max(NS)]
        assert panel.xaxis.get_major_formatter()(10_000) == "10,000"


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        ((1000,), [1000]),
        ((10, 1000), [10, 1000]),
        ((10, 100, 1000, 10_000, 100_000), [10, 100, 1000, 10_000, 100_000]),
        ((1000, 20_000, 50_000, 60_000), [1000, 20_000, 60_000]),
        ((90, 95, 100), [90, 95, 100]),
    ],
)
def test_axes_of_n_are_marked_where_it_was_measured_and_is_legible(
    tmp_path: Path, ns: tuple[int, ...], expected: list[int]
) -> None:
    saved = whole_run() | {"benchmarks": [bench("read_many", "png", n, 50.0) for n in ns]}
    axes = drawn("read-time-log", saved, tmp_path)
    assert sorted(axes.get_xticks()) == expected
    assert axes.xaxis.get_major_formatter()(10_000) == "10,000"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> SavedRun:
    """A run of all rows at many n."""
    saved = whole_run()
    ns = (10, 100, 1000, 10_000, 100_000)
    for operation in ("store_many", "read_single", "read_many", "append", "read_batch", "epoch"):
        saved["benchmarks"] += [
            bench(operation, name, n, speed(name)) for name in ROWS for n in ns if n not in NS
        ]
    return load(str(save(saved, tmp_path_factory.mktemp("crowded") / "run.json")))


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_no_two_labels_of_an_axis_touch(crowded: SavedRun, plan: FigurePlan) -> None:
    with style.canvas(plan.name, plan.title) as (figure, axes):
        assert plan.draw(axes, crowded)
        figure.draw_without_rendering()
        for drawn_axes in figure.axes:
            for axis in (drawn_axes.xaxis, drawn_axes.yaxis):
                labels = [one for one in axis.get_ticklabels() if one.get_text()]
                boxes = [one.get_window_extent() for one in labels]
                assert labels
                touching = [
                    (labels[i].get_text(), labels[j].get_text())
                    for i in range(len(boxes))
                    for j in range(i)
                    if boxes[i].overlaps(boxes[j])
                ]
                assert touching == []


def test_marks_of_stores_that_are_equally_fast_are_side_by_side(tmp_path: Path) -> None:
    saved = only(whole_run(), lambda info: info["backend"] in ("lmdb", "hdf5"))
    saved = faster(saved, 2, lambda info: info["backend"] == "hdf5")  # as fast as lmdb
    axes = drawn("read-per-image", saved, tmp_path)
    ends, widths = [], []
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line = container[0]
        ends.append(line.get_transform().transform((max(NS), 1.0)))
        widths.append(line.get_linewidth())
    figure = axes.get_figure(root=True)
    assert figure is not None
    (first, second), points = ends, 72 / figure.dpi
    assert (second[0] - first[0]) * points == pytest.approx(SHIFT_POINTS)
    assert first[1] == second[1]
    assert widths[0] > widths[1]  # the one that is drawn over


def test_small_commits_are_in_groups(tmp_path: Path) -> None:
    axes = drawn("commits", whole_run(), tmp_path)
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        found[str(container.get_label())] = [float(x) for x in container[0].get_xdata()]
    assert [*found] == [*STORE_ROWS]
    for name, values in found.items():
        assert values == pytest.approx([speed(name)] * 4)
    places = [tuple(container[0].get_ydata()) for container in axes.containers]
    assert len({round(y, 6) for of in places for y in of}) == 4 * len(STORE_ROWS)
    assert axes.get_xlabel().endswith(f"n = {max(NS):,}")


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


def of_side(side: int) -> Saved:
    """The run on square images of that side; a byte of theirs takes as long in each."""
    saved = whole_run()
    saved["machine_info"]["dataset"] = f"standin-{side}"
    saved = faster(saved, side**2 / 32**2, lambda _: True)
    for one in saved["benchmarks"]:
        one["extra_info"]["image_shape"] = [side, side, 3]
    return saved


def test_throughput_over_the_size_of_images_is_of_one_n(tmp_path: Path) -> None:
    runs = [load(str(save(of_side(side), tmp_path / f"{side}.json"))) for side in (64, 32, 128)]
    first, *others = runs
    plan = of_sizes(others)
    with style.canvas(plan.name, plan.title) as (_, axes):
        assert plan.draw(axes, first)
    found = lines(axes)
    assert [*found] == [f"{name} {what}" for what in ("storing", "reading") for name in STORE_ROWS]
    rate = 3072 / (speed("lmdb") * (1 + 10 / max(NS)))
    for what in ("storing", "reading"):
        expected = {side**2 * 3: rate for side in (32, 64, 128)}
        assert found[f"lmdb {what}"] == pytest.approx(expected)
    assert f"n = {max(NS):,}" in axes.get_xlabel()


@pytest.mark.parametrize("shape", [None, [], "wrong", [0, 0, 3], ["a"]])
def test_a_run_whose_sizes_are_not_known_is_not_drawn_over_them(
    tmp_path: Path, shape: object
) -> None:
    saved = of_side(64)
    for one in saved["benchmarks"]:
        one["extra_info"]["image_shape"] = shape
    run = load(str(save(saved, tmp_path / "run.json")))
    plan = of_sizes([run])
    with style.canvas(plan.name, plan.title) as (_, axes):
        assert not plan.draw(axes, run)


def test_bars_of_disk_space_are_allocated_bytes_and_lines_apparent_ones(tmp_path: Path) -> None:
    axes = drawn("disk", whole_run(), tmp_path)
    heights: dict[str, list[float]] = {}
    for bars in axes.containers:
        assert isinstance(bars, BarContainer)
        for bar in bars:
            assert bar.get_alpha() is None  # what is compared is the strong one
            heights.setdefault(to_hex(bar.get_facecolor()), []).append(bar.get_height())
    assert heights[style.colour("hdf5")] == [3200, 3200]
    assert heights[style.colour("png")] == [4096, 4096]
    for drawn_lines in axes.collections:
        assert isinstance(drawn_lines, LineCollection)
        assert {float(y) for one in drawn_lines.get_segments() for y in one[:, 1]} == {3100}


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
    crowded: SavedRun, plan: FigurePlan
) -> None:
    with style.canvas(plan.name, plan.title) as (figure, axes):
        assert plan.draw(axes, crowded)
        figure.draw_without_rendering()
        if len(figure.axes) > 1:  # each panel has a name instead
            assert all(panel.get_window_extent().height >= figure.dpi / 2 for panel in figure.axes)
            return
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
