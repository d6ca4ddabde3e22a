"""Hugging Face datasets: `save_to_disk`, and NumPy's format to read.

https://huggingface.co/docs/datasets/use_with_numpy: integers come as int64 unless `dtype` says
otherwise, which holds for all columns: hence a view of the dataset for each of its two. Pixels are
lists of a fixed length, made as an Arrow array. The `Array3D` that the same page shows stores an offset
for each row of pixels, takes 7,300 bytes for an image of 3,072, and is read at random many times slower
(by measurement). datasets 5.2 to 5.x.
"""

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa

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
        images, labels = self._images[chosen]["image"], self._labels[chosen]["label"]
        return images.reshape(len(labels), *self.shape), labels

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._read(slice(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._read(ids)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for image, label in zip(self._images, self._labels, strict=True):
            yield image["image"].reshape(self.shape), int(label["label"])


class HfDatasetsPeer(Peer):
    """One dataset, as `save_to_disk` writes it."""

    reader = HfDatasetsReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        size = images[0].size
        features = datasets.Features(
            image=datasets.List(datasets.Value("uint8"), length=size),
            label=datasets.Value("int64"),
        )
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), size)
        data = datasets.Dataset.from_dict({"image": pixels, "label": pa.array(labels)}, features)
        data.save_to_disk(path)


ROWS = (HfDatasetsPeer("peer-hf-datasets"),)
