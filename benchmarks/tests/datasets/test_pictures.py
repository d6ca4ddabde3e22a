"""Folders of the user's own pictures, as data sets."""

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
    PictureOptions,
    load_dataset,
    mean_bytes,
    pictures,
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
    assert {image.shape for image in found.images} == {(h, w, 3) for w, h in SIZES}
    for image, label in zip(found.images, found.labels.tolist(), strict=True):
        i = SIZES.index((image.shape[1], image.shape[0]))
        np.testing.assert_array_equal(image, write(folder / "again.png", SIZES[i], i), strict=True)
        assert label == (i >= 3)
        assert not image.flags.writeable
    assert mean_bytes(found.images) == sum(3 * w * h for w, h in SIZES) / 6


def test_pictures_of_one_size_are_one_array(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.png", (4, 5), i)
    found = load(tmp_path)
    assert found.images.shape == (3, 5, 4, 3)
    assert found.images.dtype == np.uint8
    assert mean_bytes(found.images) == 60
    assert found.labels.tolist() == [0, 0, 0]
    keep = PictureOptions(mode="keep")
    assert load(tmp_path, keep).images.shape == (3, 5, 4, 3)


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
        np.testing.assert_array_equal(image, other, strict=True)
    assert {*start.labels.tolist()} == {0, 1}
    assert start.identity == whole.identity


def test_no_more_pixels_are_loaded_than_memory_allows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_BYTES", 300)
    found = load(folder)
    assert 1 <= len(found.images) == found.capacity < 6
    assert sum(image.nbytes for image in found.images) <= 300
    monkeypatch.setattr(pictures, "MOST_BYTES", 1)
    assert len(load(folder).images) == 1


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
