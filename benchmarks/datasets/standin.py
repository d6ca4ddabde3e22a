"""A stand-in for CIFAR-10 if that is not available: painted pictures that store like photographs.

They have CIFAR-10's count, classes and, at its size of 32 by 32, its PNG sizes and decode times. So
a benchmark on them gives nearly the same result. They depend only on version, seed and size: no
machine, numpy version or requested number of images changes a byte of them.
"""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .dataset import Dataset
from .errors import DatasetOptionError
from .standin_chance import RandomBytes
from .standin_paint import paint
from .standin_scenes import SCENES

VERSION = 1  # raise it with any change that changes a pixel: runs on different pictures differ
SEED = 2020
COUNT = 50_000  # as CIFAR-10's five training batches
BLOCK_PIXELS = 1 << 17  # painted at once: small enough for the caches, large enough for numpy
LABEL_STREAM, PICTURE_STREAM = 0, 1  # the second number of a stream's seed


def make_standin(
    limit: int | None = None,
    image_size: tuple[int, int] = (32, 32),
    *,
    note: str = "",
    progress: bool = False,
) -> Dataset:
    """Make the stand-in: min(limit, 50,000) images, (n, height, width, 3) uint8.

    The labels are (n,) int64 in 0..9; every ten images show each class once. Raises
    DatasetOptionError if the limit or a side is not positive.

    limit: the most images that will be taken; None for all. Image i is the same for any limit
    image_size: height and width in pixels
    note: why the stand-in replaces CIFAR-10, if it does
    progress: whether to show a progress bar
    """
    height, width = image_size
    if height < 1 or width < 1:
        raise DatasetOptionError(f"image size {height}x{width}: both sides must be at least 1")
    count = COUNT if limit is None else min(limit, COUNT)
    if count < 1:
        raise DatasetOptionError(f"limit {limit}: at least one image must be asked for")
    labels = _labels(count)
    images = np.empty((count, height, width, 3), np.uint8)
    block = max(BLOCK_PIXELS // (height * width), 1)
    # The last block is painted whole and cut: a picture depends on its whole block's random bytes.
    padded = _labels(-(-count // block) * block)
    for start in tqdm(range(0, count, block), "Painting the stand-in", disable=not progress):
        source = RandomBytes(SEED, PICTURE_STREAM, start // block)
        painted = paint(padded[start : start + block], source, image_size)
        images[start : start + block] = painted[: count - start]
    return Dataset(
        name="standin",
        identity=f"standin-v{VERSION}-seed{SEED}-{height}x{width}",
        images=images,
        labels=labels,
        note=note,
        full_count=COUNT,
    )


def _labels(count: int) -> NDArray[np.int64]:
    """The first labels: every class once in each ten, in random order."""
    classes = len(SCENES)
    groups = -(-count // classes)
    words = RandomBytes(SEED, LABEL_STREAM).words(groups * classes).reshape(groups, classes)
    return np.argsort(words, axis=1, kind="stable").astype(np.int64).reshape(-1)[:count]
