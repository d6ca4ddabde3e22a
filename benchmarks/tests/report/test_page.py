"""The page of a small saved run: its numbers are those of the JSON, and it needs nothing else."""

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.utils import get_machine_id

from benchmarks.contenders.rows import ROWS, STORE_ROWS
from benchmarks.contenders.stores import StoreContender
from benchmarks.report import style
from benchmarks.report.__main__ import main
from benchmarks.report.figures import PLANS
from benchmarks.report.remarks import remarks
from benchmarks.report.words import linked
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.runs import load
from benchmarks.results.summary import TITLES, format_multiple, format_number
from benchmarks.tests.runs import REPOSITORY, environment
from benchmarks.tests.saved import (
    MACHINE,
    NS,
    Saved,
    bench,
    cold_bench,
    faster,
    only,
    save,
    whole_run,
    without_rounds,
)

from .drawing import draw_only


@dataclass
class Page(HTMLParser):
    """What a reader sees of a page.

    cells: by table, row and column; `bold` those of winners
    tags: every tag, with its attributes
    """

    cells: dict[tuple[str, str, str], str] = field(default_factory=dict)
    bold: set[tuple[str, str, str]] = field(default_factory=set)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._title = self._row = self._inside = self._mark = ""
        self._columns: list[str] = []
        self._at = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("h3", "td", "small", "th"):
            self._inside, self._mark = tag, dict(attrs).get("class") or ""
        if tag == "thead":
            self._columns = []
        if tag == "tr":
            self._at = -1
        self._at += tag in ("td", "th")
        if tag == "th" and dict(attrs)["scope"] == "row":
            self._inside = "row"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside or tag == "th":
            self._inside = ""

    def handle_data(self, data: str) -> None:
        data = data.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
        self.text += data
        if self._inside == "h3":
            self._title = data
        elif self._inside == "th":
            self._columns.append(data)
        elif self._inside == "row":
            self._row = data
        elif self._inside in ("td", "small"):
            place = self._title, self._row, self._columns[self._at]
            self.cells[place] = f"{self.cells.get(place, '')} {data}".strip()
            if "wins" in self._mark:
                self.bold.add(place)


def written(saved: Saved, folder: Path, *options: str) -> Page:
    """The page of a run, made as a user makes it."""
    run = save(saved, folder / "0005_run.json")
    assert main([str(run), "--out", str(folder / "out"), *options]) == 0
    page = Page()
    page.feed((folder / "out" / "index.html").read_text(encoding="utf-8"))
    return page


@pytest.fixture
def every_figure() -> None:
    """Draw all figures in this test, not just one."""


