"""A small file system for the tests of options and of space."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.tests.disks import small_disk


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where the user may make one."""
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        yield disk
