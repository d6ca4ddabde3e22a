"""The figures of a run as CSV, one row per operation, back end and n."""

import csv
from pathlib import Path

from benchmarks.results.runs import Row, SavedRun

from .changes import Changes


def write_results(path: Path, run: SavedRun, changes: Changes | None) -> None:
    """Write every row of `run`; unknown values, and those that do not apply, are left empty.

    `microseconds_per` says whether times are per call or per image. The columns that count images
    are empty for calls. Raises OSError.
    """
    lines = [_line(row) | (_changed(row, changes) if changes else {}) for row in run.rows.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _line(row: Row) -> dict[str, object]:
    figure = row.figure
    interval = row.interval
    return {
        # In one cell, so that no cell that identifies a row is empty.
        "operation": f"{figure.operation} {figure.variant}".strip(),
        "back_end": figure.backend,
        "n": figure.n,
        "rounds": figure.rounds,
        "images_per_round": None if figure.per_call else row.recorded.images_per_round,
        "median_seconds_per_round": figure.microseconds * row.recorded.images_per_round / 1e6,
        "microseconds_per": "call" if figure.per_call else "image",
        "median_microseconds": figure.microseconds,
        "interval_low_microseconds": interval.low if interval else None,
        "interval_high_microseconds": interval.high if interval else None,
        "lower_quartile_microseconds": row.q1,
        "upper_quartile_microseconds": row.q3,
        "images_per_second": None if figure.per_call else 1e6 / figure.microseconds,
        "pixel_megabytes_per_second": (
            None if figure.per_call else row.recorded.pixel_megabytes_per_second
        ),
        "store_files": row.recorded.files,
        "store_apparent_bytes": row.recorded.apparent_bytes,
        "store_allocated_bytes": row.recorded.allocated_bytes,
        "cache": row.recorded.cache,
        "durability": row.recorded.durability,
    }


def _changed(row: Row, changes: Changes) -> dict[str, object]:
    change = changes.rows.get(row.key)
    interval = change.interval if change else None
    return {
        "earlier_median_microseconds": (
            changes.before.rows[row.key].figure.microseconds if change else None
        ),
        "change_ratio": change.ratio if change else None,
        "change_interval_low_ratio": interval.low if interval else None,
        "change_interval_high_ratio": interval.high if interval else None,
        "changed_beyond_noise": change.beyond if change else None,
    }