@pytest.fixture(autouse=True)
def _few_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "every_figure" not in request.fixturenames:
        draw_only(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the report of `whole_run` is."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Page:
    """The page of `whole_run`."""
    return written(whole_run(), folder)


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "results.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def per_image(one: Saved) -> float:
    seconds: float = one["stats"]["median"] / one["extra_info"]["images_per_round"]
    return seconds * 1e6


def place_of(one: Saved) -> tuple[str, str, str]:
    info = one["extra_info"]
    return info["operation"], f"{info['backend']} {info['variant']}".strip(), f"{info['n']:,}"


# ---- numbers ---------------------------------------------------------------------------------


def test_every_time_is_in_the_tables_with_its_multiple_of_the_limit(whole: Page) -> None:
    saved = whole_run()
    cells = dict(whole.cells)
    limits = {
        (place_of(one)[0], place_of(one)[2]): per_image(one)
        for one in saved["benchmarks"]
        if one["extra_info"]["backend"] == "limit"
    }
    for one in saved["benchmarks"]:
        operation, label, n = place_of(one)
        expected = format_number(per_image(one))
        if (operation, n) in limits and label != "limit":
            expected += f" {format_multiple(per_image(one) / limits[operation, n])}"
        assert cells.pop((operation, label, n)) == expected
    assert {title for title, _, _ in cells} == {"disk"}


def test_figures_of_few_rounds_are_starred(tmp_path: Path) -> None:
    saved = whole_run() | {
        "benchmarks": [
            bench("read_many", "png", 10, 50.0, spread=(1, 1, 1, 1)),
            bench("read_many", "hdf5", 10, 50.0, spread=(1, 1, 1, 1, 1)),
        ]
    }
    page = written(saved, tmp_path)
    assert page.cells["read_many", "png", "10"] == "50.0 *"
    assert page.cells["read_many", "hdf5", "10"] == "50.0"
    assert "* marks figures of fewer than 5 rounds, 1 of 2." in page.text


def test_where_no_store_wins_none_is_bold(tmp_path: Path) -> None:
    saved = only(whole_run(), lambda info: info["backend"] in ("png", "lmdb"))
    saved = faster(saved, 4 / 50, lambda i: (i["backend"], i["operation"]) == ("png", "read_many"))
    bold = written(saved, tmp_path).bold
    assert {label for title, label, _ in bold if title in ("disk", "read_many")} == set()
    assert {label for title, label, _ in bold if title == "store_many"} == {"lmdb"}


def test_a_store_that_is_ahead_by_noise_is_not_bold(tmp_path: Path) -> None:
    """In a column of an answer as in another."""
    saved = whole_run() | {
        "benchmarks": [
            bench(operation, name, 10, 50.0, spread=spread)
            for operation in ("read_many", "append")
            for name, spread in (("png", (1, 2, 1, 2, 1)), ("hdf5", (0.9, 1.8, 1.2, 1.9, 0.8)))
        ]
    }
    page = written(saved, tmp_path)
    assert page.bold == set()
    assert "undecided" in page.text


def test_disk_space_is_in_a_table_allocated_and_apparent(whole: Page) -> None:
    found = {place: text for place, text in whole.cells.items() if place[0] == "disk"}
    assert len(found) == len(ROWS) * len(NS)
    for (_, name, _), text in found.items():
        assert text == ("3,200 3,100" if name == "hdf5" else "4,096 3,100")


def test_the_winner_of_each_column_is_bold(whole: Page) -> None:
    bold = whole.bold
    assert {label for _, label, _ in bold} == {
        *("hdf5", "hdf5 single", "hdf5 slice"),
        *("hdf5 1 process", "hdf5 2 processes", "hdf5 4 processes"),
        *("hdf5 0 workers", "hdf5 2 forked workers"),
        *(f"hdf5 {what}" for what in ("store", "open", "read", "compacted")),
    }
    assert {(operation, n) for operation, _, n in bold} >= {("read_many", f"{n:,}") for n in NS}


def test_the_page_says_what_the_figures_depend_on(whole: Page) -> None:
    for said in (
        "Run 0005, 2026-11-21 03:29, commit 0123456789",
        "Abacus, 3 cores, 7 GiB, Linux 6.1",
        "ext4; warm cache; storing is durable",
        "standin (standin-v9)",
        "Python 3.11.7, numpy 2.4.6, lmdb 3.0.0",
        "rounds in about 0.3 s",
        "The data: painted <for> the test.",
    ):
        assert said in whole.text


@pytest.mark.parametrize(
    ("warm", "cold", "said"),
    [
        (True, True, "ext4; warm and cold cache; storing is durable"),
        (False, True, "ext4; cold cache; storing is durable"),
        (False, False, "ext4; storing is durable"),
    ],
)
def test_the_page_says_whether_stores_were_read_from_memory(
    tmp_path: Path, warm: bool, cold: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rows of the run, whatever its --cache was."""
    reading = [plan for plan in PLANS if "read_many" in plan.reads][:2]
    draw_only(monkeypatch, reading)
    saved = only(whole_run(), lambda info: warm or info["operation"] == "store_many")
    if cold:
        saved["benchmarks"] += [cold_bench("read_many", name, 10, 90.0) for name in ROWS]
    text = written(saved, tmp_path).text
    assert said in text
    captions = text.count("Reading was measured cold only: each store was evicted")
    drawn_twice = 2  # as a caption, and as the description in the SVG
    assert captions == (0 if warm or not cold else drawn_twice * len(reading))


def test_the_table_for_other_programs_has_a_line_for_every_row(whole: Page, folder: Path) -> None:
    saved = whole_run()
    found = {(line["operation"], line["back_end"], line["n"]): line for line in results(folder)}
    assert len(found) == len(saved["benchmarks"])
    for one in saved["benchmarks"]:
        info, stats = one["extra_info"], one["stats"]
        operation = f"{info['operation']} {info['variant']}".strip()
        line = found[operation, info["backend"], str(info["n"])]
        assert float(line["median_microseconds"]) == pytest.approx(per_image(one))
        assert float(line["median_seconds_per_round"]) == pytest.approx(stats["median"])
        counted = [
            line.pop(name)
            for name in ("images_per_round", "images_per_second", "pixel_megabytes_per_second")
        ]
        if operation in ("store_single", "read_single", "commits open"):
            assert line["microseconds_per"] == "call"
            assert counted == ["", "", ""]
        else:
            assert line["microseconds_per"] == "image"
            megabytes = info["pixel_megabytes_per_second"]
            assert [*map(float, counted)] == pytest.approx(
                [info["images_per_round"], 1e6 / per_image(one), megabytes]
            )
        assert int(line["rounds"]) == len(info["rounds_microseconds"].split())
        assert int(line["store_allocated_bytes"]) == info["allocated_bytes"]
        low, high = (float(line[f"interval_{end}_microseconds"]) for end in ("low", "high"))
        assert 0.97 * per_image(one) < low < per_image(one) < high < 1.03 * per_image(one)
        assert "" not in line.values()


def test_a_call_is_not_called_an_image(whole: Page) -> None:
    for per_call in (
        "store_single open, store one image, close; µs per call",
        "read_single open, read one image, close; µs per call",
        "commits n calls of store_single, buffered, on an open store; µs per image, open per call",
    ):
        assert per_call in whole.text


# ---- figures ---------------------------------------------------------------------------------


def points(svg: str, colour: str) -> int:
    """How many marks of that colour are drawn."""
    return len(re.findall(rf"<use [^>]*fill: {colour}; stroke: {colour}", svg))


def test_every_figure_is_a_png_an_svg_and_in_the_page(whole: Page, folder: Path) -> None:
    for plan in PLANS:
        with Image.open(folder / "out" / f"{plan.name}.png") as image:
            assert image.width == 1040
            assert np.ptp(np.asarray(image.convert("L"))) > 200
        svg = (folder / "out" / f"{plan.name}.svg").read_text(encoding="utf-8")
        root = ElementTree.fromstring(svg)  # our own
        named = {what: root.findtext(f"{{*}}{what}") for what in ("title", "desc")}
        assert root.tag.endswith("svg")
        assert named == {"title": plan.title, "desc": plan.caption}
        assert "@media (prefers-color-scheme: dark)" in svg
        assert plan.caption.replace("\N{NO-BREAK SPACE}", " ") in whole.text
    assert [tag for tag, _ in whole.tags].count("svg") == len(PLANS)


def test_a_store_has_one_colour_and_a_mark_at_every_n(whole: Page, folder: Path) -> None:
    for name in ("store-time", "store-time-log", "read-per-image", "read-single"):
        svg = (folder / "out" / f"{name}.svg").read_text(encoding="utf-8")
        legend = name != "store-time"
        for colour in map(style.colour, (*STORE_ROWS, "limit")):
            assert points(svg, colour) >= len(NS) + legend, (name, colour)


def test_the_command_makes_the_same_files_of_the_same_run(
    whole: Page, folder: Path, tmp_path: Path
) -> None:
    """As a user runs it, in another process."""
    run, out = save(whole_run(), tmp_path / "0005_run.json"), tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.report", str(run), "--out", str(out)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out / 'index.html'}\n"
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert len(names) == 2 * len(PLANS) + 2
    for name in names:
        first, second = ((path / "out" / name).read_bytes() for path in (folder, tmp_path))
        assert first == second, name


@pytest.mark.usefixtures("every_figure")
def test_a_store_that_is_added_is_in_every_figure_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Zarr(StoreContender):
        def __init__(self) -> None:
            self.name = "zarr"

    monkeypatch.setitem(STORE_ROWS, "zarr", Zarr())
    monkeypatch.setitem(ROWS, "zarr", Zarr())
    page = written(whole_run(), tmp_path)
    assert "Left out" not in page.text
    for plan in PLANS:
        if plan.name != "speed-up":  # the tutorial has no such way
            svg = (tmp_path / "out" / f"{plan.name}.svg").read_text(encoding="utf-8")
            assert style.colour("zarr") in svg.split("</style>")[-1], plan.name
    assert {title for title, label, _ in page.cells if label.startswith("zarr")} == {
        title for title, _, _ in page.cells
    }


# ---- by itself -------------------------------------------------------------------------------


def links(page: Page) -> list[str]:
    """Where the reader may go from the page."""
    return [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]


def test_the_page_needs_no_script_no_network_and_no_other_file(whole: Page) -> None:
    names = {tag for tag, _ in whole.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "image"}
    references = [
        value or ""
        for tag, attributes in whole.tags
        for name, value in attributes.items()
        if name in ("href", "src", "srcset", "xlink:href") and tag != "a"
    ]
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert not re.search(r"@import|url\((?!#)", whole.text)


def test_the_page_has_each_name_once_and_knows_those_it_refers_to(tmp_path: Path) -> None:
    page = written(whole_run(), tmp_path, "--against", str(tmp_path / "0005_run.json"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        reference = attributes.get("href") or attributes.get("xlink:href") or ""
        assert not reference.startswith("#") or reference[1:] in ids
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids


def test_the_table_and_the_figures_are_linked_and_there(whole: Page, folder: Path) -> None:
    files = {link for link in links(whole) if not link.startswith(("#", "https:"))}
    assert files == {path.name for path in (folder / "out").iterdir()} - {"index.html"}


def test_the_words_of_the_suite_are_explained_once_and_linked(whole: Page) -> None:
    for word in ("limit", "tutorial", "stand-in", "sweep"):
        assert [attributes.get("id") for _, attributes in whole.tags].count(word) == 1
    assert {"#limit", "#tutorial", "#sweep"} <= {*links(whole)}


def test_the_words_of_pictures_are_explained_where_there_are_any(
    whole: Page, tmp_path: Path
) -> None:
    saved = whole_run() | {"benchmarks": [bench("read_many", "files", 10, 90.0)]}
    saved["benchmarks"][0]["extra_info"]["file_bytes"] = 2_000.0
    for page, count in ((whole, 0), (written(saved, tmp_path), 1)):
        ids = [attributes.get("id") for tag, attributes in page.tags if tag == "dt"]
        assert [ids.count(word) for word in ("bytes", "files", "limit-encoded")] == [count] * 3


def test_a_word_is_linked_where_it_comes_first_and_never_in_another() -> None:
    text = linked("<b> & the limits: sweeps of the limit, the limit, a sweep")
    assert text == (
        '&lt;b&gt; &amp; the limits: <a href="#sweep">sweeps</a> of <a href="#limit">the limit</a>,'
        " the limit, a sweep"
    )


def test_every_table_has_a_caption(whole: Page, tmp_path: Path) -> None:
    more = whole_run()
    more["benchmarks"].append(cold_bench("read_many", "hdf5", 1000, 20.2))
    counts = []
    for page in (whole, written(more, tmp_path)):
        names = [tag for tag, _ in page.tags]
        assert names.count("table") == names.count("caption") > 0
        counts.append(names.count("table"))
    assert counts[1] > counts[0]


def test_percentages_are_written_in_one_way(tmp_path: Path) -> None:
    before = save(whole_run(), tmp_path / "before.json")
    now = faster(whole_run(), 0.5, lambda info: info["operation"] == "epoch")
    text = written(now, tmp_path, "--against", str(before)).text
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8").split("</style>")[1]
    assert "95 %" in text
    assert re.findall(r"[\d. ]%", re.sub(r'(width|height)="100%"', "", html)) == []


def test_the_page_of_an_interrupted_run_says_so(tmp_path: Path, whole: Page) -> None:
    said = "This run was interrupted (by Ctrl-C)"
    assert said in written(whole_run() | {"interrupted": "by Ctrl-C"}, tmp_path).text
    assert "interrupted" not in whole.text


def test_what_a_run_says_is_text_and_never_markup(tmp_path: Path) -> None:
    saved = whole_run()
    saved["machine_info"]["cpu_model"] = "<script>alert(1)</script>"
    others = [*"abcdef", "<b>zarr"]
    saved["benchmarks"] += [bench("read_many", name, 10, 1.0) for name in others]
    page = written(saved, tmp_path)
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>, 3 cores" in page.text
    assert "no such back end or operation: a, b, c, d, e, f, <b>zarr." in page.text


# ---- what is missing -------------------------------------------------------------------------


def test_a_run_without_rounds_says_so(tmp_path: Path) -> None:
    text = written(without_rounds(whole_run()), tmp_path).text
    assert "This run has one sweep only, like all of earlier versions" in text
    lines = results(tmp_path)
    assert {line["interval_low_microseconds"] for line in lines} == {""}


def test_a_row_without_rounds_is_named_and_no_winner_is_called_there(tmp_path: Path) -> None:
    saved = whole_run()
    for one in saved["benchmarks"]:
        if place_of(one) == ("read_many", "png", "1,000"):
            one["extra_info"]["rounds_microseconds"] = "damaged"
        one["extra_info"]["round_budget_seconds"] = "damaged"
    text = written(saved, tmp_path).text
    assert "or their rounds are missing or damaged: read_many png n=1,000." in text
    assert "rounds in about a time that is not recorded" in text
    assert text.count("One sweep does not show how sure that is") == 1


def test_values_that_cannot_be_are_left_out_and_named(tmp_path: Path) -> None:
    saved = whole_run()
    names = []
    for one in saved["benchmarks"]:
        if one["extra_info"]["operation"] == "store_many" and one["extra_info"]["backend"] == "png":
            one["extra_info"]["allocated_bytes"] = 0
            names.append(one["name"])
    page = written(saved, tmp_path)
    assert f"Left out, because they are damaged or there twice: {', '.join(names)}." in page.text
    assert "Missing in this run: store_many png n=10, store_many png n=1,000." in page.text
    assert ("store_many", "png", "10") not in page.cells
    assert ("read_many", "png", "10") in page.cells


def test_of_a_hundred_benchmarks_that_are_left_out_five_are_named(tmp_path: Path) -> None:
    saved = whole_run()
    names = [f"test[{i}]" for i in range(100)]
    saved["benchmarks"] += [{"name": name} for name in names]
    run = load(str(save(saved, tmp_path / "run.json")))
    damaged = f"they are damaged or there twice: {', '.join(names[:5])} and 95 more."
    assert any(damaged in remark for remark in remarks(run, []))


def test_text_that_cannot_be_printed_is_escaped_on_the_page(tmp_path: Path) -> None:
    saved = whole_run()
    saved["machine_info"] |= {"cpu_model": "lone\ud800", "dataset_note": "two\nlines"}
    saved["benchmarks"][3]["extra_info"]["cache"] = "\udfff"
    text = written(saved, tmp_path).text
    assert r"lone\ud800, 3 cores" in text
    assert r"The data: two\nlines." in text
    assert {line["cache"] for line in results(tmp_path)} == {"warm", r"\udfff"}


@pytest.mark.usefixtures("every_figure")
def test_missing_rows_are_named_and_nothing_empty_is_drawn(tmp_path: Path) -> None:
    saved = only(
        whole_run(),
        lambda info: (
            info["operation"] in ("read_batch", "epoch", "iterate")
            and (info["backend"], info["n"]) != ("png", 1000)
            and info["backend"] != "lmdb"
        ),
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "disk.png").write_text("of an earlier run")
    page = written(saved, tmp_path)
    unmeasured = [name for name in TITLES if name not in ("read_batch", "epoch", "iterate")]
    assert f"Not measured in this run: {', '.join(unmeasured)}." in page.text
    assert "Without figures in this run: lmdb." in page.text
    assert "Missing in this run: read_batch png n=1,000, epoch png n=1,000, iterate" in page.text
    undrawn = [plan.title for plan in PLANS if plan.name not in ("iterate", "random-batches")]
    assert f"because nothing on them was measured: {', '.join(undrawn)}." in page.text
    assert page.cells["read_batch", "png", "1,000"] == "-"
    assert [tag for tag, _ in page.tags].count("svg") == 2
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        *("index.html", "results.csv", "iterate.png", "iterate.svg"),
        *("random-batches.png", "random-batches.svg"),
    }


def test_why_rows_were_skipped_is_said_once_and_before_the_figures(tmp_path: Path) -> None:
    skipped = [
        *(
            SkippedRow(Key("loader", v, "png", 1000), "torch is not installed")
            for v in ("0 workers", "")
        ),
        *(SkippedRow(Key(op, "", "lmdb", 10), "no space") for op in ("read_many", "store_many")),
    ]
    saved = only(
        whole_run(),
        lambda info: info["operation"] in ("read_many", "store_many") and info["backend"] != "lmdb",
    ) | {"skipped": [one.written() for one in skipped]}
    text = written(saved, tmp_path).text
    before = text[text.index("Before you rely on it") : text.index("How it was measured")]
    assert "Not measured: no space: read_many lmdb n=10, store_many lmdb n=10." in before
    assert "Not measured: torch is not installed: loader png n=1,000, loader png 0" in before
    (unmeasured,) = re.findall(r"Not measured in this run: (.*)\.", before)
    assert "loader" not in unmeasured
    assert "commits" in unmeasured
    assert "Without figures" not in before
    assert text.count("no space") == 1


def test_an_old_run_that_knows_nothing_of_its_machine_has_a_page(tmp_path: Path) -> None:
    saved = whole_run() | {"machine_info": {}, "commit_info": None, "datetime": None}
    page = written(saved, tmp_path)
    assert "not recorded" in page.text
    assert ("read_many", "png", "10") in page.cells


# ---- two runs --------------------------------------------------------------------------------


def test_changes_are_in_tables_of_their_own_and_marked_beyond_the_noise(tmp_path: Path) -> None:
    before = save(whole_run(), tmp_path / "0004_before.json")
    now = faster(whole_run(), 0.5, lambda info: info["operation"] == "epoch")
    page = written(now, tmp_path, "--against", str(before))
    stores = sum(one["extra_info"]["backend"] in STORE_ROWS for one in now["benchmarks"])
    epochs = len(STORE_ROWS) * len(NS)
    said = f"Of {stores} rows of this project's stores, {epochs} became faster and\n0 slower"
    assert said in page.text
    assert "epoch png n=10 (-50.0 %)" in page.text
    changed = {place for place, text in page.cells.items() if "▼" in text}
    assert changed == {("epoch", name, f"{n:,}") for name in STORE_ROWS for n in NS}
    assert re.search(r"25.0 ▼ -50.0 % -5\d.\d … -4\d.\d %$", page.cells["epoch", "png", "10"])
    by_row = {(line["operation"], line["back_end"], line["n"]): line for line in results(tmp_path)}
    line = by_row["epoch", "png", "10"]
    assert float(line["earlier_median_microseconds"]) == pytest.approx(50)
    assert float(line["change_ratio"]) == pytest.approx(0.5)
    assert float(line["change_interval_high_ratio"]) == pytest.approx(0.5, rel=0.04)
    assert line["changed_beyond_noise"] == "True"
    assert by_row["read_many", "png", "10"]["changed_beyond_noise"] == "False"


def test_against_itself_the_page_says_that_nothing_has_changed(tmp_path: Path) -> None:
    text = written(whole_run(), tmp_path, "--against", str(tmp_path / "0005_run.json")).text
    assert "Nothing has changed: every median is the same in both." in text
    assert "too few rows" not in text
    assert "noise" not in text


def test_with_too_few_references_the_page_says_so(tmp_path: Path) -> None:
    stores = only(whole_run(), lambda info: info["backend"] in STORE_ROWS)
    path = save(stores, tmp_path / "before.json")
    now = faster(whole_run(), 0.9, lambda info: info["backend"] == "png")
    text = written(now, tmp_path, "--against", str(path)).text
    said = "There are too few warm ones in both runs to estimate the noise of warm rows, so none of"
    assert said in text
    assert "0 became faster" in text


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (lambda _: True, "so noise cannot be told from change, and no row is marked"),
        (
            lambda info: info["operation"] == "epoch",
            f"{len(STORE_ROWS) * len(NS)} of them cannot be judged",
        ),
    ],
)
def test_rows_that_cannot_be_judged_are_said(
    tmp_path: Path, damaged: Callable[[Saved], bool], said: str
) -> None:
    before = whole_run()
    for one in before["benchmarks"]:
        if damaged(one["extra_info"]):
            one["extra_info"]["rounds_microseconds"] = ""
    path = save(before, tmp_path / "before.json")
    now = faster(whole_run(), 0.5, lambda info: info["backend"] == "hdf5")
    page = written(now, tmp_path, "--against", str(path))
    assert said in page.text
    assert any("▼" in text for text in page.cells.values()) == ("became faster" in page.text)


def test_runs_of_one_commit_say_so(tmp_path: Path) -> None:
    path = save(whole_run(), tmp_path / "before.json")
    said = "Both runs are of one commit"
    now = faster(whole_run(), 0.5, lambda info: info["backend"] == "hdf5")
    assert said in written(now, tmp_path, "--against", str(path)).text
    now["commit_info"]["id"] = "fedcba9876543210"
    assert said not in written(now, tmp_path, "--against", str(path)).text


def test_several_runs_are_pooled(tmp_path: Path) -> None:
    other = faster(whole_run(), 2, lambda info: info["operation"] == "epoch")
    other["datetime"] = "2026-11-22T03:29:00.687510+00:00"
    path = save(other, tmp_path / "0006_other.json")
    page = written(whole_run(), tmp_path, str(path))
    assert "run 0005 + 0006" in page.text
    assert "14 sweeps, in each" in page.text
    assert page.cells["read_many", "limit", "1,000"] == "1.01"
    assert page.cells["epoch", "hdf5", "1,000"] == "2.98"  # between 2 and 4


def test_runs_of_other_sizes_give_a_figure_if_only_the_data_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = whole_run()
    other["machine_info"]["dataset"] = "standin-64"
    sizes = save(other, tmp_path / "0006_larger.json")
    run = whole_run()
    for one in run["benchmarks"]:
        one["extra_info"]["image_shape"] = [32, 32, 3]
    page = written(run, tmp_path, "--sizes", str(sizes))
    assert "Larger images" in page.text
    assert (tmp_path / "out" / "image-sizes.svg").exists()
    assert "Larger images" not in written(run, tmp_path).text
    assert not (tmp_path / "out" / "image-sizes.svg").exists()
    capsys.readouterr()
    other["machine_info"]["file_system"] = "xfs"
    said = error_of(capsys, str(tmp_path / "0005_run.json"), "--sizes", str(save(other, sizes)))
    assert said == "error: --sizes 0006: it differs in file system (xfs, now ext4)"


def test_runs_without_a_row_in_common_say_so(tmp_path: Path) -> None:
    before = only(whole_run(), lambda info: info["backend"] == "png")
    now = only(whole_run(), lambda info: info["backend"] == "lmdb")
    path = save(before, tmp_path / "before.json")
    text = written(now, tmp_path, "--against", str(path)).text
    assert "The two have no row of this project's stores in common." in text
    assert "All changes" not in text


def test_other_versions_then_are_said(tmp_path: Path) -> None:
    before = whole_run()
    before["machine_info"]["libraries"] = MACHINE["libraries"] | {"lmdb": "2.9"}
    path = save(before, tmp_path / "before.json")
    page = written(whole_run(), tmp_path, "--against", str(path))
    assert "Versions then: Python 3.11.7, numpy 2.4.6, lmdb 2.9." in page.text


# ---- errors ----------------------------------------------------------------------------------


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which the command fails."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(whole_run(), Path(".benchmarks/Linux/0001_a.json"))
    Path("bad.json").write_text("{")
    assert error_of(capsys, "0002").startswith("error: no run '0002' in .benchmarks")
    assert error_of(capsys, "bad.json").startswith("error: bad.json is damaged")
    assert error_of(capsys, "0001", "--against", "bad.json").startswith("error: bad.json is")
    assert error_of(capsys, "--out", "bad.json") == "error: --out bad.json: File exists"
    assert error_of(capsys, "--out", "bad.json/x") == "error: --out bad.json/x: Not a directory"
    assert error_of(capsys, "two\nlines").startswith(r"error: no run 'two\nlines' in")
    assert not Path("report").exists()


def test_a_folder_named_by_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out="])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("error: argument --out: '' names nothing\n")


def test_a_folder_that_cannot_be_written_to_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = save(whole_run(), tmp_path / "run.json")
    (tmp_path / "out" / "index.html").mkdir(parents=True)  # in the page's way, even for root
    assert error_of(capsys, str(run), "--out", str(tmp_path / "out")).endswith("Is a directory")


def test_the_newest_run_is_reported_in_a_folder_called_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("0001_a.json", "0002_b.json"):
        save(whole_run(), Path(".benchmarks", get_machine_id(), name))  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    assert main([]) == 0
    assert capsys.readouterr().out == "report/index.html\n"
    assert main(["--out", "two\nlines"]) == 0
    assert capsys.readouterr().out == "two\\nlines/index.html\n"
    assert "run 0002" in Path("report/index.html").read_text(encoding="utf-8")
