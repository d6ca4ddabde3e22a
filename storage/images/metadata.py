"""The table beside the images of Hugging Face's ImageFolder: `file_name` and a label.

https://huggingface.co/docs/datasets/image_dataset#imagefolder
"""

import csv
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path

from .._errors import FolderError, printable

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME, LABELS = "file_name", ("label", "labels", "class", "category")
INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
INT64 = range(-(2**63), 2**63)
OPENING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # without waiting for the end of a pipe


def open_regular(path: str, flags: int = OPENING) -> int:
    """Open a regular file for `open`; raises OSError, or FolderError if it is another."""
    del flags
    descriptor = os.open(path, OPENING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FolderError(f"{printable(os.fsdecode(path))}: not a regular file")
    return descriptor


def read_metadata(root: str, table: str) -> tuple[dict[bytes, int], list[str]]:
    """The label of each file by its path relative to `root`, and the sorted names of the classes.

    Where all labels are integers, they are taken as they are, and there are no names. Raises
    FolderError if the table is not of that form.

    table: one of `METADATA`
    """
    path = Path(root) / table
    shown = f"{printable(root)}/{table}"
    values: dict[bytes, object] = {}
    for number, row in enumerate(_rows(path, shown), 1):
        name, value = row.get(FILE_NAME), _label(row)
        if not isinstance(name, str) or not name:
            raise FolderError(
                f"{shown}: row {number} has no {FILE_NAME}; rename it if it is no table of images"
            )
        if value is None or value == "":
            raise FolderError(f"{shown}: row {number} has no label; a column {LABELS[0]} is needed")
        try:
            key = os.path.normpath(os.fsencode(name))
        except UnicodeEncodeError as error:
            text = f"row {number} has a {FILE_NAME} that no file can have: {printable(name)}"
            raise FolderError(f"{shown}: {text}") from error
        if key in values:
            raise FolderError(f"{shown}: row {number} names {printable(name)} again")
        values[key] = value
    return _numbered(values, shown)


def _label(row: Mapping[str, object]) -> object:
    return next((row[column] for column in LABELS if column in row), None)


def _numbered(values: dict[bytes, object], shown: str) -> tuple[dict[bytes, int], list[str]]:
    numbers = {name: _integer(value) for name, value in values.items()}
    if None not in numbers.values():
        return {name: number for name, number in numbers.items() if number is not None}, []
    for name, value in values.items():
        if not isinstance(value, str):
            raise FolderError(
                f"{shown}: the label of {printable(os.fsdecode(name))} is {value!r}; labels"
                " must all be text, or all be integers of 64 bits"
            )
    classes = sorted({str(value) for value in values.values()})
    indices = {name: i for i, name in enumerate(classes)}
    return {name: indices[str(value)] for name, value in values.items()}, classes


def _integer(value: object) -> int | None:
    """The label as a number, if it is one: in CSV, it is text."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value in INT64
    return int(value) if is_number else None  # type: ignore[call-overload]  # it is an integer


def _rows(path: Path, shown: str) -> Iterable[Mapping[str, object]]:
    try:
        if path.suffix == ".parquet":
            return _parquet(path, shown)
        with (
            open(path, "rb", opener=open_regular) as binary,
            TextIOWrapper(binary, "utf-8-sig", "surrogateescape", newline="") as file,
        ):
            return [*(csv.DictReader(file, strict=True) if path.suffix == ".csv" else _jsonl(file))]
    except (csv.Error, ValueError, RecursionError) as error:
        if isinstance(error, FolderError):
            raise
        reason = " ".join(str(error).split())
        raise FolderError(f"{shown}: not a table of its kind ({reason})") from error


def _jsonl(lines: Iterable[str]) -> Iterator[Mapping[str, object]]:
    for line in lines:
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is no object")
            yield row


def _parquet(path: Path, shown: str) -> list[Mapping[str, object]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise FolderError(f"{shown}: needs pyarrow; install it, or write metadata.csv") from None
    with open(path, "rb", opener=open_regular) as file:
        table = parquet.ParquetFile(file)
        columns = [name for name in (FILE_NAME, *LABELS) if name in table.schema_arrow.names]
        rows: list[Mapping[str, object]] = table.read(columns=columns).to_pylist()
    return rows
