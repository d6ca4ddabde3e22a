"""The page: filling the template, and writing it with its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS, MIN_ROUNDS, STRETCH
from benchmarks.results import decoding
from benchmarks.results.keys import in_words
from benchmarks.results.machine import PEER_LIBRARIES
from benchmarks.results.peers import peer_tables
from benchmarks.results.runs import SavedRun
from benchmarks.results.standing import LEVEL, MARGIN
from benchmarks.results.summary import cache_in_words

from . import cold, noise, style, tables
from .answers import answers
from .changes import CALM_SHARE, Changes
from .figures import PLANS, FigurePlan, Picture, draw, of_sizes
from .remarks import remarks
from .words import CONFIDENCE_SHOWN, WORDS, WORDS_OF_PICTURES, linked, percentage

TEMPLATE = "page.html.jinja"
COMMIT_SHOWN = 10
"""Characters of a commit's hash that are shown."""


def write(
    folder: Path, run: SavedRun, changes: Changes | None, sizes: Sequence[SavedRun] = ()
) -> Path:
    """Write the page and its figures to `folder`; return the page's path. Raises OSError.

    sizes: runs of other sizes of images
    """
    asked = [of_sizes(sizes)] if sizes else []
    pictures, missing = draw(run, [*PLANS, *asked])
    cold_pictures, without_cold = draw(run, [cold.PLAN])
    for picture in (*pictures, *cold_pictures):
        (folder / f"{picture.plan.name}.png").write_bytes(picture.png)
        (folder / f"{picture.plan.name}.svg").write_text(
            style.standalone(picture.svg), encoding="utf-8"
        )
    unasked = [] if sizes else [of_sizes(sizes)]
    # An earlier run's figures would be taken for this run's.
    for plan in (*missing, *without_cold, *unasked):
        for ending in (".png", ".svg"):
            (folder / f"{plan.name}{ending}").unlink(missing_ok=True)
    target = folder / "index.html"
    remarked = remarks(run, missing)
    html = render(run, changes, pictures, cold_pictures, remarked)
    target.write_text(html, encoding="utf-8")
    return target


def render(
    run: SavedRun,
    changes: Changes | None,
    pictures: Sequence[Picture],
    cold_pictures: Sequence[Picture],
    remarked: Sequence[str],
) -> str:
    """The page as HTML that shows itself without any other file; it links to the others."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["linked"] = linked
    figures = [row.figure for row in run.rows.values()]
    peers = peer_tables(figures)
    return environment.get_template(TEMPLATE).render(
        run=run,
        identity=identity(run),
        answers=answers(run),
        shares=decoding.shares(figures),
        decoding=decoding.conclusion(figures),
        confidence=CONFIDENCE_SHOWN,
        margin=percentage(MARGIN),
        level=percentage(LEVEL),
        words=WORDS | (WORDS_OF_PICTURES if any(f.keeps_files for f in figures) else {}),
        circumstances=circumstances(run),
        remarks=remarked,
        noise=noise.sentences(run),
        cold_lines=cold.lines(run),
        pictures=_embedded(pictures),
        cold_pictures=_embedded(cold_pictures),
        peer_tables=tables.of_peers(peers),
        peers_ahead=peers[-1].ahead() if peers else {},
        tables=[*tables.of_times(run), *tables.of_disk(run)],
        changes=changes and _changes(run, changes),
        dark_rules=Markup(style.dark_rules()),  # noqa: S704  # constants
    )


def _embedded(pictures: Sequence[Picture]) -> list[tuple[FigurePlan, Markup]]:
    return [(picture.plan, Markup(picture.svg)) for picture in pictures]  # noqa: S704  # drawn here


def circumstances(run: SavedRun) -> dict[str, str]:
    """The circumstances that the figures depend on, as text by term."""
    info = run.machine

    def known(key: str) -> str:
        return str(info.get(key, "not recorded"))

    budget = (
        "a time that is not recorded" if run.round_budget is None else f"{run.round_budget:g} s"
    )
    durability = known("durability")
    cache = cache_in_words(row.figure for row in run.rows.values())
    versions: dict[object, object] = {}
    for libraries in (info.get("libraries"), info.get(PEER_LIBRARIES)):
        versions |= libraries if isinstance(libraries, Mapping) else {}
    return {
        "Machine": f"{known('cpu_model')}, {known('cores')} cores, {known('memory_gib')} GiB,"
        f" {known('system')} {known('kernel')}",
        "Disk": "; ".join(filter(None, (known("file_system"), cache, f"storing is {durability}"))),
        "Data": f"{known('dataset_name')} ({known('dataset')})",
        "Versions": ", ".join(
            [f"Python {known('python_version')}", *(f"{k} {v}" for k, v in versions.items())]
        ),
        "Protocol": f"{_sweeps(run)}, in each a warm-up (a hundredth of a long round) and a share"
        f" of the rounds in about {budget}, or of {FEW_ROUNDS} in {STRETCH} times that,"
        f" never fewer than {MIN_ROUNDS}; each is checked after the clock has stopped; the median"
        " counts",
    }


def _sweeps(run: SavedRun) -> str:
    count = max((len(row.figure.sweeps) for row in run.rows.values()), default=1)
    return "one sweep" if count == 1 else f"{count} sweeps"


def identity(run: SavedRun) -> str:
    """The run's name, its time and its commit."""
    commit = str(run.commit.get("id", ""))[:COMMIT_SHOWN]
    changed = " with changes" if run.commit.get("dirty") else ""
    when = run.when[:16].replace("T", " ")
    return ", ".join(filter(None, [run.name, when, commit and f"commit {commit}{changed}"]))


def _changes(run: SavedRun, changes: Changes) -> dict[str, object]:
    before = changes.before
    beyond = {key: change.ratio for key, change in changes.rows.items() if change.beyond}
    stores = [change for key, change in changes.rows.items() if key[2] in STORE_ROWS]
    return {
        "before": before.name,
        "identity": identity(before),
        "none": changes.none,
        "one_commit": changes.one_commit,
        "margin": percentage(MARGIN),
        "calm": percentage(CALM_SHARE),
        "rows": len(stores),
        "unsure": sum(change.interval is None for change in stores),
        "faster": [f"{in_words(key)} ({tables.percent(r)})" for key, r in beyond.items() if r < 1],
        "slower": [f"{in_words(key)} ({tables.percent(r)})" for key, r in beyond.items() if r > 1],
        "noise": {state: factor for state, factor in changes.noise.items() if factor},
        "unknown": [state for state, factor in changes.noise.items() if not factor],
        "versions": _other_versions(before, run),
        "appeared": [in_words(key) for key in changes.appeared],
        "gone": [in_words(key) for key in changes.gone],
        "tables": [] if changes.none else tables.of_changes(run, changes),
    }


def _other_versions(before: SavedRun, run: SavedRun) -> list[str]:
    then, now = circumstances(before)["Versions"], circumstances(run)["Versions"]
    return [] if then == now else [then]
