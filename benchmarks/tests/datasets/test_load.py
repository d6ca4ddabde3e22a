"""Choosing a data set, and taking images from it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import benchmarks.datasets
from benchmarks.datasets import (
    Dataset,
    DatasetError,
    DatasetOptionError,
    PictureOptions,
    is_folder_of_pictures,
    load_dataset,
)
from benchmarks.datasets.cifar10 import BATCH_MD5
from benchmarks.datasets.errors import DatasetNotFoundError
from benchmarks.datasets.sources import OFFICIAL

from .test_batches import write_batches


@pytest.fixture
def seven(tmp_path: Path) -> Dataset:
    write_batches(tmp_path / "seven", 1)
    return load_dataset(str(tmp_path / "seven"))


def test_capacity_is_twice_the_set(seven: Dataset) -> None:
    assert seven.capacity == 14


@pytest.mark.parametrize("n", [0, 1, 7])
def test_up_to_the_whole_set_is_a_view(seven: Dataset, n: int) -> None:
    images, labels = seven.take(n)
    assert len(images) == len(labels) == n
    assert images.base is not None
    assert n == 0 or np.shares_memory(images, seven.images)
    assert n == 0 or np.shares_memory(labels, seven.labels)


@pytest.mark.parametrize("n", [8, 14])
def test_beyond_the_set_it_begins_again(seven: Dataset, n: int) -> None:
    images, labels = seven.take(n)
    assert images.shape == (n, 32, 32, 3)
    for i in range(n):
        np.testing.assert_array_equal(images[i], seven.images[i % 7])
        assert labels[i] == seven.labels[i % 7]


@pytest.mark.parametrize("n", [-1, 15])
def test_beyond_its_capacity_is_an_error(seven: Dataset, n: int) -> None:
    with pytest.raises(DatasetOptionError, match="0 to 14") as caught:
        seven.take(n)
    assert isinstance(caught.value, ValueError)


def test_a_standin_made_with_a_limit_gives_no_more() -> None:
    limited = load_dataset("standin", limit=20)
    assert len(limited.take(20)[0]) == 20
    with pytest.raises(DatasetOptionError, match="smaller limit"):
        limited.take(21)


def test_a_limit_leaves_other_sets_whole(tmp_path: Path) -> None:
    write_batches(tmp_path, 1)
    assert len(load_dataset(str(tmp_path), limit=2).images) == 7


def test_the_arrays_cannot_be_written(seven: Dataset) -> None:
    for array in (seven.images, seven.labels, seven.take(3)[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("spec", ["cifar10", "standin", "."])
@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_an_error(spec: str, limit: int) -> None:
    with pytest.raises(DatasetOptionError, match=f"limit {limit}"):
        load_dataset(spec, limit=limit)


@pytest.mark.parametrize("pictures", [None, PictureOptions()])
@pytest.mark.parametrize("spec", ["~nosuch/x", "", "x" * 5_000])
def test_a_name_that_cannot_be_a_path_is_an_error_of_one_line(
    spec: str, pictures: PictureOptions | None
) -> None:
    with pytest.raises(DatasetError, match=r"no such user|is empty|too long") as caught:
        load_dataset(spec, pictures=pictures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["cifar10", "."])
def test_only_the_standin_has_a_choice_of_size(spec: str) -> None:
    with pytest.raises(DatasetOptionError, match="stand-in only"):
        load_dataset(spec, image_size=(64, 64))


def test_a_folder_of_official_batches_is_cifar10(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official files cannot be here, so other files are declared official."""
    write_batches(tmp_path, 1, 2, 3, 4, 5)
    for name in BATCH_MD5:
        md5 = hashlib.md5((tmp_path / name).read_bytes()).hexdigest()
        monkeypatch.setitem(BATCH_MD5, name, md5)
    loaded = load_dataset(str(tmp_path))
    assert (loaded.name, loaded.identity) == ("cifar10", OFFICIAL.identity)
    (tmp_path / "data_batch_5").unlink()
    assert load_dataset(str(tmp_path)).identity.startswith("sha256:")


@pytest.mark.parametrize("spec", ["cifar10", "standin", "", "~nosuch/x", "x" * 5_000])
def test_a_name_is_no_folder_of_pictures(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar10").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_folder_of_pictures(spec)
    assert is_folder_of_pictures("./cifar10")


def test_every_error_is_a_dataset_error_and_a_builtin_one() -> None:
    for name in benchmarks.datasets.__all__:
        exported = getattr(benchmarks.datasets, name)
        if name.endswith("Error") and exported is not DatasetError:
            assert issubclass(exported, DatasetError)
            assert issubclass(exported, ValueError | OSError)


@pytest.mark.parametrize(
    "name",
    ["cats/1.jpg", "photo.jpg", "train", "data_batch_1.bin"],
    ids=["pictures", "a picture", "CIFAR-100", "binary version"],
)
def test_data_of_another_kind_are_told_what_is_supported(tmp_path: Path, name: str) -> None:
    file = tmp_path / "data" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xd8\xff\xe0")
    path = file if name == "photo.jpg" else tmp_path / "data"
    with pytest.raises(DatasetNotFoundError, match="give the Python version of CIFAR-10") as caught:
        load_dataset(str(path))
    assert str(path) in str(caught.value)
    # Without options for pictures they are not taken, so they must not be asked for.
    assert ("or a folder of pictures" in str(caught.value)) == path.is_file()
