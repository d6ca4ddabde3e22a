"""The table of a folder: what it holds, and what will become of it."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from ...images.decoding import decode
from ...images.folder import read_folder
from ...images.headers import HEAD_BYTES, PNG_SIGNATURE
from ...images.survey import header_of, survey
from ...payloads.encoded import EncodedPayload
from .files import ODD_IMAGES, picture, png_of_16_bits, saved
from .test_decoding import INDEX, REFUSED, TURNED

OPAQUE = "transparent to opaque"


def png_of_gray(bits: int) -> bytes:
    """A PNG file of grey pixels of few bits, 8 bytes in a row."""
    header = struct.pack(">IIBBBBB", 64 // bits, 1, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b""))
    parts = [
        struct.pack(">I4s", len(data), kind) + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in chunks
    ]
    return PNG_SIGNATURE + b"".join(parts)


def keyed_gif() -> bytes:
    """A GIF file of which some pixels are transparent."""
    image = picture("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 9, 9))
    return saved(image, "GIF")


def mpo() -> bytes:
    """A JPEG file with a second image behind the first."""
    file = BytesIO()
    picture().save(file, "MPO", save_all=True, append_images=[picture().rotate(90)])
    return file.getvalue()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A class of odd images and one of a usual one."""
    files = {
        "odd/gray.jpg": saved(picture("L"), "JPEG"),
        "odd/turned.jpg": saved(picture(), "JPEG", 6),
        "odd/palette.gif": saved(picture(), "GIF"),
        "odd/frames.gif": saved(
            picture(), "GIF", save_all=True, append_images=[picture().rotate(90)]
        ),
        "odd/deep.png": png_of_16_bits(2, 3),
        "odd/page.jpg": b"<html>",
        "odd/notes.txt": b"notes",
        "usual/alpha.png": saved(picture("RGBA"), "PNG"),
        "usual/0.jpg": saved(picture(), "JPEG"),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def test_the_table_counts_what_will_be_changed_or_refused(mixed: Path) -> None:
    assert survey(read_folder(mixed)).lines() == [
        "8 images",
        "formats     3 JPEG, 2 PNG, 2 GIF",
        "modes       2 P, 2 RGB, 1 RGB of 16 bits, 1 L, 1 RGBA",
        "sizes       2 from 2 × 2 to 40 × 24, most often 40 × 24 (6)",
        "classes     0 odd (6), 1 usual (2)",
        "changed     2 P to RGB, 1 several images to the first, 1 L to RGB,"
        " 1 turned (orientation 6), 1 RGBA to RGB",
        "passed over 1 no image by its suffix .txt",
        "refused     2",
        "            odd/deep.png: a PNG file of 16 bits a channel: convert it to 8",
        "            odd/page.jpg: a web page or an XML file, not an image",
    ]


@pytest.mark.parametrize(
    ("data", "rgb", "keep"),
    [
        (saved(picture(), "PNG", transparency=(0, 0, 0)), [OPAQUE], [OPAQUE]),
        (saved(picture("L"), "PNG", transparency=0), ["L to RGB", OPAQUE], [OPAQUE]),
        (saved(picture("P"), "PNG", transparency=0), ["P to RGB", OPAQUE], ["P to RGBA"]),
        (keyed_gif(), ["P to RGB", OPAQUE], ["P to RGBA"]),
        (saved(picture("P"), "PNG"), ["P to RGB"], ["P to RGB"]),
        (saved(picture("LA"), "PNG"), ["LA to RGB"], []),
        (b"P5 2 1 15 \x07\x0f", ["L to RGB", "16 levels to 256"], ["16 levels to 256"]),
        (b"P5 2 1 255 \x07\x0f", ["L to RGB"], []),
        (png_of_gray(2), ["L to RGB", "4 levels to 256"], ["4 levels to 256"]),
        (png_of_gray(4), ["L to RGB", "16 levels to 256"], ["16 levels to 256"]),
        (mpo(), ["several images to the first"], ["several images to the first"]),
        (saved(picture(), "JPEG"), [], []),
    ],
)
def test_what_is_changed_of_a_file_is_said(
    data: bytes, rgb: list[str], keep: list[str], tmp_path: Path
) -> None:
    """The table tells it as a store does."""
    (tmp_path / "file.png").write_bytes(data)
    for mode, expected in (("rgb", rgb), ("keep", keep)):
        payload, image = EncodedPayload(image_mode=mode), decode(data, mode=mode)
        assert payload.changes(payload.info_of(data), image.shape) == expected
        assert [*survey(read_folder(tmp_path), mode=mode).changed] == expected
        becomes = [change.split()[-1] for change in expected if change.startswith("P to ")]
        assert not becomes or image.shape[2] == len(becomes[0])


def test_the_options_change_what_is_counted(mixed: Path) -> None:
    found = survey(read_folder(mixed), mode="keep", orientation="ignore", max_pixels=3)
    assert not found.changed
    assert len(found.refused) == 8
    found = survey(read_folder(mixed), mode="keep", orientation="ignore")
    assert found.changed == {"P to RGB": 2, "several images to the first": 1}


def test_a_long_header_is_read_to_its_end(tmp_path: Path) -> None:
    filler = b"\xff\xfe\xff\xff" + bytes(2**16 - 3)  # a comment
    data = saved(picture(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data[:2] + 2 * filler + data[2:])
    (tmp_path / "b.png").write_bytes(saved(picture(size=(400, 300)).effect_spread(50), "PNG"))
    assert (tmp_path / "b.png").stat().st_size > HEAD_BYTES
    folder = read_folder(tmp_path)
    assert header_of(folder, 0)[:4] == ("JPEG", "RGB", 40, 24)
    assert header_of(folder, 1)[:4] == ("PNG", "RGB", 400, 300)


@pytest.mark.skipif(not ODD_IMAGES.is_dir(), reason="no ../shared/odd-images beside the repository")
def test_headers_tell_all_that_is_refused_but_damage() -> None:
    found = survey(read_folder(ODD_IMAGES))
    damaged = {"bad-crc.png", "cut-end.jpg", "cut-half.jpg", "no-eoi.jpg"}
    passed_over = {"cmyk-mislabeled.jpg.txt", "pixels.svg"}
    assert {name for name, _ in found.refused} == REFUSED.keys() - damaged - passed_over
    assert all(
        reason.startswith(REFUSED[name]) or REFUSED[name] in reason
        for name, reason in found.refused
    )
    assert found.images == len(INDEX) - len(passed_over)
    turned = {what: n for what, n in found.changed.items() if what.startswith("turned")}
    assert sum(turned.values()) == len(TURNED)
