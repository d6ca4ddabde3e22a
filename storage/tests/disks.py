"""Small file systems in memory, to be filled, and folders that are seen but cannot be written."""

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
    with mounted(folder, "mounting a small file system", ["-t", "tmpfs", "-o", options, "tmpfs"]):
        yield folder


@contextmanager
def read_only_view(source: Path, folder: Path) -> Iterator[Path]:
    """`source` mounted once more on `folder`, read-only; skips the test where that cannot be."""
    with mounted(folder, "mounting a folder once more", ["--bind", "-o", "ro", str(source)]):
        yield folder


@contextmanager
def mounted(folder: Path, what: str, arguments: list[str]) -> Iterator[None]:
    """What `mount` makes of `arguments` on the new `folder`."""
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip(f"{what} takes root")
    command = [mount, *arguments, str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603  # our own command
        pytest.skip("this machine lets root mount nothing, as in a container")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607  # our own command, from where `mount` is


def fill(disk: Path, but: int = 0) -> Path:
    """Take all the space there is, except some bytes."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - but))
    return ballast


def remove(entry: Path) -> None:
    """Remove a file, or a folder with what is in it."""
    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def use_up_files(disk: Path, but: int = 0) -> Path:
    """Make empty files, in a folder of their own, until there is room for only so many more."""
    ballast = disk / "ballast"
    ballast.mkdir()
    for i in range(os.statvfs(disk).f_favail - but):
        (ballast / str(i)).touch()
    return ballast
