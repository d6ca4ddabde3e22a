"""Encoded: a cell is the bytes of the user's own file, as they are, in any format that Pillow reads.

    image = np.array(Image.open(io.BytesIO(cell)))

Pixels depend on the decoder, so the checksum of a record is of its cell. An image that was stored as
an array is a PNG, see `png.py`. It is read as it was, whatever the options, which are for files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod

import numpy as np
from numpy.typing import NDArray

from .._checksum import Shape, shape_text
from .._errors import ImageFileError
from ..images.decoding import (
    IMAGE_MODES,
    MAX_PIXELS,
    ORIENTATIONS,
    changes,
    decode,
    describe,
    refusal,
)
from ..images.headers import ImageInfo
from .base import Cell, Options, Payload
from .png import PngPayload

PNG = PngPayload()
CHOICES = {"image_mode": IMAGE_MODES, "orientation": ORIENTATIONS}
CHANNELS = {"1": (), "L": (), "LA": (2,), "RGB": (3,), "RGBX": (3,), "YCbCr": (3,), "RGBA": (4,)}
"""The last axis of what `keep` makes of most of Pillow's modes."""
FIRST_SIDEWAYS = 5  # EXIF's orientations from here on exchange rows and columns


@dataclass(frozen=True)
class EncodedPayload(Payload):
    """The files themselves; the options are those of `decode`."""

    image_mode: str = "rgb"
    orientation: str = "apply"
    max_pixels: int = MAX_PIXELS

    sums_cells = True

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} {value!r}; give one of {', '.join(choices)}")
        if type(self.max_pixels) is not int or self.max_pixels < 1:
            raise ValueError(f"max_pixels {self.max_pixels!r}; give a positive integer")

    @property
    def options(self) -> Options:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_options(self, options: Options) -> "EncodedPayload":
        try:
            return EncodedPayload(**options)  # type: ignore[arg-type]  # checked there
        except TypeError as error:
            raise ValueError(f"options {dict(options)}, not all of which there are") from error

    def check_shape(self, shape: Shape) -> None:
        PNG.check_shape(shape)

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        return PNG.encode(images)

    def decode(self, cells: Sequence[Cell], images: NDArray[np.uint8]) -> None:
        for i, cell in enumerate(cells):
            images[i] = self.image(cell, images.shape[1:])

    def _mode(self, shape: Shape) -> str:
        # In a store of RGB images, one of another shape was stored as an array.
        return "keep" if shape[2:] != (3,) else self.image_mode

    def image(
        self, cell: Cell, shape: Shape, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        mode = self._mode(shape)
        # No more memory is taken than the index says, whatever the file claims.
        image = self.decoded(cell, mode, prod(shape[:2]), out)
        if image.shape[:2] != shape[:2] or image.size != prod(shape):
            raise ValueError(f"{shape_text(image.shape)} pixels, not {shape_text(shape)}")
        return image if image is out else image.reshape(shape)

    def decoded(
        self, cell: Cell, mode: str, max_pixels: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """The image of a file, as `decode` gives it; raises `ImageFileError`."""
        data, orientation = bytes(cell), self.orientation
        return decode(data, mode=mode, orientation=orientation, max_pixels=max_pixels, out=out)

    def info_of(self, data: bytes) -> ImageInfo:
        """What the header of a file says; raises `ImageFileError` if it is refused."""
        info = describe(data, self.max_pixels)
        if reason := refusal(info, self.max_pixels):
            raise ImageFileError(reason)
        return info

    def shape_of(self, data: bytes, info: ImageInfo, whole: bool) -> Shape:
        """The shape of a file's image; whole: whether it is decoded. Raises `ImageFileError`."""
        channels = (3,) if self.image_mode == "rgb" else CHANNELS.get(info.mode)
        if whole or channels is None:
            return self.decoded(data, self.image_mode, self.max_pixels).shape
        sideways = self.orientation == "apply" and info.orientation >= FIRST_SIDEWAYS
        sides = (info.width, info.height) if sideways else (info.height, info.width)
        return (*sides, *channels)

    def changes(self, info: ImageInfo, shape: Shape) -> list[str]:
        """What is changed of a file's image when it is read, in words."""
        return changes(info, self._mode(shape), self.orientation)
