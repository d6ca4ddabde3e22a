"""The tutorial's three ways, rewritten as a reference.

"Three Ways of Storing and Accessing Lots of Images in Python" (Rebecca Stone, Real Python, 2019,
https://realpython.com/storing-images-in-python/) stores one PNG and one CSV row per image, one
pickled object per LMDB record, and big-endian HDF5 data sets, and opens its environment or file
again for each call. The functions keep its names and its habits. A habit that makes a call fail or
return wrong results is fixed, and a comment beginning with "Fixed" says so.

The LMDB records are pickles: read only records that this benchmark has just written.
"""

import csv
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import lmdb
import numpy as np
from PIL import Image as Pillow

from .base import Contender, Image, ImageIds, Labels, Read, Shape


class CifarImage:
    """The object that the tutorial pickles: pixel bytes with their size, and a label."""

    def __init__(self, image: Image, label: int) -> None:
        # The number of channels and the size are kept to rebuild the array; every record repeats
        # the names of the class and of its attributes, as pickles do.
        self.channels = image.shape[2]
        self.size = image.shape[:2]
        self.image = image.tobytes()
        self.label = label

    def get_image(self) -> Image:
        pixels = np.frombuffer(self.image, dtype=np.uint8)
        # Fixed: that array is read-only; every other way of reading returns a writable one.
        return pixels.reshape(*self.size, self.channels).copy()


# ---- disk ----------------------------------------------------------------------------------


def store_single_disk(folder: Path, image: Image, image_id: int, label: int) -> None:
    """Store one PNG, and one CSV file with one row."""
    Pillow.fromarray(image).save(folder / f"{image_id}.png")
    with (folder / f"{image_id}.csv").open("w", newline="") as file:
        csv.writer(file).writerow([label])


