"""The figures of a run as CSV, one row per operation, back end and n."""

import csv
from pathlib import Path

from .changes import Changes
from .run import Row, Run


def write_results(path: Path, run: Run, changes: Changes | None) -> None:
    """Write every row of `run`; what is not known is left empty. Raises OSError."""
    lines = [_line(row) | (_changed(row, changes) if changes else {}) for row in run.rows.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _line(row: Row) -> dict[str, object]:
    figure = row.figure
    interval = row.interval
    return {
        # Together, so that no cell is empty that rows are told apart by.
        "operation": f"{figure.operation} {figure.variant}".strip(),
        "back_end": figure.backend,
        "n": figure.n,
        "images_per_round": row.images,
        "rounds": figure.rounds,
        "median_microseconds_per_image": figure.microseconds,
        "interval_low_microseconds_per_image": interval.low if interval else None,
        "interval_high_microseconds_per_image": interval.high if interval else None,
        "lower_quartile_microseconds_per_image": row.q1,
        "upper_quartile_microseconds_per_image": row.q3,
        "median_seconds_per_round": figure.microseconds * row.images / 1e6,
        "images_per_second": row.images_per_second,
        "pixel_megabytes_per_second": row.pixel_megabytes_per_second,
        "store_files": row.files,
        "store_apparent_bytes": row.apparent_bytes,
        "store_allocated_bytes": row.allocated_bytes,
        "cache": row.cache,
        "durability": row.durability,
    }


def _changed(row: Row, changes: Changes) -> dict[str, object]:
    change = changes.rows.get(row.key)
    interval = change.interval if change else None
    return {
        "earlier_median_microseconds_per_image": (
            changes.before.rows[row.key].figure.microseconds if change else None
        ),
        "change_ratio": change.ratio if change else None,
        "change_interval_low_ratio": interval.low if interval else None,
        "change_interval_high_ratio": interval.high if interval else None,
        "changed_beyond_noise": change.beyond if change else None,
    }
