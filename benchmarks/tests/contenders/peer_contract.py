"""What each peer has to do, in a process of its own: `python -m ….peer_contract NAME FOLDER`.

The libraries start threads, and some may not be forked or loaded beside others.
"""

import pickle
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.contenders import peers
from benchmarks.contenders.base import Image, Labels
from benchmarks.contenders.peers.base import Peer
from benchmarks.datasets import Images, PictureOptions
from benchmarks.datasets.pictures import load_pictures

from .test_contenders import LABELS, assert_own_array

SHAPES = ((5, 4, 3), (7, 9, 1), (64, 48, 3))
"""(H, W, C); none is CIFAR-10's, and one has large pixels for its number of images."""
PICTURES = 210
"""More than are written at a time."""
LARGE = 1_200


def assert_own_labels(found: Labels, expected: Labels) -> None:
    np.testing.assert_array_equal(found, expected, strict=True)
    assert found.flags.writeable


def check_whole(peer: Peer, path: Path, images: Image, labels: Labels) -> None:
    found, found_labels = peer.read_many(path, images.shape)
    assert_own_array(found, images)
    assert_own_labels(found_labels, labels)
    ids = np.array([0, 5, len(images) - 1])
    found, found_labels = peer.read_some(path, ids, images.shape)
    np.testing.assert_array_equal(found, images[ids], strict=True)
    np.testing.assert_array_equal(found_labels, labels[ids], strict=True)


def check_in_order(peer: Peer, path: Path, images: Image, labels: Labels) -> None:
    with peer.open(path, images.shape[1:]) as opened:
        for _ in range(2):  # a pass may be given up, and a next begins at the first image
            found = [*peer.one_by_one(opened, 7)]
            assert len(found) == 7
            for (image, label), expected, its_label in zip(found, images, labels, strict=False):
                assert_own_array(image, expected)
                assert (type(label), label) == (int, its_label)
        some, some_labels = opened[0:5]
        assert_own_array(some, images[:5])
        assert_own_labels(some_labels, labels[:5])


def check_at_random(peer: Peer, path: Path, images: Image, labels: Labels) -> None:
    for i in (0, len(images) - 1):
        image, label = peer.read_single(path, i, images.shape[1:])
        assert_own_array(image, images[i])
        assert (type(label), label) == (int, labels[i])
    with peer.open(path, images.shape[1:]) as opened:
        pickled = pickle.dumps(opened)
    # As another process opens it.
    with pickle.loads(pickled) as opened:  # noqa: S301  # made two lines above
        for chosen in ([11, 3, 3, 0, 6], [4], range(len(images))):
            ids: NDArray[np.int64] = np.array(chosen)
            some, some_labels = opened.read_many(ids)
            assert_own_array(some, images[ids])
            assert_own_labels(some_labels, labels[ids])
        some, some_labels = opened[4:7]
        assert_own_array(some, images[4:7])
        assert_own_labels(some_labels, labels[4:7])


def plant_pictures(folder: Path, n: int) -> None:
    """Small JPEGs, and one large PNG that does not fit beside others."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (LARGE, LARGE, 3), np.uint8)
    Pillow.fromarray(noise).save(folder / "000.png")
    for i in range(1, n):
        Pillow.new("RGB", (3 + i % 9, 4), (i, 2 * i % 256, 0)).save(folder / f"{i:03}.jpg")


def check_files(peer: Peer, folder: Path) -> None:
    """What it does with the files of pictures, if it keeps them."""
    options = PictureOptions()
    row = peer.for_pictures(options)
    assert (row is not None) is peers.PEERS[peer.name].keeps_files
    if row is None:
        return
    plant_pictures(folder / "photos", PICTURES)
    pictures = load_pictures(folder / "photos", options, limit=None).images
    every = np.arange(PICTURES)
    labels = every % 7
    for durable in (True, False):
        path = folder / f"files-{durable}"
        row.store_many(path, pictures, labels, durable)
        before = sorted(path.rglob("*"))
        assert_are(row.read_many(path, (PICTURES,)), pictures, labels)
        some = np.array([0, 5, PICTURES - 1])
        assert_are(row.read_some(path, some, (PICTURES,)), pictures[some], labels[some])
        with row.open(path) as opened:
            for _ in range(2):  # a pass may be given up, and a next begins at the first picture
                assert_are(zip(*row.one_by_one(opened, 7), strict=True), pictures[:7], labels[:7])
        with row.open_files(path) as files:
            pickled = pickle.dumps(files)
        # As another process opens it.
        with pickle.loads(pickled) as files:  # noqa: S301  # made two lines above
            assert_are_files(files[0:150], pictures[:150], labels[:150])
            one_by_one = zip(*islice(files.one_by_one(), 150), strict=True)
            assert_are_files(one_by_one, pictures[:150], labels[:150])
            if "read_batch" in row.operations:
                ids = np.array([11, 3, 3, 0, 206])
                assert_are_files(files.read_many(ids), pictures[ids], labels[ids])
                data, label = files[5]
                assert (data.tobytes(), label) == (pictures[5].read(), labels[5])
        assert sorted(path.rglob("*")) == before, "reading left files"


def assert_are(found: Iterable[Any], pictures: Images, labels: Labels) -> None:
    """The images of the pictures, and their labels."""
    images, found_labels = found
    assert all(one.is_same(image) for one, image in zip(pictures, images, strict=True))
    np.testing.assert_array_equal(found_labels, labels)


def assert_are_files(found: Iterable[Any], pictures: Images, labels: Labels) -> None:
    """The files of the pictures, and their labels."""
    files, found_labels = found
    assert [*files] == [picture.read() for picture in pictures]
    np.testing.assert_array_equal(found_labels, labels)


def main(name: str, folder: Path) -> None:
    peer = peers.load(name)
    for number, shape in enumerate(SHAPES):
        chance = np.random.default_rng(number)
        images = chance.integers(0, 256, (len(LABELS), *shape), np.uint8)
        for durable in (True, False):
            path = folder / f"{number}-{durable}"
            peer.store_many(path, images, LABELS, durable)
            before = sorted(path.rglob("*"))
            check_whole(peer, path, images, LABELS)
            check_in_order(peer, path, images, LABELS)
            if "read_batch" in peer.operations:
                check_at_random(peer, path, images, LABELS)
            assert sorted(path.rglob("*")) == before, "reading left files"
    check_files(peer, folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