def store_many_disk(folder: Path, images: Image, labels: Labels) -> None:
    """Store a PNG per image, and one CSV file with a row per image."""
    for i, image in enumerate(images):
        Pillow.fromarray(image).save(folder / f"{i}.png")
    # Fixed: the tutorial names this file only by the number of images, in one directory for all
    # experiments, so one overwrites another's file; here each store has its own directory.
    with (folder / f"{len(images)}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for label in labels:
            writer.writerow([label])


def read_single_disk(folder: Path, image_id: int) -> tuple[Image, int]:
    """Read what `store_single_disk` stored."""
    image = np.array(Pillow.open(folder / f"{image_id}.png"))
    with (folder / f"{image_id}.csv").open(newline="") as file:
        return image, int(next(csv.reader(file))[0])


def read_many_disk(folder: Path, shape: Shape) -> tuple[Image, Labels]:
    """Read every image, and the labels from the one CSV file."""
    # All `read_many_…` fill an array in place, where the tutorial returns a list. So every way
    # returns one array, and the tutorial's does not pay for another copy.
    images = np.empty(shape, np.uint8)
    for image_id in range(shape[0]):
        images[image_id] = np.array(Pillow.open(folder / f"{image_id}.png"))
    with (folder / f"{shape[0]}.csv").open(newline="") as file:
        labels = [int(row[0]) for row in csv.reader(file)]
    return images, np.array(labels, np.int64)


# ---- LMDB ----------------------------------------------------------------------------------

MAP_SLACK = 10 * 2**20
"""Fixed: the tutorial's map, ten times the pixels of one image, cannot hold LMDB's own pages."""


def store_single_lmdb(folder: Path, image: Image, image_id: int, label: int) -> None:
    """Store one record in an environment opened for it."""
    environment = lmdb.open(str(folder), map_size=image.nbytes * 10 + MAP_SLACK)
    with environment.begin(write=True) as transaction:
        value = pickle.dumps(CifarImage(image, label))
        transaction.put(f"{image_id:08}".encode("ascii"), value)
    environment.close()


def store_many_lmdb(folder: Path, images: Image, labels: Labels) -> None:
    """Store a record per image, all in one transaction."""
    environment = lmdb.open(str(folder), map_size=images.nbytes * 10 + MAP_SLACK)
    with environment.begin(write=True) as transaction:
        for i, image in enumerate(images):
            value = pickle.dumps(CifarImage(image, labels[i]))
            transaction.put(f"{i:08}".encode("ascii"), value)
    environment.close()


def _loads(data: bytes | None) -> CifarImage:
    assert data is not None, "the benchmark reads what it stored"
    record: CifarImage = pickle.loads(data)  # noqa: S301  # written a moment ago by this process
    return record


def read_single_lmdb(folder: Path, image_id: int) -> tuple[Image, int]:
    """Read one record from an environment opened for it."""
    environment = lmdb.open(str(folder), readonly=True)
    with environment.begin() as transaction:
        data = transaction.get(f"{image_id:08}".encode("ascii"))
        record = _loads(data)
    environment.close()
    return record.get_image(), record.label


def read_many_lmdb(folder: Path, shape: Shape) -> tuple[Image, Labels]:
    """Read every record, key by key."""
    images = np.empty(shape, np.uint8)
    labels = []
    environment = lmdb.open(str(folder), readonly=True)
    with environment.begin() as transaction:
        for image_id in range(shape[0]):
            data = transaction.get(f"{image_id:08}".encode("ascii"))
            record = _loads(data)
            # Without get_image, since filling the array already copies.
            pixels = np.frombuffer(record.image, dtype=np.uint8)
            images[image_id] = pixels.reshape(*record.size, record.channels)
            labels.append(record.label)
    environment.close()
    return images, np.array(labels, np.int64)


# ---- HDF5 ----------------------------------------------------------------------------------


def store_single_hdf5(folder: Path, image: Image, image_id: int, label: int) -> None:
    """Store a file of one image, with data sets `image` and `meta`."""
    with h5py.File(folder / f"{image_id}.h5", "w") as file:
        file.create_dataset("image", np.shape(image), h5py.h5t.STD_U8BE, data=image)
        # Fixed: the tutorial stores labels as unsigned bytes too, which changes those above 255.
        file.create_dataset("meta", np.shape(label), h5py.h5t.STD_I64BE, data=label)


def store_many_hdf5(folder: Path, images: Image, labels: Labels) -> None:
    """Store a file of all images, with data sets `images` and `meta`."""
    # Fixed: the tutorial leaves this file open, so it is unwritten until it is garbage-collected.
    with h5py.File(folder / f"{len(images)}_many.h5", "w") as file:
        file.create_dataset("images", np.shape(images), h5py.h5t.STD_U8BE, data=images)
        file.create_dataset("meta", np.shape(labels), h5py.h5t.STD_I64BE, data=labels)


def read_single_hdf5(folder: Path, image_id: int) -> tuple[Image, int]:
    """Read what `store_single_hdf5` stored."""
    # Fixed: the tutorial opens this file for writing ("r+"), and leaves it open.
    with h5py.File(folder / f"{image_id}.h5", "r") as file:
        return np.array(file["/image"]).astype("uint8"), int(np.array(file["/meta"]))


def read_many_hdf5(folder: Path, shape: Shape) -> tuple[Image, Labels]:
    """Read every image, as one slice."""
    # Fixed as above. The tutorial copies all images twice, by np.array and astype; here they are
    # copied once, as in every other way.
    with h5py.File(folder / f"{shape[0]}_many.h5", "r") as file:
        images = np.empty(shape, np.uint8)
        file["/images"].read_direct(images)
        return images, np.array(file["/meta"]).astype(np.int64)


# ---- some images of many, for checks --------------------------------------------------------


def read_some_disk(folder: Path, ids: ImageIds, shape: Shape) -> tuple[Image, Labels]:
    """Read the images `ids` that `store_many_disk` stored."""
    images = np.stack([np.array(Pillow.open(folder / f"{i}.png")) for i in ids.tolist()])
    with (folder / f"{shape[0]}.csv").open(newline="") as file:
        labels = [int(row[0]) for row in csv.reader(file)]
    return images, np.array(labels, np.int64)[ids]


def read_some_hdf5(folder: Path, ids: ImageIds, shape: Shape) -> tuple[Image, Labels]:
    """Read the images `ids` that `store_many_hdf5` stored."""
    images, labels = read_many_hdf5(folder, shape)
    return images[ids], labels[ids]


# ---- as contenders -------------------------------------------------------------------------


@dataclass(frozen=True)
class Article(Contender):
    """One of the tutorial's three ways; each store has its own directory."""

    name: str
    single: Callable[[Path, Image, int, int], None]
    many: Callable[[Path, Image, Labels], None]
    one: Callable[[Path, int], tuple[Image, int]]
    all: Callable[[Path, Shape], tuple[Image, Labels]]
    some: (
        Callable[[Path, ImageIds, Shape], tuple[Image, Labels]] | None
    )  # None: `one` can read what `many` stored
    syncs: bool  # whether its storing calls wait for the disk

    def create(self, path: Path, durable: bool) -> None:
        path.mkdir()

    def store_single(self, path: Path, image: Image, label: int, durable: bool) -> None:
        self.single(path, image, 0, label)

    def store_many(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        path.mkdir()
        self.many(path, images, labels)

    def read_single(self, path: Path, image_id: int, shape: Shape) -> tuple[Image, int]:
        return self.one(path, image_id)

    def read_many(self, path: Path, shape: Shape) -> tuple[Image, Labels]:
        return self.all(path, shape)

    def read_some(self, path: Path, ids: ImageIds, shape: Shape) -> tuple[Read, Labels]:
        return self.some(path, ids, shape) if self.some else super().read_some(path, ids, shape)

    def prepare_read_single(
        self, path: Path, images: Image, labels: Labels, ids: Sequence[int]
    ) -> None:
        if self.some:  # `one` cannot read what `many` stored
            for image_id in ids:
                self.single(path, images[image_id], image_id, int(labels[image_id]))

    def durability(self, durable: bool) -> str:
        return "as the tutorial: synced" if self.syncs else "as the tutorial: not synced"


ARTICLE = (
    Article(
        "article-png",
        store_single_disk,
        store_many_disk,
        read_single_disk,
        read_many_disk,
        some=read_some_disk,
        syncs=False,
    ),
    Article(
        "article-lmdb",
        store_single_lmdb,
        store_many_lmdb,
        read_single_lmdb,
        read_many_lmdb,
        some=None,
        syncs=True,
    ),
    Article(
        "article-hdf5",
        store_single_hdf5,
        store_many_hdf5,
        read_single_hdf5,
        read_many_hdf5,
        some=read_some_hdf5,
        syncs=False,
    ),
)
