"""What each peer has to do, in a process of its own: `python -m ….peer_contract NAME FOLDER`.

The libraries start threads, and some may not be forked or loaded beside others.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.contenders import peers
from benchmarks.contenders.base import Image, Labels
from benchmarks.contenders.peers.base import Peer
from benchmarks.datasets import PictureOptions
from benchmarks.datasets.pictures import load_pictures

from .test_contenders import LABELS, assert_own_array

SHAPES = ((5, 4, 3), (7, 9, 1), (64, 48, 3))
"""(H, W, C); none is CIFAR-10's, and one has large pixels for its number of images."""


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


def check_files(peer: Peer, folder: Path) -> None:
    """What it does with the files of pictures, if it keeps them."""
    options = PictureOptions()
    row = peer.for_pictures(options)
    if row is None:
        return
    (folder / "photos").mkdir()
    n = len(LABELS)
    for i in range(n):
        Pillow.new("RGB", (3 + i, 4), (i, 2 * i, 0)).save(folder / "photos" / f"{i}.jpg")
    pictures = load_pictures(folder / "photos", options, limit=None).images
    for durable in (True, False):
        path = folder / f"files-{durable}"
        row.store_many(path, pictures, LABELS, durable)
        before = sorted(path.rglob("*"))
        images, labels = row.read_many(path, (n,))
        assert all(one.is_same(image) for one, image in zip(pictures, images, strict=True))
        assert_own_labels(labels, LABELS)
        with row.open_files(path) as opened:
            pickled = pickle.dumps(opened)
        # As another process opens it.
        with pickle.loads(pickled) as opened:  # noqa: S301  # made two lines above
            ids: NDArray[np.int64] = np.array([11, 3, 3, 0, 6])
            files, labels = opened.read_many(ids)
            assert files == [picture.read() for picture in pictures[ids]]
            assert_own_labels(labels, LABELS[ids])
            data, label = opened[5]
            assert (data.tobytes(), label) == (pictures[5].read(), LABELS[5])
        assert sorted(path.rglob("*")) == before, "reading left files"


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
