"""Hugging Face datasets: `save_to_disk`, and NumPy's format to read.

https://huggingface.co/docs/datasets/use_with_numpy: arrays of a fixed shape need `Array3D`, and
integers come as int64 unless `dtype` says otherwise, which holds for all columns: hence a view of the
dataset for each of its two. datasets 5.2 to 5.x.
"""

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

datasets.disable_progress_bars()


class HfDatasetsReader(PeerReader):
    """An open dataset, its columns one by one."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        data = datasets.load_from_disk(path)
        self._images = data.select_columns("image").with_format("numpy", dtype=np.uint8)
        self._labels = data.select_columns("label").with_format("numpy")

    def _read(self, chosen: slice | ImageIds) -> tuple[Image, Labels]:
        return self._images[chosen]["image"], self._labels[chosen]["label"]

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._read(slice(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._read(ids)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for image, label in zip(self._images, self._labels, strict=True):
            yield image["image"], int(label["label"])


class HfDatasetsPeer(Peer):
    """One dataset, as `save_to_disk` writes it."""

    reader = HfDatasetsReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        features = datasets.Features(
            image=datasets.Array3D(images.shape[1:], "uint8"), label=datasets.Value("int64")
        )
        data = datasets.Dataset.from_dict({"image": images, "label": labels}, features)
        data.save_to_disk(path)


ROWS = (HfDatasetsPeer("peer-hf-datasets"),)
