"""Hugging Face datasets: `save_to_disk`, and NumPy's format to read.

https://huggingface.co/docs/datasets/use_with_numpy: integers come as int64 unless `dtype` says
otherwise, which holds for all columns: hence a view of the dataset for each of its two. Pixels are
lists of a fixed length, made as an Arrow array. The `Array3D` that the same page shows stores an offset
for each row of pixels, takes 7,300 bytes for an image of 3,072, and is read at random many times slower
(by measurement). Of pictures, the files are a column `Image(decode=False)`, which
https://huggingface.co/docs/datasets/image_load gives as bytes; `from_generator` streams them to Arrow
files in a cache, which are then copied. datasets 5.2 to 5.x.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape
from benchmarks.contenders.encoded import FileReader

from .base import FilePeer, Peer, PeerReader

datasets.disable_progress_bars()
LABEL = datasets.Value("int64")


class HfDatasetsReader(PeerReader):
    """An open dataset, its columns one by one."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        data = datasets.load_from_disk(path)
        self._images = data.select_columns("image").with_format("numpy", dtype=np.uint8)
        self._labels = data.select_columns("label").with_format("numpy")

    def read_many(self, ids: slice | ImageIds, /) -> tuple[Image, Labels]:
        images, labels = self._images[ids]["image"], self._labels[ids]["label"]
        return images.reshape(len(labels), *self.shape), labels

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self.read_many(slice(start, stop))

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for image, label in zip(self._images, self._labels, strict=True):
            yield image["image"].reshape(self.shape), int(label["label"])


class HfDatasetsPeer(Peer):
    """One dataset, as `save_to_disk` writes it."""

    reader = HfDatasetsReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        size = images[0].size
        column = datasets.List(datasets.Value("uint8"), length=size)
        features = datasets.Features(image=column, label=LABEL)
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), size)
        data = datasets.Dataset.from_dict({"image": pixels, "label": pa.array(labels)}, features)
        data.save_to_disk(path)


class HfDatasetsFileReader(FileReader):
    """An open dataset of files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._data = datasets.load_from_disk(path)

    def read_many(self, ids: slice | ImageIds, /) -> tuple[list[bytes], Labels]:
        rows = self._data[ids]
        return [image["bytes"] for image in rows["image"]], np.array(rows["label"], np.int64)

    def run(self, start: int, stop: int) -> tuple[list[bytes], Labels]:
        return self.read_many(slice(start, stop))

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        return ((row["image"]["bytes"], row["label"]) for row in self._data)


class HfDatasetsFiles(FilePeer):
    """One dataset of files."""

    reader = HfDatasetsFileReader

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        def rows() -> Iterator[dict[str, Any]]:
            for data, label in zip(files, labels.tolist(), strict=True):
                yield {"image": {"bytes": data, "path": None}, "label": label}

        features = datasets.Features(image=datasets.Image(decode=False), label=LABEL)
        with TemporaryDirectory(prefix="datasets-", dir=path.parent) as cache:
            # A name of its own: what is generated cannot be hashed, as it otherwise would be.
            generate = datasets.Dataset.from_generator
            generate(rows, features, cache_dir=cache, fingerprint="files").save_to_disk(path)


ROWS = (HfDatasetsPeer("peer-hf-datasets", HfDatasetsFiles),)
