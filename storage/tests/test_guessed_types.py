"""Programs that guess a column's type from its values guess the same for every part of a PNG store.

Hugging Face's `imagefolder` reads each part's table by itself and then wants all to be of one type,
and any value may be the only one of its part.
"""

import csv
import re
from pathlib import Path

import pytest

from .. import PngStore
from .samples import INT64_LIMITS, mixed_pictures, pictures

N = 8_000
"""Among this many random checksums of sixteen hexadecimal digits, twenty look like a number."""

GUESSES = [
    (
        "nothing",
        r"|na|n/a|#n/a|#na|nan|-nan|<na>|null|none|nil|1\.#ind|-1\.#ind|1\.#qnan|-1\.#qnan",
    ),
    ("integer", r"[+-]?\d+|0x[0-9a-f]+"),
    ("number", r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?"),
    ("truth", r"true|false|yes|no|t|f"),
    ("time", r"\d{4}-?\d\d-?\d\d([ t].*)?|\d{1,2}[:/]\d\d([:/.].*)?"),
]
"""What pandas, pyarrow and others take a value for, the first that fits; the case does not matter."""


def guess(value: str) -> str:
    text = value.strip()
    found = (kind for kind, pattern in GUESSES if re.fullmatch(pattern, text, re.IGNORECASE))
    return next(found, "text")


def guesses(path: Path) -> dict[str, set[str]]:
    """What the values of each column are taken for, in all parts together; by the column's name."""
    tables = sorted(path.rglob("metadata.csv"))
    assert tables
    found: dict[str, set[str]] = {}
    headings = set()
    for table in tables:
        with table.open(newline="") as file:
            reader = csv.DictReader(file)
            headings.add(tuple(reader.fieldnames or ()))
            for row in reader:
                for name, value in row.items():
                    found.setdefault(name, set()).add(guess(value))
    assert len(headings) == 1
    return found


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("000000000000.png", "text"),
        ("12", "integer"),
        ("0000000000001234", "integer"),
        ("12345678e1234567", "number"),
        ("1e5", "number"),
        ("nan", "nothing"),
        ("", "nothing"),
        ("32x32x3", "text"),
        ("2024-01-02", "time"),
    ],
)
def test_values_are_guessed_as_libraries_do(value: str, kind: str) -> None:
    assert guess(value) == kind


def test_each_column_is_of_one_type_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with PngStore(path, "x", durable=False) as store:
        store.store_many(pictures(N, (1, 1)), range(N))
        store.store_many(mixed_pictures(), range(8))
        for label in (*INT64_LIMITS, 0, -1):
            store.store_single(pictures(1)[0], label)
    found = guesses(path)
    assert found["file_name"] == {"text"}
    assert found["label"] == {"integer"}
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}


def test_it_is_the_same_after_compaction(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with PngStore(path, "x", durable=False) as store:
        for label in range(40):
            store.store_single(pictures(1, seed=label)[0], label)
        before = guesses(path)
        store.compact()
    assert guesses(path) == before
