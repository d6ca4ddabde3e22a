"""Decoding of image files: what each odd file gives by default and by option."""

import contextlib
import itertools
import resource
import struct
import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFile, JpegImagePlugin

from ... import ImageFileError, convert, open_store
from ...images import decoding
from ...images.decoding import decode, describe
from ...images.headers import exif_orientation
from ..children import in_child
from .files import (
    ODD_IMAGES,
    OWN_IMAGES,
    SIZE,
    by_pillow,
    picture,
    png_of_16_bits,
    rows,
    saved,
    tiff_of_16_bits,
)

WIDTH, HEIGHT = SIZE
CUT, DAMAGED, UNKNOWN = "was cut off", "damaged", "not an image of a known format"
LIMIT = "more than the limit of 89,000,000"

REFUSED = {
    "12-bit.jpg": "a JPEG file of 12 bits a channel",
    "16-bit-gray.png": "a PNG file of 16 bits a channel",
    "16-bit-rgb.png": "a PNG file of 16 bits a channel",
    "16-bit.pgm": "a PPM file of 16 bits a channel",
    "bad-crc.png": "a checksum does not match",
    "bomb-100-mpx.png": f"10,000 × 10,000 pixels, {LIMIT}",
    "bomb-900-mpx.png": f"30,000 × 30,000 pixels, {LIMIT}",
    "claims-65000.jpg": f"65,000 × 65,000 pixels, {LIMIT}",
    "cmyk-mislabeled.jpg.txt": UNKNOWN,
    "cut-end.jpg": CUT,
    "cut-half.jpg": CUT,
    "cut.png": CUT,
    "empty.jpg": "an empty file",
    "float.tif": "floating-point pixels",
    "html.jpg": "a web page or an XML file",
    "is-heif.jpg": "a HEIF file",
    "jxl.jxl": "a JPEG XL file",
    "lab.tif": "Lab colours",
    "no-eoi.jpg": CUT,
    "pixels.svg": "a web page or an XML file",
}
"""Files that are refused, whatever the options, and a part of the reason."""

DECODED: dict[str, tuple[int, ...]] = {
    "1-bit.png": (96, 96),
    "1x1.png": (1, 1, 3),
    "1x5000.jpg": (5000, 1, 3),
    "alpha.bmp": (96, 96, 3),
    "animated.gif": (96, 96, 3),
    "animated.webp": (96, 96, 4),
    "avif.avif": (348, 348, 3),
    "cmyk-sample.jpg": (100, 100, 3),
    "cmyk.jpg": (348, 348, 3),
    "damaged-middle.jpg": (348, 348, 3),
    "exif-0.jpg": (348, 348, 3),
    "exif-2.jpg": (128, 128, 3),
    "exif-3.jpg": (128, 128, 3),
    "exif-4.jpg": (128, 128, 3),
    "exif-6.jpg": (128, 128, 3),
    "exif-6.png": (120, 80, 3),
    "exif-8.jpg": (128, 128, 3),
    "exif-broken.jpg": (500, 500),
    "gif-transparent.gif": (96, 96, 4),
    "gray-alpha.png": (96, 96, 2),
    "gray.jpg": (348, 348),
    "icc.jpg": (348, 348, 3),
    "is-jpeg.png": (348, 348, 3),
    "is-png.jpg": (100, 100, 3),
    "jp2.jp2": (480, 640, 3),
    "junk-before.jpg": (768, 1024, 3),
    "lossless.jpg": (100, 100, 3),
    "pages.tif": (10, 10, 3),
    "palette-trns.png": (96, 96, 4),
    "progressive.jpg": (348, 348, 3),
    "rgb-no-ycc.jpg": (348, 348, 3),
    "rgba.png": (96, 96, 4),
    "sub-411.jpg": (348, 348, 3),
    "trailing.jpg": (348, 348, 3),
}
"""Files that are decoded, and the shape that `keep` gives; by default it is (H, W, 3)."""

