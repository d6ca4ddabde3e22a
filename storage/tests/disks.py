"""Small file systems in memory, of few bytes or few files, to be filled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs with these mount options on `folder`; skips the test where none can be mounted."""
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603  # our own command
        pytest.skip("this machine lets root mount nothing, as in a container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607  # our own command, from where `mount` is


def fill(disk: Path, but: int = 0) -> Path:
    """Take all the space there is but for some bytes."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - but))
    return ballast


def use_up_files(disk: Path, but: int = 0) -> Path:
    """Make empty files, in a folder of their own, until there is room for only so many more."""
    ballast = disk / "ballast"
    ballast.mkdir()
    for i in range(os.statvfs(disk).f_favail - but):
        (ballast / str(i)).touch()
    return ballast
