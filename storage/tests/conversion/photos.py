"""Folders of small pictures, all different, and what must come out of them."""

import os
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 5
SIZE = 8
BAD = b"<html>".ljust(270)  # as long as a picture


def photo(i: int, size: int = SIZE) -> bytes:
    """A PNG file that no other number gives."""
    pixels = np.random.default_rng(i).integers(0, 256, (size, size, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def plant_photos(folder: Path, n: int, bad: set[int] = frozenset()) -> Path:  # type: ignore[assignment]  # it is only read
    """Files 0 to n - 1 in class folders, in this order; those in `bad` are no images."""
    for i in range(n):
        path = folder / f"class {i * CLASSES // n}" / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BAD if i in bad else photo(i))
    return folder


def tree_of(path: Path) -> dict[str, str]:
    """A digest of each file below a folder, by its path."""
    return {
        os.path.relpath(file, path): sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }
