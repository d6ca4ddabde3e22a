"""The rows that keep the files of pictures, and the limit of pictures."""

import pickle
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from benchmarks.contenders.base import PILLOW, Labels, Read
from benchmarks.contenders.encoded import FileRow, Undecoded
from benchmarks.contenders.folder import plain_image
from benchmarks.contenders.limit import PLACE_BYTES, Limit
from benchmarks.contenders.rows import DEFAULT_PICTURE_ROWS, FILE_ROWS, STORE_ROWS, find_row
from benchmarks.datasets import Images, PictureOptions
from benchmarks.datasets.pictures import load_pictures
from storage import open_store
from storage.payloads.base import new_images

OPTIONS = PictureOptions(mode="keep")
SIZES = [("RGB", (5, 4)), ("L", (3, 6)), ("RGB", (2, 2)), ("RGBA", (4, 4)), ("P", (7, 3))]
LABELS = np.array([7, 0, 2**40, 7, 3])
"""Of another order than the images, since the folder as it is has a folder for each."""

each_file_row = pytest.mark.parametrize("row", FILE_ROWS.values(), ids=FILE_ROWS)


@pytest.fixture
def pictures(tmp_path: Path) -> Images:
    """Pictures of several modes and sizes."""
    (tmp_path / "photos").mkdir()
    chance = np.random.default_rng(0)
    for i, (mode, (width, height)) in enumerate(SIZES):
        noise = chance.integers(0, 256, (height, width, 4), np.uint8)
        picture = Pillow.fromarray(noise).convert(mode)
        picture.save(tmp_path / "photos" / f"{i}.{'jpg' if mode == 'L' else 'png'}")
    return load_pictures(tmp_path / "photos", OPTIONS, limit=None).images


@pytest.fixture(autouse=True)
def no_old_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory might be that of the row before, which holds the right pixels."""

    def filled(shapes: list[tuple[int, ...]]) -> Read:
        images = new_images(shapes)
        for image in images:
            image[...] = 0xAB
        return images

    monkeypatch.setattr("benchmarks.contenders.encoded.new_images", filled)


def rows(name: str) -> FileRow:
    row = FILE_ROWS[name].for_pictures(OPTIONS)
    assert row is not FILE_ROWS[name]
    return row


@pytest.mark.parametrize("name", DEFAULT_PICTURE_ROWS)
def test_pictures_come_back_whole_single_and_in_part(
    name: str, pictures: Images, tmp_path: Path
) -> None:
    row = find_row(name).for_pictures(OPTIONS)
    assert row is not None
    row.store_many(tmp_path / "store", pictures, LABELS, durable=True)
    images, labels = row.read_many(tmp_path / "store", (len(LABELS),))
    assert isinstance(images, list)
    assert [each.is_same(image) for each, image in zip(pictures, images, strict=True)] == [True] * 5
    np.testing.assert_array_equal(labels, LABELS, strict=True)
    ids = np.array([3, 1, 3])
    some, labels = row.read_some(tmp_path / "store", ids, (len(LABELS),))
    assert all(each.is_same(image) for each, image in zip(pictures[ids], some, strict=True))
    np.testing.assert_array_equal(labels, LABELS[ids], strict=True)
    for i, picture in enumerate(pictures):
        image, label = row.read_single(tmp_path / "store", i, ())
        assert picture.is_same(image)
        assert (type(label), label) == (int, LABELS[i])


@pytest.mark.parametrize("name", DEFAULT_PICTURE_ROWS)
def test_one_picture_comes_back(name: str, pictures: Images, tmp_path: Path) -> None:
    row = find_row(name).for_pictures(OPTIONS)
    assert row is not None
    row.create(tmp_path / "store", durable=True)
    row.store_single(tmp_path / "store", pictures[1], -2, durable=True)
    image, label = row.read_single(tmp_path / "store", 0, ())
    assert pictures[1].is_same(image)
    assert label == -2


@pytest.mark.parametrize("name", [name for name in DEFAULT_PICTURE_ROWS if "encoded" in name])
def test_undecoded_files_are_those_that_were_stored(
    name: str, pictures: Images, tmp_path: Path
) -> None:
    row = find_row(name).for_pictures(OPTIONS)
    undecoded = Undecoded(row)  # type: ignore[arg-type]  # it keeps files
    undecoded.store_many(tmp_path / "store", pictures, LABELS, durable=False)
    files, labels = undecoded.read_many(tmp_path / "store", (len(LABELS),))
    assert files == [picture.read() for picture in pictures]
    np.testing.assert_array_equal(labels, LABELS, strict=True)
    data, label = undecoded.read_single(tmp_path / "store", 2, ())
    assert (data.tobytes(), label) == (files[2], LABELS[2])
    with undecoded.open(tmp_path / "store") as opened:
        pickled = pickle.dumps(opened)
    # As another process opens it.
    with pickle.loads(pickled) as opened:  # made two lines above
        some, labels = opened.read_many(np.array([4, 0, 4]))
    assert some == [files[4], files[0], files[4]]
    np.testing.assert_array_equal(labels, LABELS[[4, 0, 4]], strict=True)


@each_file_row
def test_a_row_decodes_with_what_it_records(
    row: FileRow, pictures: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder as it is with Pillow alone, whatever becomes of this project's decoder."""
    own = rows(row.name)
    own.store_many(tmp_path / "store", pictures, LABELS, durable=False)

    def refuse(*_: object, **_options: object) -> NoReturn:
        raise AssertionError("decoded by this project")

    monkeypatch.setattr("storage.payloads.encoded.decode", refuse)
    monkeypatch.setattr("benchmarks.datasets.pictures.decode", refuse)
    with own.open(tmp_path / "store") as opened:
        if own.decoder == PILLOW:
            for i, picture in enumerate(pictures):
                assert picture.is_same(opened[i][0])
        else:
            for read in (lambda: opened.read_many(np.arange(5)), lambda: opened[1]):
                with pytest.raises(AssertionError, match="decoded by this project"):
                    read()
    assert (own.decoder == PILLOW) == (own.name == "files")


