"""The stand-in: the same everywhere, balanced, and as compressible as CIFAR-10."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets import Dataset, DatasetOptionError, load_dataset


@pytest.fixture(scope="module")
def standin() -> Dataset:
    return load_dataset("standin", limit=6000)


@pytest.fixture(scope="module")
def png_bytes(standin: Dataset) -> NDArray[np.int64]:
    sizes = []
    for image in standin.images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        sizes.append(len(buffer.getvalue()))
    return np.array(sizes)


def test_its_first_images_are_the_same_on_every_machine(standin: Dataset) -> None:
    # Should a change to the pictures be meant: raise standin.VERSION and pin the new digests.
    images = hashlib.sha256(standin.images[:1000].tobytes()).hexdigest()
    labels = hashlib.sha256(standin.labels[:1000].astype("<i8").tobytes()).hexdigest()
    assert images == "4ea566e6d5253caec4aca54fa8044c0a745bd83f3efded5a63dc3208d211f2f0"
    assert labels == "6733cc6568f0974055c4259084154e556f16cbdc13e074eea8bf26431423e4f7"
    assert standin.identity == "standin-v1-seed2020-32x32"


def test_its_larger_images_are_the_same_on_every_machine() -> None:
    loaded = load_dataset("standin", limit=3, image_size=(70, 100))
    assert (
        hashlib.sha256(loaded.images.tobytes()).hexdigest()
        == "45728c4dfc6df2d31a5ac7f741b8c760786f7e2f2828ff237a0c4006210ac30c"
    )


# CIFAR-10's PNG sizes in bytes as Pillow writes them by default, over 6,102 real images.
def test_its_png_sizes_have_cifar10s_mean(png_bytes: NDArray[np.int64]) -> None:
    assert png_bytes.mean() == pytest.approx(2260.7, rel=0.03)


def test_its_png_sizes_have_cifar10s_spread(png_bytes: NDArray[np.int64]) -> None:
    assert png_bytes.std() == pytest.approx(269.9, rel=0.30)


@pytest.mark.parametrize(
    ("percentile", "size"), [(1, 1442), (25, 2129), (50, 2311), (75, 2450), (99, 2719)]
)
def test_its_png_sizes_have_cifar10s_percentiles(
    png_bytes: NDArray[np.int64], percentile: int, size: int
) -> None:
    assert np.percentile(png_bytes, percentile) == pytest.approx(size, rel=0.10)


def test_its_neighbouring_pixels_are_as_alike_as_a_photographs(standin: Dataset) -> None:
    # 1,000 real images: 23, 37 and 61 grey levels (root mean square) at these distances.
    green = standin.images[:1000, :, :, 1].astype(np.int64)
    for distance, real in ((1, 23.3), (2, 36.7), (8, 60.8)):
        steps = green[:, :, distance:] - green[:, :, :-distance]
        assert np.sqrt((steps**2).mean()) == pytest.approx(real, rel=0.2)


def test_its_classes_look_different(standin: Dataset) -> None:
    """The nearest mean picture tells the class far more often than the 10 % of guessing."""
    images, labels = standin.images.astype(np.int64), standin.labels
    means = np.stack([images[:5000][labels[:5000] == k].mean(axis=0) for k in range(10)])
    rest = images[5000:].reshape(-1, 1, 3072)
    distances = ((rest - means.reshape(1, 10, 3072)) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == labels[5000:]).mean() > 0.3


def test_all_50000_labels_are_exactly_balanced_and_every_prefix_nearly(standin: Dataset) -> None:
    # One pixel a picture: the labels are the same at every size.
    whole = load_dataset("standin", image_size=(1, 1))
    assert whole.images.shape == (50_000, 1, 1, 3)
    counts = np.cumsum(whole.labels[:, None] == np.arange(10), axis=0)
    assert counts[-1].tolist() == [5000] * 10
    assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1
    np.testing.assert_array_equal(whole.labels[:6000], standin.labels)


@pytest.mark.parametrize("limit", [1, 127, 128, 129, 1000])
def test_an_image_does_not_depend_on_how_many_are_made(standin: Dataset, limit: int) -> None:
    part = load_dataset("standin", limit=limit)
    np.testing.assert_array_equal(part.images, standin.images[:limit])
    np.testing.assert_array_equal(part.labels, standin.labels[:limit])
    assert part.capacity == standin.capacity == 100_000
    assert part.identity == standin.identity


def test_no_image_is_there_twice(standin: Dataset) -> None:
    assert len({image.tobytes() for image in standin.images}) == len(standin.images)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (33, 64), (512, 300), (2, 2000)])
def test_images_of_any_size_are_made_and_named(size: tuple[int, int]) -> None:
    loaded = load_dataset("standin", limit=2, image_size=size)
    assert loaded.images.shape == (2, *size, 3)
    assert loaded.images.dtype == np.uint8
    assert loaded.identity.endswith(f"-{size[0]}x{size[1]}")


def test_a_picture_shows_the_same_at_any_size() -> None:
    """Reduced to 8 by 8, pictures of the same class agree on where light and dark are."""
    means = []
    for side in (32, 128):
        loaded = load_dataset("standin", limit=300, image_size=(side, side))
        step = side // 8
        small = loaded.images.reshape(300, 8, step, 8, step, 3).mean(axis=(2, 4))
        means.append(np.stack([small[loaded.labels == k].mean(axis=0) for k in range(10)]))
    difference = np.abs(means[0] - means[1]).mean()
    assert difference < 0.5 * np.abs(means[0] - means[0].mean(axis=0)).mean() + 10


@pytest.mark.parametrize("size", [(0, 32), (32, 0), (-1, 5)])
def test_a_size_that_is_not_positive_is_an_error(size: Sequence[int]) -> None:
    with pytest.raises(DatasetOptionError, match="at least 1"):
        load_dataset("standin", image_size=(size[0], size[1]))
