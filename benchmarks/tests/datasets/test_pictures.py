"""Folders of the user's own pictures, as data sets."""

import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets import (
    Dataset,
    DatasetError,
    DatasetNotFoundError,
    DatasetOptionError,
    PictureError,
    PictureFile,
    PictureOptions,
    decoded,
    load_dataset,
    mean_bytes,
)
from storage import ReadOnlyError
from storage.images.folder import ImageFolder

SHARED = Path(__file__).resolve().parents[4] / "shared"
OWN_IMAGES = SHARED / "own-images"
SIZES = [(9, 7), (4, 4), (5, 8), (3, 2), (6, 6), (8, 5)]  # width, height
SKIP = PictureOptions(skip=True)


def write(path: Path, size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """A picture of noise, as a PNG file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    path.write_bytes(file.getvalue())
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures of as many sizes, in two classes."""
    for i, size in enumerate(SIZES):
        write(tmp_path / "photos" / ("cat" if i < 3 else "dog") / f"{i}.png", size, i)
    return tmp_path / "photos"


def load(path: Path, options: PictureOptions | None = None, limit: int | None = None) -> Dataset:
    return load_dataset(str(path), pictures=options or PictureOptions(), limit=limit)


def test_pictures_of_several_sizes_are_one_data_set(folder: Path) -> None:
    found = load(folder)
    assert found.images.shape == (6,)
    images = [picture.decode() for picture in found.images]
    assert {image.shape for image in images} == {(h, w, 3) for w, h in SIZES}
    for image, label in zip(images, found.labels.tolist(), strict=True):
        i = SIZES.index((image.shape[1], image.shape[0]))
        np.testing.assert_array_equal(image, write(folder / "again.png", SIZES[i], i), strict=True)
        assert label == (i >= 3)
    for image, again in zip(images, decoded(found.images), strict=True):
        np.testing.assert_array_equal(image, again, strict=True)
    assert mean_bytes(found.images) == sum(3 * w * h for w, h in SIZES) / 6


def test_a_picture_knows_its_pixels_and_the_bytes_of_its_file(folder: Path) -> None:
    picture, other = load(folder).images[:2]
    image, data = picture.decode(), picture.read()
    assert (picture.nbytes, picture.file_bytes) == (image.nbytes, len(data))
    assert all(map(picture.is_same, (image, data, np.frombuffer(data, np.uint8))))
    wrong = image.copy()
    wrong[-1, -1, -1] ^= 1
    turned = image.reshape(image.shape[1], image.shape[0], 3)
    for bad in (wrong, turned, image.astype(np.int16), data[:-1], [*data], other.decode(), None):
        assert not picture.is_same(bad)


def test_neither_pixels_nor_files_are_held(folder: Path) -> None:
    held = load(folder).images[0]
    kept = [getattr(held, name) for name in held.__slots__]
    assert not any(isinstance(value, bytes | np.ndarray) for value in kept)


def test_grey_pictures_are_kept_as_they_are_by_option(tmp_path: Path) -> None:
    Image.new("L", (4, 5), 7).save(tmp_path / "0.png")
    assert load(tmp_path).images[0].decode().shape == (5, 4, 3)
    assert load(tmp_path, PictureOptions(mode="keep")).images[0].decode().shape == (5, 4)


def test_each_picture_is_taken_once(folder: Path) -> None:
    found = load(folder)
    assert found.capacity == 6
    images, labels = found.take(4)
    assert len(images) == len(labels) == 4
    with pytest.raises(DatasetOptionError, match="7 images were asked for"):
        found.take(7)


def test_the_first_pictures_are_the_same_with_a_limit_and_of_all_classes(folder: Path) -> None:
    whole, start = load(folder), load(folder, limit=4)
    assert len(start.images) == 4
    for image, other in zip(start.images, whole.images[:4], strict=True):
        assert image == other
    assert {*start.labels.tolist()} == {0, 1}
    assert start.identity == whole.identity


def test_by_default_no_more_pictures_are_taken_than_have_some_bytes_of_pixels(folder: Path) -> None:
    found = load_dataset(str(folder), pictures=PictureOptions(), most_bytes=300)
    assert 1 <= len(found.images) == found.capacity < 6
    assert sum(image.nbytes for image in found.images) <= 300
    assert found.full_count == 6
    assert any(
        line.startswith(f"left out: {6 - len(found.images)} of 6 pictures")
        for line in found.remarks
    )
    one = load_dataset(str(folder), pictures=PictureOptions(), most_bytes=1)
    assert len(one.images) == 1
    assert one.identity == found.identity == load(folder).identity
    assert not any(line.startswith("left out") for line in load(folder).remarks)


@pytest.mark.parametrize(("large", "most"), [(1, 1), (10**6, 2)])
def test_large_pictures_are_decoded_one_at_a_time(
    large: int, most: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many at a time would take gigabytes, on a machine with many cores."""
    monkeypatch.setattr("benchmarks.datasets.pictures.LARGE_PIXELS", large)
    monkeypatch.setattr("storage.payloads.base.cores", lambda: 8)
    monkeypatch.setattr("storage.payloads.base.THREAD_BYTES", 0)
    real, together, lock = PictureOptions.decode, threading.Barrier(most), threading.Lock()
    running, seen = [0], list[int]()

    def decode(options: PictureOptions, data: bytes) -> NDArray[np.uint8]:
        with lock:
            running[0] += 1
            seen.append(running[0])
        together.wait(timeout=10)  # for others, if others are to decode meanwhile
        with lock:
            running[0] -= 1
        return real(options, data)

    monkeypatch.setattr(PictureOptions, "decode", decode)
    load(folder)
    assert len(seen) == 6
    assert max(seen) >= most
    assert most > 1 or max(seen) == 1


def test_few_large_pictures_are_held_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(folder).images
    largest = max(picture.nbytes for picture in found)
    monkeypatch.setattr("benchmarks.datasets.pictures.AT_ONCE_BYTES", largest)
    held = list[int]()

    def note(function: Callable[[object], object], items: list[PictureFile]) -> list[object]:
        held.append(sum(item.nbytes for item in items))
        return [*map(function, items)]

    monkeypatch.setattr("benchmarks.datasets.pictures.in_threads", note)
    assert [image.shape for image in decoded(found)] == [p.decode().shape for p in found]
    assert max(held) <= largest
    assert len(held) > 1


def test_the_identity_is_of_contents_labels_and_options_and_not_of_names(
    folder: Path, tmp_path: Path
) -> None:
    identity = load(folder).identity
    assert load(folder).name == "pictures"
    renamed = folder.rename(tmp_path / "elsewhere")
    (renamed / "dog").rename(renamed / "dogs")
    assert load(renamed).identity == identity
    assert load(renamed, PictureOptions(orientation="ignore")).identity != identity
    (renamed / "cat" / "0.png").rename(renamed / "dogs" / "0.png")
    moved = load(renamed).identity
    assert moved != identity
    write(renamed / "dogs" / "0.png", SIZES[0], seed=9)
    assert load(renamed).identity not in (identity, moved)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("page.jpg", b"<html>", "a web page"),
        ("cut.png", None, "was cut off"),
        ("damaged.png", b"", "a checksum does not match"),
    ],
)
def test_a_refused_picture_stops_the_run_or_is_left_out_and_listed(
    name: str, data: bytes | None, reason: str, folder: Path
) -> None:
    whole = (folder / "cat" / "0.png").read_bytes()
    at = whole.index(b"IDAT") + 12
    damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    content = whole[:-20] if data is None else data or damaged
    (folder / "dog" / name).write_bytes(content)
    with pytest.raises(PictureError, match=f"dog/{name} is refused: .*{reason}") as raised:
        load(folder)
    assert "--on-error=skip" in str(raised.value)
    assert "\n" not in str(raised.value)
    found = load(folder, SKIP)
    assert len(found.images) == 6
    assert found.note == "1 files were left out"
    assert any(line.startswith(f"left out: dog/{name}: ") for line in found.remarks)


def test_a_file_that_cannot_be_read_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: ImageFolder, i: int, size: int = -1) -> bytes:
        if folder.name(i) == "cat/1.png":
            raise ReadOnlyError("cat/1.png: may not be read")
        return read(folder, i, size)

    read = ImageFolder.read
    monkeypatch.setattr(ImageFolder, "read", fail)
    with pytest.raises(PictureError, match=r"cat/1\.png: may not be read"):
        load(folder)
    assert len(load(folder, SKIP).images) == 5


def test_all_pictures_may_not_be_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    with pytest.raises(DatasetNotFoundError, match="none of its files is an image"):
        load(tmp_path, SKIP)


def test_empty_class_folders_are_allowed_by_option(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DatasetNotFoundError, match="class folders without images: empty"):
        load(folder)
    assert len(load(folder, PictureOptions(allow_empty=True)).images) == 6


def test_a_folder_of_neither_batches_nor_pictures_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(b"CIFAR-100")
    with pytest.raises(DatasetNotFoundError, match=r"no images in it.*CIFAR batches"):
        load(tmp_path)


def test_the_remarks_begin_with_the_table(folder: Path) -> None:
    lines = load(folder).remarks
    assert lines[0] == "6 images"
    assert "classes     0 cat (3), 1 dog (3)" in lines


@pytest.mark.skipif(not OWN_IMAGES.is_dir(), reason="no ../shared/own-images beside the repository")
def test_a_real_folder_gives_its_pictures_and_tells_no_names() -> None:
    found = load(OWN_IMAGES, limit=30)
    assert len(found.images) == 30
    assert len({*found.labels.tolist()}) > 5
    saved = found.name + found.identity + found.note
    assert not any(name in saved for name in ("own-images", "shared", "apple"))


def test_errors_are_those_of_data_sets() -> None:
    assert issubclass(PictureError, DatasetError)
