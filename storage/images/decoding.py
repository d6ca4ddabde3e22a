"""Decoding image files: what comes out is Pillow's pixels, or an error that says why not.

What Pillow would change without a word is refused: more than 8 bits a channel, floating-point and
Lab colours, and files of which a part is missing.
"""

import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import RLock
from typing import TypeVar

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from .._errors import ImageFileError
from .headers import (
    ImageInfo,
    avif_bits,
    exif_orientation,
    format_of,
    gif_size,
    jpeg2000_size,
    jpeg_info,
    png_chunks,
    png_info,
    valid_orientation,
    webp_size,
)

MAX_PIXELS = 89_000_000
"""The default limit; Pillow itself warns of more than 89,478,485 pixels."""
IMAGE_MODES, ORIENTATIONS = ("rgb", "keep"), ("apply", "ignore")

# No others: Pillow would start Ghostscript for an EPS file. An MPO file is a JPEG file here.
OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
KEPT = {"1": "L", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBa": "RGBA", "La": "LA"}
"""What `keep` makes of modes that are no grey, RGB or alpha values of 8 bits."""
PALETTES = ("P", "PA")
REASONS = {"F": "floating-point pixels", "LAB": "Lab colours"}
PNG_SIDES = (16, 20)  # bytes before the width, and before the height
CONVERTED_PIXELS = 2**20
"""Of a picture, so many are converted together."""
TILE_SIDES = (322, 323)  # TIFF's tags
TURNED_BACK = {6: 8, 8: 6}  # the other orientations undo themselves

Result = TypeVar("Result")

_PILLOW = RLock()
"""Held while Pillow's and Python's settings for all threads are changed."""
os.register_at_fork(
    before=_PILLOW.acquire, after_in_parent=_PILLOW.release, after_in_child=_PILLOW.release
)


def decode(
    data: bytes,
    *,
    mode: str = "rgb",
    orientation: str = "apply",
    max_pixels: int = MAX_PIXELS,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The pixels of an image file, in an array of the caller's own; of an animation, the first frame.

    Raises ImageFileError, with a reason of one line, for a file that holds no image, that is
    damaged or cut off, or whose pixels do not fit 8 bits a channel. What the header tells is
    refused before memory is taken.

    data: a JPEG, PNG, GIF, BMP, PPM, TIFF, WebP, JPEG 2000 or AVIF file
    mode: "rgb": (H, W, 3), without alpha, as `Image.convert("RGB")` gives; "keep": grey images are
        (H, W), those with alpha (H, W, 2) or (H, W, 4); palettes, CMYK and YCbCr become RGB
    orientation: "apply" turns the image upright by its EXIF or TIFF orientation; "ignore" does not
    max_pixels: the most pixels that an image may have
    out: an array for the pixels. It is filled and returned if it is uint8, in C order and of the
        image's shape, and the file is a JPEG that is not turned; else a new array is returned. After
        an error, what is in it means nothing.
    """
    if mode not in IMAGE_MODES or orientation not in ORIENTATIONS:
        raise ValueError(f"mode {mode!r} and orientation {orientation!r}: not in the documentation")
    form = format_of(data)
    if form == "JPEG":
        info = jpeg_info(data)
        _check(info, max_pixels)
        is_upright = orientation == "ignore" or info.orientation == 1
        pixels = _by_simplejpeg(data, info, mode == "keep", out if is_upright else None)
    else:
        pixels = None
        if claimed := _claimed(data, form):
            _check(claimed, max_pixels)
    if pixels is None:
        info, pixels = _by_pillow(data, form, mode == "keep", max_pixels)
    if form == "TIFF":  # Pillow has turned it
        back = TURNED_BACK.get(info.orientation, info.orientation)
        return pixels if orientation == "apply" else _turned(pixels, back)
    return pixels if orientation == "ignore" else _turned(pixels, info.orientation)


def describe(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """What the header of an image file says; raises ImageFileError if no image can be in it.

    Of an image of more than `max_pixels`, perhaps only the format and the size are looked at.
    """
    form = format_of(data)
    if form == "JPEG":
        return jpeg_info(data)
    claimed = _claimed(data, form)
    if claimed and (form == "PNG" or claimed.width * claimed.height > max_pixels):
        return claimed

    def described(_: bool) -> ImageInfo:
        picture = OPENERS[form](BytesIO(data))
        return _info(picture, data, form)._replace(frames=_frames(picture))

    with _pillow_errors(form):
        return _quietly(described)


def refusal(info: ImageInfo, max_pixels: int = MAX_PIXELS) -> str:
    """Why `decode` refuses an image with this header, or ""."""
    pixels = info.width * info.height
    if min(info.width, info.height) < 1:
        return f"a damaged {info.format} file: {info.width} × {info.height} pixels"
    if pixels > max_pixels:
        size = f"{info.width:,} × {info.height:,} pixels"
        return f"{size}, more than the limit of {max_pixels:,}: raise it to store them"
    if info.mode in REASONS:
        return f"a {info.format} file of {REASONS[info.mode]}: convert it to RGB"
    if info.bits > 8:
        return f"a {info.format} file of {info.bits} bits a channel: convert it to 8"
    return ""


def refuse_by_start(start: bytes, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageFileError if the first bytes of a file tell that no image of that size is in it."""
    form = format_of(start)
    if form == "PNG" and len(start) > PNG_SIDES[-1] + 4:
        width, height = (int.from_bytes(start[i : i + 4]) for i in PNG_SIDES)
        _check(ImageInfo("PNG", "RGB", width, height, 8, 1, 1), max_pixels)
    elif form == "JPEG":
        try:
            info = jpeg_info(start)
        except ImageFileError:
            return  # its header is longer
        _check(info, max_pixels)


def kept_mode(mode: str) -> str:
    """The mode of an image decoded with `keep`; a palette may also become RGBA."""
    return "RGB" if mode in PALETTES else KEPT.get(mode, mode)


def changes(info: ImageInfo, mode: str, orientation: str) -> list[str]:
    """What `decode` changes of an image with this header, in words."""
    found = list[str]()
    becomes = kept_mode(info.mode) if mode == "keep" else "RGB"
    if mode == "keep" and info.mode in PALETTES and info.is_keyed:
        becomes = "RGBA"
    if becomes != info.mode:
        found.append(f"{info.mode} to {becomes}")
    if info.is_keyed and "A" not in becomes:
        found.append("transparent to opaque")
    if info.levels < 256:
        found.append(f"{info.levels} levels to 256")
    if orientation == "apply" and info.orientation != 1:
        found.append(f"turned (orientation {info.orientation})")
    if info.frames > 1:
        found.append("several images to the first")
    return found


def _check(info: ImageInfo, max_pixels: int) -> None:
    reason = refusal(info, max_pixels)
    if reason:
        raise ImageFileError(reason)


def _claimed(data: bytes, form: str) -> ImageInfo | None:
    """What has to be known before a file is given to Pillow, which may take memory for it; or None."""
    if form == "PNG":
        return png_info(data)
    sizes: dict[str, Callable[[bytes], tuple[int, ...]]] = {
        "GIF": gif_size,
        "WEBP": webp_size,
        "JPEG2000": jpeg2000_size,
    }
    if form not in sizes:
        return None
    width, height, *bits = sizes[form](data)
    return ImageInfo(form, "RGB", width, height, bits[0] if bits else 8, 1, 1)


def _by_simplejpeg(
    data: bytes, info: ImageInfo, keep: bool, out: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG file, as `decode` returns them before it turns; None to ask Pillow."""
    gray, cmyk = keep and info.mode == "L", info.mode == "CMYK"
    colours = "CMYK" if cmyk else "GRAY" if gray else "RGB"
    shape = (info.height, info.width) if gray else (info.height, info.width, 3)
    if out is not None and (
        cmyk or out.shape != shape or out.dtype != np.uint8 or not out.flags.carray
    ):
        out = None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colours, buffer=out)
    except ValueError as error:
        # Pillow reads more: libjpeg also warns of what is harmless. But where bytes of pixels are
        # missing, it returns grey ones and does not say so.
        if "premature end" in str(error).lower():
            raise ImageFileError("a JPEG file that was cut off") from error
        return None
    if cmyk:
        return None  # Pillow makes other RGB of it than libjpeg
    pixels = pixels[:, :, 0] if gray else pixels
    # libjpeg might find another size than the header that was read here.
    return out if out is not None and out.shape == pixels.shape else pixels


def _by_pillow(
    data: bytes, form: str, keep: bool, max_pixels: int
) -> tuple[ImageInfo, NDArray[np.uint8]]:
    if form == "PNG":
        _check_sums(data)

    def opened(fills_up: bool) -> tuple[ImageInfo, Image.Image]:
        picture = OPENERS[form](BytesIO(data))
        info = _info(picture, data, form)
        _check(info, max_pixels)
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            _check_tile(picture, max_pixels)
        if form == "TIFF" or fills_up:  # which warns, or else returns half an image
            picture.load()
        return info, picture

    with _pillow_errors(form):
        info, picture = _quietly(opened)
        return info, _array(picture, keep)


def _check_tile(picture: TiffImagePlugin.TiffImageFile, max_pixels: int) -> None:
    """Refuse a tile that is larger than an image may be: Pillow takes the memory for one."""
    width, height = (picture.tag_v2.get(tag, 0) for tag in TILE_SIDES)
    if width * height > max_pixels:
        text = f"a TIFF file of tiles of {width:,} × {height:,} pixels"
        raise ImageFileError(f"{text}, more than the limit of {max_pixels:,}")


def _check_sums(data: bytes) -> None:
    """Compare the checksums of the chunks that pixels need, since Pillow does not."""
    view = memoryview(data)
    for kind, start, stop in png_chunks(data):
        is_needed = kind[:1].isupper()
        if is_needed and zlib.crc32(view[start - 4 : stop]).to_bytes(4) != view[stop : stop + 4]:
            raise ImageFileError("a damaged PNG file: a checksum does not match")


def _info(picture: ImageFile.ImageFile, data: bytes, form: str) -> ImageInfo:
    """What Pillow says of an open file, and the number of bits, which it does not say."""
    if form in ("JPEG", "PNG"):
        info = jpeg_info(data) if form == "JPEG" else png_info(data)
        if picture.size != (info.width, info.height):
            raise ImageFileError(f"a damaged {form} file: it claims several sizes")
        return info
    (width, height), bits, levels = picture.size, 1 if picture.mode == "1" else 8, 256
    orientation = exif_orientation(picture.info.get("exif", b""))
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        width, height = picture.tag_v2[256], picture.tag_v2[257]
        bits = max(picture.tag_v2.get(258, (1,)))
        levels = 2**bits if picture.mode == "L" else 256
        orientation = valid_orientation(picture.tag_v2.get(274))
        picture.info.pop("xmp", None)  # where Pillow looks for an orientation, too
    elif form == "PPM" and isinstance(picture.tile[0].args, tuple):
        levels = int(picture.tile[0].args[1]) + 1
        bits = max(8, (levels - 1).bit_length())
    elif form == "JPEG2000":
        *size, bits = jpeg2000_size(data)
        if (width, height) != tuple(size):
            raise ImageFileError("a damaged JPEG 2000 file: it claims several sizes")
    elif form == "AVIF":
        bits = avif_bits(data)
    if picture.mode.startswith(("I", "F")):
        bits = max(bits, 16)
    is_keyed = picture.mode in PALETTES and picture.has_transparency_data
    return ImageInfo(form, picture.mode, width, height, bits, orientation, 1, levels, is_keyed)


def _frames(picture: ImageFile.ImageFile) -> int:
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # of any later frame: the first is what counts
        return 1


def _array(picture: Image.Image, keep: bool) -> NDArray[np.uint8]:
    """The pixels of a picture in an allowed mode, in a new array.

    Of a large one, some rows at a time: Pillow makes two copies more of what it converts.
    """
    width, height = picture.size
    rows = max(1, CONVERTED_PIXELS // width)
    if height <= rows:
        return _converted(picture, keep)
    picture.load()  # with all that it tells of its colours
    tops = range(0, height, rows)
    boxes = [(0, top, width, min(top + rows, height)) for top in tops]
    start = _converted(picture.crop(boxes[0]), keep)
    pixels = np.empty((height, *start.shape[1:]), np.uint8)
    for box in boxes:
        pixels[box[1] : box[3]] = _converted(picture.crop(box), keep)
    return pixels


def _converted(picture: Image.Image, keep: bool) -> NDArray[np.uint8]:
    if picture.mode in PALETTES:  # by way of RGBA, or Pillow may warn
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    mode = kept_mode(picture.mode)
    if picture.mode in ("RGBa", "La"):  # nothing else is made of them
        picture = picture.convert(mode)
    if not keep:
        mode = "RGB"
    return np.array(picture if picture.mode == mode else picture.convert(mode))


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """An image turned upright."""
    if orientation == 1:
        return pixels
    height, width, *channels = pixels.shape
    # As one item of several bytes, a pixel is copied in a third of the time.
    items = pixels.view(f"V{channels[0]}")[:, :, 0] if channels else pixels
    if orientation in (3, 4, 6, 7):
        items = items[::-1]
    if orientation in (2, 3, 7, 8):
        items = items[:, ::-1]
    if orientation in (5, 6, 7, 8):
        items, width, height = items.T, height, width
    turned = np.ascontiguousarray(items)
    return turned.view(np.uint8).reshape(height, width, *channels)


def _quietly(work: Callable[[bool], Result]) -> Result:
    """Do `work` while Pillow neither warns, nor has a limit of its own, nor accepts half-read files.

    `work` is told whether half-read files are loaded elsewhere. All threads have these settings in
    common, so only short work belongs here.
    """
    # On one line, since a trace function could raise between two and leave it locked.
    with _PILLOW, warnings.catch_warnings(action="ignore"): return _unlimited(work)  # fmt: skip  # noqa: E701


def _unlimited(work: Callable[[bool], Result]) -> Result:
    limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        try:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
            return work(truncated)
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, truncated
    finally:  # again, if a signal has interrupted that
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, truncated


@contextmanager
def _pillow_errors(form: str) -> Iterator[None]:
    """Turn what Pillow raises for bad files, errors of many types, into ImageFileError."""
    try:
        yield
    except (ImageFileError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and type(error) is not OSError:
            raise  # not a decoder's: a signal handler's, for example
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageFileError(f"a damaged or unsupported {form} file ({reason})") from error
