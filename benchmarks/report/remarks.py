"""Remarks on a run that its readers need before they rely on it: what is missing or odd."""

from collections.abc import Sequence

from benchmarks.contenders.rows import DEFAULT_STORES, STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS
from benchmarks.results.keys import Key, in_words, reasons
from benchmarks.results.recorded import OF_FILES
from benchmarks.results.runs import SavedRun
from benchmarks.results.summary import TITLES

from .figures import FigurePlan

SHOWN = 5
"""Names of benchmarks that a list shows before it is cut, since there may be hundreds."""


def remarks(run: SavedRun, missing: Sequence[FigurePlan]) -> list[str]:
    """The remarks, one sentence or more each.

    missing: the figures that the run has no data for
    """
    made = [
        _if("The data: {}.", [str(note) for note in [run.machine.get("dataset_note")] if note]),
        _without_sweeps(run),
        _if("Left out, because this version has no such back end or operation: {}.", run.strangers),
        _if("Left out, because they are damaged or there twice: {}.", _cut(run.unreadable)),
        *(f"{reason[0].upper()}{reason[1:]}." for reason in reasons(run.skipped)),
        _if("Not measured in this run: {}.", _operations(run)),
        _if("Without figures in this run: {}.", _stores(run)),
        _if("Missing in this run: {}.", _cut(_holes(run))),
        _if("Not drawn, because nothing on them was measured: {}.", [p.title for p in missing]),
        _few_rounds(run),
    ]
    return [remark for remark in made if remark]


def _if(sentence: str, names: Sequence[str]) -> str:
    return sentence.format(", ".join(names)) if names else ""


def _cut(names: Sequence[str]) -> list[str]:
    if len(names) <= SHOWN:
        return [*names]
    return [*names[: SHOWN - 1], f"{names[SHOWN - 1]} and {len(names) - SHOWN} more"]


def _without_sweeps(run: SavedRun) -> str:
    lacking = [in_words(key) for key, row in run.rows.items() if row.interval is None]
    if len(lacking) < len(run.rows):
        return _if(
            "Without an interval, and so without a winner if they compete, because they have one"
            " sweep only, or their rounds are missing or damaged: {}.",
            _cut(lacking),
        )
    return (
        "This run has one sweep only, like all of earlier versions, or its rounds are damaged. So"
        " there are no intervals, and no winners except for the disk. A new run has them."
    )


def _operations(run: SavedRun) -> list[str]:
    """Those that are neither measured nor said to be skipped."""
    known = {key.operation for key in _known(run)}
    return [operation for operation in TITLES if operation not in known]


def _stores(run: SavedRun) -> list[str]:
    known = {key.backend for key in _known(run)}
    return [name for name in DEFAULT_STORES if name not in known]


def _known(run: SavedRun) -> set[Key]:
    return {*run.rows, *(one.key for one in run.skipped)}


def _holes(run: SavedRun) -> list[str]:
    """The names of rows that are missing although another back end has them."""
    by_operation: dict[tuple[str, str, bool], list[Key]] = {}
    for key in run.rows:
        by_operation.setdefault((key.operation, key.variant, key.cold), []).append(key)
    backends = {key.backend for key in run.rows}
    known = _known(run)
    holes: list[Key] = []
    for (operation, variant, cold), keys in by_operation.items():
        expected = {key.backend for key in keys}
        if not variant.endswith(OF_FILES):  # only stores have every operation, decoding or not
            expected |= backends & STORE_ROWS.keys()
        for n in sorted({key.n for key in keys}):
            holes += [Key(operation, variant, name, n, cold) for name in sorted(expected)]
    return [in_words(key) for key in holes if key not in known]


def _few_rounds(run: SavedRun) -> str:
    few = sum(row.figure.rounds < FEW_ROUNDS for row in run.rows.values())
    if not few:
        return ""
    return (
        f"* marks figures of fewer than {FEW_ROUNDS} rounds, {few} of {len(run.rows)}. Their"
        " medians may be off."
    )
