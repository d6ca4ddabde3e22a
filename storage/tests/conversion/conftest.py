"""Parts of a few pictures."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import IN_MEMORY
from .photos import plant_photos

SMALL_PART = 2_000
"""Bytes: seven pictures."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory if there is such a file system: what tests do in it is many small files, synced."""
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    # A killed process's orphans may still write there.
    with tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.conversion.plan.PART_BYTES", SMALL_PART)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A hundred pictures, fifteen parts; some of them are none, among these a whole part."""
    return plant_photos(tmp_path / "photos", 100, bad={3, *range(40, 54), 99})