TURNED = {f"exif-{i}.jpg": i for i in (2, 3, 4, 6, 8)} | {"exif-6.png": 6}
"""The files that are turned by default, and their orientation."""

needs_odd_images = pytest.mark.skipif(
    not ODD_IMAGES.is_dir(), reason="no ../shared/odd-images beside the repository"
)
INDEX = [row[0] for row in rows(ODD_IMAGES / "INDEX.tsv") if row[0]]


@needs_odd_images
def test_the_tables_here_hold_each_file_of_the_index_once() -> None:
    assert sorted([*REFUSED, *DECODED]) == sorted(INDEX)


@needs_odd_images
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", INDEX or ["none"])
def test_an_odd_file_gives_what_the_index_says(name: str) -> None:
    data = (ODD_IMAGES / name).read_bytes()
    if name in REFUSED:
        for mode, orientation in itertools.product(("rgb", "keep"), ("apply", "ignore")):
            with pytest.raises(ImageFileError, match=REFUSED[name]) as raised:
                decode(data, mode=mode, orientation=orientation)
            assert "\n" not in str(raised.value)
        return
    default, kept = decode(data), decode(data, mode="keep")
    ignored = decode(data, orientation="ignore")
    assert kept.shape == DECODED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: of palettes and damaged EXIF
        np.testing.assert_array_equal(default, by_pillow(data), strict=True)
        np.testing.assert_array_equal(ignored, by_pillow(data, turn=False), strict=True)
    assert describe(data).orientation == TURNED.get(name, 1)
    assert np.array_equal(default, ignored) == (name not in TURNED)
    for pixels in (default, kept, ignored):
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


@needs_odd_images
def test_a_raised_limit_allows_more_pixels() -> None:
    data = (ODD_IMAGES / "bomb-100-mpx.png").read_bytes()
    assert decode(data, mode="keep", max_pixels=10**8).shape[:2] == (10_000, 10_000)


@needs_odd_images
def test_of_all_odd_files_a_conversion_leaves_out_and_lists_those_that_are_refused(
    tmp_path: Path,
) -> None:
    made = convert(ODD_IMAGES, tmp_path / "store", "files-encoded", on_error="skip")
    listed = {name for name in INDEX if not name.endswith((".txt", ".svg"))}
    assert {Path(shown).name for shown, _ in made.skipped} == listed & {*REFUSED}
    with open_store(tmp_path / "store") as store:
        assert {*store.names} == listed & {*DECODED}


@needs_odd_images
@pytest.mark.parametrize("name", ["bomb-900-mpx.png", "claims-65000.jpg", "12-bit.jpg"])
def test_no_decoder_sees_a_file_whose_header_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a decoder was called")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
    monkeypatch.setattr(decoding, "OPENERS", dict.fromkeys(decoding.OPENERS, fail))
    with pytest.raises(ImageFileError):
        decode((ODD_IMAGES / name).read_bytes())


@needs_odd_images
def test_the_inks_of_a_cmyk_file_are_not_inverted() -> None:
    inks, colours = (
        decode((ODD_IMAGES / name).read_bytes()).astype(int)
        for name in ("cmyk.jpg", "trailing.jpg")
    )
    assert np.abs(inks - colours).mean() < 10 < np.abs(255 - inks - colours).mean()


