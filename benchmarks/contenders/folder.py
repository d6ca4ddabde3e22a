"""The folder as it is: files in class folders, read by a plain loop with Pillow, as everyone begins.

Storing copies the files, and then syncs once, as `cp -r` and `sync` do. Copies are named by
the numbers of the images and of the classes, so that no name of the user's is on the measured disk.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.ExifTags import Base

from benchmarks.datasets import PictureOptions
from storage.images.decoding import PALETTES, kept_mode

from .base import PILLOW, Image, ImageIds, Labels, Read, Shape
from .encoded import FileReader, FileRow, InOrder, together

ELSEWHERE = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow looks for an orientation, too, and this project does not."""


class FolderReader(FileReader):
    """The paths and labels of the files.

    The whole folder is listed and sorted, for one picture too: nothing else tells its place in it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        found = sorted(
            (file.name, file.path, int(folder.name))
            for folder in os.scandir(path)
            for file in os.scandir(folder.path)
        )
        self.paths = [path for _, path, _ in found]
        self.labels = np.array([label for *_, label in found])

    def read_many(self, ids: ImageIds, /) -> tuple[list[bytes], Labels]:
        files = []
        for i in ids.tolist():
            with open(self.paths[i], "rb", buffering=0) as file:
                files.append(file.readall())
        return files, self.labels[ids]


class PlainLoop(InOrder):
    """The images of such a folder, opened one after the other."""

    def __init__(self, files: FolderReader, options: PictureOptions) -> None:
        self._files, self._options = files, options
        if (most := Pillow.MAX_IMAGE_PIXELS) is not None:  # of more, Pillow warns, or raises
            Pillow.MAX_IMAGE_PIXELS = max(most, options.max_pixels)

    def read_many(self, ids: ImageIds, /) -> tuple[Read, Labels]:
        images = [plain_image(self._files.paths[i], self._options) for i in ids.tolist()]
        return together(images), self._files.labels[ids]

    @overload
    def __getitem__(self, key: int, /) -> tuple[Image, int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Read, Labels]: ...
    def __getitem__(self, key: int | slice, /) -> tuple[Read, int | Labels]:
        if isinstance(key, slice):
            return self.read_many(np.arange(key.stop)[key])
        image = plain_image(self._files.paths[key], self._options)
        return image, int(self._files.labels[key])

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        return map(self.__getitem__, range(len(self._files.paths)))

    def close(self) -> None:
        """Nothing is open."""


def plain_image(path: str, options: PictureOptions) -> Image:
    """The pixels of a file, as training code gets them from Pillow."""
    with Pillow.open(path) as opened:
        picture: Pillow.Image = opened
        for key in ELSEWHERE:
            picture.info.pop(key, None)
        if options.orientation == "apply":
            picture = ImageOps.exif_transpose(picture)
        else:  # Pillow turns a TIFF file by itself
            picture.getexif().pop(Base.Orientation, None)
        if picture.mode in PALETTES:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        return np.array(
            picture.convert("RGB" if options.mode == "rgb" else kept_mode(picture.mode))
        )


class FilesRow(FileRow):
    """The folder as it is."""

    reader = FolderReader
    decoder = PILLOW

    def write(self, path: Path, files: Iterable[bytes], labels: Labels) -> None:
        for label in {*labels.tolist()}:
            (path / str(label)).mkdir()
        for i, (data, label) in enumerate(zip(files, labels.tolist(), strict=True)):
            with open(path / str(label) / f"{i:012d}", "wb", buffering=0) as file:
                file.write(data)

    def sync(self, path: Path) -> None:
        os.sync()

    def open(self, path: Path, shape: Shape = ()) -> PlainLoop:
        return PlainLoop(FolderReader(path), self.options)