@each_file_row
def test_an_open_store_can_be_sent_to_another_process(
    row: FileRow, pictures: Images, tmp_path: Path
) -> None:
    own = rows(row.name)
    own.store_many(tmp_path / "store", pictures, LABELS, durable=False)
    with own.open(tmp_path / "store") as opened:
        pickled = pickle.dumps(opened)
    with pickle.loads(pickled) as opened:  # made two lines above
        images, _ = opened.read_many(np.array([1]))
    assert pictures[1].is_same(images[0])


def test_pictures_of_one_shape_are_read_as_one_array(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Pillow.new("RGB", (4, 5), (i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    same = load_pictures(tmp_path / "photos", OPTIONS, limit=None).images
    labels: Labels = np.arange(3)
    for name in DEFAULT_PICTURE_ROWS:
        row = find_row(name).for_pictures(OPTIONS)
        assert row is not None
        row.store_many(tmp_path / name, same, labels, durable=False)
        images, _ = row.read_many(tmp_path / name, (3,))
        assert isinstance(images, np.ndarray)
        assert images.shape == (3, 5, 4, 3)
        assert images.flags.writeable


def test_the_folder_as_it_is_tells_no_names_and_has_a_folder_for_each_label(
    pictures: Images, tmp_path: Path
) -> None:
    rows("files").store_many(tmp_path / "store", pictures, LABELS, durable=True)
    found = [file for file in (tmp_path / "store").rglob("*") if file.is_file()]
    for file in found:
        i = int(file.name)
        assert file.parent.name == str(LABELS[i])
        assert file.read_bytes() == pictures[i].read()
    assert len(found) == len(LABELS)


def test_the_limits_hold_the_files_or_the_pixels_end_to_end(
    pictures: Images, tmp_path: Path
) -> None:
    rows("limit-encoded").store_many(tmp_path / "files", pictures, LABELS, durable=False)
    files = b"".join(picture.read() for picture in pictures)
    assert (tmp_path / "files" / "files").read_bytes() == files
    Limit().for_pictures(OPTIONS).store_many(tmp_path / "raw", pictures, LABELS, durable=False)
    pixels = b"".join(picture.decode().tobytes() for picture in pictures)
    assert (tmp_path / "raw" / "raw").read_bytes() == pixels


def test_encoded_stores_are_made_with_the_options_of_the_pictures(
    pictures: Images, tmp_path: Path
) -> None:
    row = STORE_ROWS["hdf5-encoded"].for_pictures(PictureOptions(mode="keep", max_pixels=50))
    row.store_many(tmp_path / "store", pictures, LABELS, durable=False)
    with open_store(tmp_path / "store") as store:
        assert store.payload.options["image_mode"] == "keep"
        assert store.payload.options["max_pixels"] == 50
    assert STORE_ROWS["hdf5-encoded"].made_with == {}


def test_one_picture_takes_one_entry_of_the_limits_index(
    pictures: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows("limit-encoded")
    row.store_many(tmp_path / "store", pictures, LABELS, durable=False)
    sizes: list[int] = []
    genuine = np.fromfile

    def noting(*arguments: Any, **others: Any) -> NDArray[np.int64]:
        read: NDArray[np.int64] = genuine(*arguments, **others)
        sizes.append(read.nbytes)
        return read

    monkeypatch.setattr(np, "fromfile", noting)
    image, label = row.read_single(tmp_path / "store", 3, ())
    assert pictures[3].is_same(image)
    assert label == LABELS[3]
    assert sizes == [PLACE_BYTES]


@pytest.mark.parametrize(("side", "threads"), [(147, False), (148, True)])
def test_small_pictures_are_decoded_in_one_thread_as_in_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, threads: bool
) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Pillow.new("RGB", (side, side)).save(tmp_path / "photos" / f"{i}.png")
    same = load_pictures(tmp_path / "photos", OPTIONS, limit=None).images
    started: list[bool] = []
    genuine = ThreadPoolExecutor.submit

    def noting(*arguments: Any) -> Future[None]:
        started.append(True)
        future: Future[None] = genuine(*arguments)
        return future

    monkeypatch.setattr(ThreadPoolExecutor, "submit", noting)
    for row in (rows("limit-encoded"), STORE_ROWS["lmdb-encoded"].for_pictures(OPTIONS)):
        row.store_many(tmp_path / row.name, same, np.arange(3), durable=False)
        started.clear()
        row.read_many(tmp_path / row.name, (3,))
        assert bool(started) == threads


@each_file_row
def test_arrays_are_no_files(row: FileRow) -> None:
    assert not row.holds(np.zeros((2, 4, 5, 3), np.uint8))


def test_what_is_undecoded_only_reads(tmp_path: Path) -> None:
    undecoded = Undecoded(rows("files"))
    with pytest.raises(NotImplementedError, match="files bytes only reads"):
        undecoded.create(tmp_path / "new", durable=False)
    with pytest.raises(NotImplementedError, match="files bytes only reads"):
        undecoded.store_single(tmp_path / "new", np.zeros((1, 1), np.uint8), 0, durable=False)


SIDEWAYS = 6
XMP = f'''<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{SIDEWAYS}"/></rdf:RDF></x:xmpmeta>'''


def turned(kind: str, path: Path) -> None:
    """Write a picture whose orientation is told in some way."""
    picture, exif = Pillow.linear_gradient("L").resize((8, 6)).convert("RGB"), Pillow.Exif()
    exif[Base.Orientation] = SIDEWAYS
    text = PngInfo()
    match kind:
        case "EXIF":
            picture.save(path, "PNG", exif=exif)
        case "TIFF":
            picture.save(path, "TIFF", exif=exif)
        case "XMP in JPEG":
            picture.save(path, "JPEG", xmp=XMP.encode())
        case "XMP in PNG":
            text.add_itxt("XML:com.adobe.xmp", XMP)
            picture.save(path, "PNG", pnginfo=text)
        case "EXIF as text":  # as ImageMagick has written it
            data = exif.tobytes()
            text.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n")
            picture.save(path, "PNG", pnginfo=text)


@pytest.mark.parametrize("orientation", ["apply", "ignore"])
@pytest.mark.parametrize("kind", ["EXIF", "TIFF", "XMP in JPEG", "XMP in PNG", "EXIF as text"])
def test_the_plain_loop_turns_what_the_stores_turn(
    kind: str, orientation: str, tmp_path: Path
) -> None:
    """Else the check of what was read would fail."""
    turned(kind, path := tmp_path / "picture")
    with Pillow.open(path) as opened:
        assert ImageOps.exif_transpose(opened).size == (6, 8)  # there is something to turn
    options = PictureOptions(orientation=orientation)
    np.testing.assert_array_equal(
        plain_image(str(path), options), options.decode(path.read_bytes()), strict=True
    )