@needs_odd_images
def test_damaged_exif_is_ignored_without_a_warning_in_many_threads() -> None:
    data = (ODD_IMAGES / "exif-broken.jpg").read_bytes()
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        filters = [*warnings.filters]
        threads = [threading.Thread(target=decode, args=(data,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [*warnings.filters] == filters
    assert leaked == []


@pytest.mark.skipif(not OWN_IMAGES.is_dir(), reason="no ../shared/own-images beside the repository")
def test_real_pictures_have_the_pixels_that_pillow_gives() -> None:
    files = [p for p in OWN_IMAGES.glob("*/*") if p.is_file()]
    assert len(files) == 426
    for path in files:
        data = path.read_bytes()
        with Image.open(BytesIO(data)) as opened:
            claimed = opened.format, *opened.size
        info = describe(data)
        assert (info.format, info.width, info.height) == claimed
        np.testing.assert_array_equal(decode(data), by_pillow(data), err_msg=path.name, strict=True)


# ---- files made here -----------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {}),
    ],
)
def test_each_orientation_is_applied_or_ignored_in_all_formats(
    form: str, options: dict[str, object], orientation: int
) -> None:
    upright = decode(saved(picture(), form, 1, **options))
    data = saved(picture(), form, orientation, **options)
    ignored, applied = decode(data, orientation="ignore"), decode(data)
    assert ignored.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(ignored, upright)
    turns = {
        1: ignored,
        2: ignored[:, ::-1],
        3: ignored[::-1, ::-1],
        4: ignored[::-1],
        5: ignored.swapaxes(0, 1),
        6: np.rot90(ignored, -1),
        7: np.rot90(ignored[:, ::-1], -1),
        8: np.rot90(ignored),
    }
    np.testing.assert_array_equal(applied, turns[orientation])
    info = describe(data)
    assert (info.width, info.height, info.orientation) == (WIDTH, HEIGHT, orientation)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_found_in_either_byte_order_and_else_is_1(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x112] = 6
    block = exif.tobytes()
    assert exif_orientation(block) == 6
    for size in range(len(block) - 8):
        assert exif_orientation(block[:size]) in (1, 6)
    exif[0x112] = 9
    assert exif_orientation(exif.tobytes()) == 1
    assert exif_orientation(b"nonsense") == 1


@pytest.mark.parametrize(
    ("mode", "form", "kept"),
    [
        ("1", "PNG", (HEIGHT, WIDTH)),
        ("L", "PNG", (HEIGHT, WIDTH)),
        ("L", "JPEG", (HEIGHT, WIDTH)),
        ("LA", "PNG", (HEIGHT, WIDTH, 2)),
        ("P", "PNG", (HEIGHT, WIDTH, 3)),
        ("P", "GIF", (HEIGHT, WIDTH, 3)),
        ("RGBA", "PNG", (HEIGHT, WIDTH, 4)),
        ("RGBA", "WEBP", (HEIGHT, WIDTH, 4)),
        ("CMYK", "JPEG", (HEIGHT, WIDTH, 3)),
        ("CMYK", "TIFF", (HEIGHT, WIDTH, 3)),
        ("YCbCr", "TIFF", (HEIGHT, WIDTH, 3)),
        ("L", "PPM", (HEIGHT, WIDTH)),
        ("RGB", "BMP", (HEIGHT, WIDTH, 3)),
        ("RGB", "JPEG2000", (HEIGHT, WIDTH, 3)),
    ],
)
def test_each_mode_becomes_rgb_or_is_kept(mode: str, form: str, kept: tuple[int, ...]) -> None:
    image = picture(mode)
    if mode in ("RGBA", "LA"):  # what alpha hides is kept, too
        image.putalpha(picture("L").point(lambda value: value // 2 + 100))
    data = saved(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    default, own = decode(data), decode(data, mode="keep")
    np.testing.assert_array_equal(default, by_pillow(data), strict=True)
    assert own.shape == kept
    if kept == default.shape:
        np.testing.assert_array_equal(own, default)
    elif len(kept) == 3:
        np.testing.assert_array_equal(own[:, :, -1], np.asarray(image.getchannel("A")))
    else:
        np.testing.assert_array_equal(own, default[:, :, 0])


@pytest.mark.parametrize(
    "data",
    [
        png_of_16_bits(0, 1),
        png_of_16_bits(2, 3),
        png_of_16_bits(4, 2),
        png_of_16_bits(6, 4),
        tiff_of_16_bits(),
        b"P6 2 2 65535\n" + bytes(24),
        b"P5 2 2 1023\n" + bytes(8),
        saved(Image.fromarray(np.zeros((9, 9), np.uint16)), "JPEG2000"),
        saved(Image.fromarray(np.zeros((9, 9), np.int32)), "TIFF"),
        saved(picture(), "AVIF")
        .replace(b"av1C\x81\x00\x0c", b"av1C\x81\x00\x4c")
        .replace(b"\x03\x08\x08\x08", b"\x03\x0a\x0a\x0a"),
    ],
    ids=["png-l", "png-rgb", "png-la", "png-rgba", "tiff", "ppm", "pgm", "jp2", "int32", "avif"],
)
def test_more_than_8_bits_are_refused_where_pillow_drops_them(data: bytes) -> None:
    assert describe(data).bits > 8
    with pytest.raises(ImageFileError, match="bits a channel: convert it to 8"):
        decode(data)


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF"]
)
def test_a_file_that_was_cut_off_is_refused(form: str) -> None:
    data = saved(picture(size=(200, 100)), form)
    assert decode(data).shape == (100, 200, 3)
    assert describe(data)[:4] == (form, "P" if form == "GIF" else "RGB", 200, 100)
    for size in (0, 1, 8, 20, len(data) // 3, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(ImageFileError):
            decode(data[:size])


@pytest.mark.parametrize("load_truncated", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_half_a_jpeg_is_refused_even_where_pillow_would_fill_it_with_grey(
    mode: str, load_truncated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", load_truncated)
    data = saved(picture(mode, (200, 100)), "JPEG")
    assert decode(data).shape == (100, 200, 3)
    with pytest.raises(ImageFileError):
        decode(data[: len(data) * 2 // 3])
    with pytest.raises(ImageFileError, match=CUT):
        decode(data[: len(data) * 2 // 3] + b"\xff\xd9")  # with an end marker


GIF_CLAIMS = {
    "screen": b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + bytes(3),
    "frame": b"GIF89a\1\0\1\0\0\0\0",
}
GIF_FRAME = (
    b"\x21\xf9\x04\x08\0\0\0\0"  # the frame is cleared afterwards, for which Pillow takes memory
    b"\x2c\0\0\0\0" + (20_000).to_bytes(2, "little") * 2 + b"\0\2\2D\1\0\x3b"
)


def animated_webp(side: int) -> bytes:
    """An animation whose header claims that many pixels a side."""
    frames = [picture(size=(8, 8)), picture(size=(8, 8)).rotate(90)]
    file = BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    data = file.getvalue()
    at = data.index(b"VP8X") + 12
    return data[:at] + (side - 1).to_bytes(3, "little") * 2 + data[at + 6 :]


@pytest.mark.parametrize(
    "data",
    [*(start + GIF_FRAME for start in GIF_CLAIMS.values()), animated_webp(16_383)],
    ids=[*GIF_CLAIMS, "webp"],
)
def test_no_memory_is_taken_for_what_a_header_claims(data: bytes) -> None:
    """Pillow takes it when it opens the file, before anyone can ask for the size."""

    def look() -> tuple[bool, str]:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
        info = describe(data)
        with pytest.raises(ImageFileError, match=LIMIT) as raised:
            decode(data)
        return min(info.width, info.height) >= 16_000, str(raised.value)

    described, _ = in_child(look)
    assert described


def tiff_of(width: int, height: int, **more: int) -> bytes:
    """A TIFF file of one strip or tile, whose pixels are missing."""
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1}
    tags |= {int(name.removeprefix("tag")): value for name, value in more.items()}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())]
    return struct.pack("<4sIH", b"II*\0", 8, len(entries)) + b"".join(entries) + bytes(24)


def resized(form: str, side: int) -> bytes:
    """A file of that format that claims sides of so many pixels."""
    data, (width, height) = saved(picture(), form), (WIDTH, HEIGHT)
    match form:
        case "BMP":
            return data[:18] + struct.pack("<ii", side, side) + data[26:]
        case "PPM":
            return data.replace(b"%d %d" % (width, height), b"%d %d" % (side, side), 1)
        case _:
            at = data.index(b"ispe") + 8
            assert data[at : at + 8] == struct.pack(">II", width, height)
            return data[:at] + struct.pack(">II", side, side) + data[at + 8 :]


@pytest.mark.parametrize(
    "data",
    [
        tiff_of(30_000, 30_000, tag278=30_000, tag273=102, tag279=20),
        tiff_of(16, 16, tag322=30_000, tag323=30_000, tag324=102, tag325=20),
        tiff_of(16, 16, tag259=1, tag322=30_000, tag323=30_000, tag324=102, tag325=20),
        *(resized(form, 16_000) for form in ("BMP", "PPM", "AVIF")),
    ],
    ids=["TIFF", "TIFF-tile", "TIFF-raw-tile", "BMP", "PPM", "AVIF"],
)
def test_no_memory_is_taken_for_what_pillow_says_of_a_header(data: bytes) -> None:
    def look() -> None:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
        with pytest.raises(ImageFileError, match=LIMIT):
            decode(data)

    in_child(look)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "JPEG2000"])
@pytest.mark.filterwarnings("error")
def test_the_limit_on_pixels_is_the_caller_s_and_not_pillow_s(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # it warns above 300, and raises above 600
    data = saved(picture(), form)
    assert decode(data, max_pixels=WIDTH * HEIGHT).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageFileError, match="40 × 24 pixels, more than the limit of 959"):
        decode(data, max_pixels=WIDTH * HEIGHT - 1)
    assert Image.MAX_IMAGE_PIXELS == 300


def test_a_file_of_two_sizes_does_not_get_the_memory_that_the_second_claims() -> None:
    data = saved(picture(), "JPEG")
    start = data.index(b"\xff\xc0")
    frame = data[start : start + 19]
    huge = frame[:5] + b"\xfd\xe8\xfd\xe8" + frame[9:]
    for forged in (data[:start] + frame + huge + data[start + 19 :], data[:2] + huge + data[2:]):
        with pytest.raises(ImageFileError):
            decode(forged)


def test_what_simplejpeg_refuses_is_read_as_pillow_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(picture(), "JPEG")
    junk = data[:20] + b"junk" + data[20:]
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(junk)
    np.testing.assert_array_equal(decode(junk), by_pillow(junk))
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", lambda _: 1 / 0)
    np.testing.assert_array_equal(decode(data), by_simplejpeg(data))
    with pytest.raises(ImageFileError, match="division by zero"):
        decode(junk)


@pytest.mark.parametrize("mode", ["rgb", "keep"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    ("form", "pillow_mode"),
    [
        *itertools.product(("JPEG", "TIFF"), ("RGB", "L", "CMYK")),
        *itertools.product(("PNG",), ("RGB", "L")),
    ],
)
def test_memory_that_is_offered_changes_nothing(
    form: str, orientation: int, pillow_mode: str, mode: str
) -> None:
    data = saved(picture(pillow_mode), form, orientation)
    expected = decode(data, mode=mode)
    height, width, *channels = expected.shape
    is_filled = (form, orientation) == ("JPEG", 1) and pillow_mode != "CMYK"
    out = np.full(expected.shape, 7, np.uint8)
    found = decode(data, mode=mode, out=out)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert (found is out) == is_filled
    assert is_filled or (out == 7).all()
    others = [
        *(
            np.full(shape, 7, np.uint8)
            for shape in ((width, height, *channels), (height, width, 4))
        ),
        *(np.full(expected.shape, 7, kind) for kind in (np.int8, np.float64)),
        *(np.full((height, width, 1), 7, np.uint8), np.full((1, 1), 7, np.uint8)),
        np.full((height, 2 * width, *channels), 7, np.uint8)[:, ::2],
        np.asfortranarray(np.full(expected.shape, 7, np.uint8)),
    ]
    frozen = np.full(expected.shape, 7, np.uint8)
    frozen.flags.writeable = False
    for out in (*others, frozen):
        found = decode(data, mode=mode, out=out)
        np.testing.assert_array_equal(found, expected, strict=True)
        assert not np.shares_memory(found, out)
        assert (out == 7).all()


def test_a_damaged_file_is_refused_although_memory_is_offered() -> None:
    data = saved(picture(), "JPEG")
    with pytest.raises(ImageFileError, match=CUT):
        decode(data[:-50], out=np.empty((HEIGHT, WIDTH, 3), np.uint8))


def by_simplejpeg(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = simplejpeg.decode_jpeg(data)
    return pixels


def test_of_a_file_of_several_jpegs_the_first_is_decoded() -> None:
    first, second = picture(), picture().rotate(180)
    data = saved(first, "MPO", save_all=True, append_images=[second])
    with Image.open(BytesIO(data)) as opened:
        assert opened.format == "MPO"
    assert describe(data).format == "JPEG"
    np.testing.assert_array_equal(decode(data), by_pillow(data), strict=True)


def test_an_orientation_in_xmp_alone_is_not_read_in_any_format() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for data in (
        saved(picture(), "TIFF", tiffinfo={700: xmp}),
        saved(picture(), "WEBP", lossless=True, xmp=xmp),
        saved(picture(), "JPEG", xmp=xmp),
    ):
        with Image.open(BytesIO(data)) as opened:
            assert opened.getexif()[0x112] == 6  # Pillow reads it
        assert decode(data).shape == (HEIGHT, WIDTH, 3)
        assert describe(data).orientation == 1


def test_no_other_format_reaches_pillow() -> None:
    postscript = saved(picture(), "EPS")  # Pillow would start Ghostscript for it
    for data in (postscript, saved(picture(), "TGA"), saved(picture(), "ICO"), b"%PDF-1.7 ..."):
        with pytest.raises(ImageFileError, match=UNKNOWN):
            decode(data)


def test_options_that_do_not_exist_are_refused() -> None:
    data = saved(picture(), "PNG")
    for options in ({"mode": "RGB"}, {"orientation": "exif"}):
        with pytest.raises(ValueError, match="mode"):
            decode(data, **options)  # type: ignore[arg-type]  # strings only


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "JPEG2000", "AVIF", "BMP"])
def test_changed_bytes_give_pixels_or_an_image_file_error(form: str) -> None:
    data = saved(picture(), form)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            damaged[at] = rng.integers(256)
        with contextlib.suppress(ImageFileError):
            assert decode(bytes(damaged), max_pixels=10_000_000).ndim == 3


@pytest.mark.parametrize("mode", ["rgb", "keep"])
@pytest.mark.parametrize("rows", [1, 5, 23])
def test_a_large_picture_is_converted_some_rows_at_a_time(
    mode: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes out as it does at once, whatever its colours."""
    kinds = ("1", "L", "LA", "P", "RGB", "RGBA")
    files = [saved(picture(kind), "PNG") for kind in kinds]
    files += [saved(picture("P"), "PNG", transparency=3), saved(picture("P"), "GIF")]
    files += [saved(picture("RGBA"), "WEBP"), saved(picture("CMYK"), "TIFF", orientation=6)]
    files += [saved(picture(kind), "PNG", transparency=0) for kind in ("L", "1")]
    expected = [decode(data, mode=mode) for data in files]
    monkeypatch.setattr("storage.images.decoding.CONVERTED_PIXELS", rows * WIDTH)
    for data, pixels in zip(files, expected, strict=True):
        np.testing.assert_array_equal(decode(data, mode=mode), pixels, strict=True)


def test_converting_a_large_picture_takes_no_copies_of_it() -> None:
    side = 6_000
    file = BytesIO()
    Image.new("RGBA", (side, side), (1, 2, 3, 4)).save(file, "PNG", compress_level=1)

    def peak() -> int:
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[1]) * resource.getpagesize()
        assert decode(file.getvalue()).shape == (side, side, 3)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used

    assert in_child(peak) < (4 + 3 + 1) * side**2  # the picture, the result, and some rows
