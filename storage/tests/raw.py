"""Each format read and written with its plain library, after the modules' docstrings alone.

Nothing here calls the package: a round trip cannot see a mistake that it makes both ways.
"""

import csv
import json
import struct
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

import h5py
import lmdb
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from xxhash import xxh3_64, xxh3_64_intdigest

from .samples import Image


class Record(NamedTuple):
    """A record as it lies on disk; its place in the list is its id."""

    image: Image
    label: int
    checksum: int


Records: TypeAlias = list[Record]
Source: TypeAlias = list[tuple[Image, int]]


def shape_text(image: Image) -> str:
    return "x".join(str(side) for side in image.shape)


def checksum(image_id: int, label: int, image: Image) -> int:
    """The formula in `_records.py`, in Python's own integers."""
    tag = xxh3_64_intdigest(shape_text(image).encode()) + image_id * 0x9E3779B97F4A7C15
    tag += label * 0xC2B2AE3D27D4EB4F
    return xxh3_64_intdigest(image.tobytes()) ^ (tag % 2**64)


def records(images: list[Image], labels: list[int]) -> Records:
    """What should lie on disk."""
    return [
        Record(image, label, checksum(i, label, image))
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def write_header(store: Path, name: str, count: int) -> None:
    (store / "store.json").write_text(json.dumps({"format": name, "version": 1}))
    (store / f"count-{count:012d}").touch()


def commits(source: Records, sizes: list[int]) -> list[tuple[int, Records]]:
    """The records in runs of `sizes`, each with its first id."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [(start, source[start : start + n]) for start, n in zip(starts, sizes, strict=True)]


# ---- png ---------------------------------------------------------------------------------------


def read_png(store: Path) -> Records:
    found: Records = []
    for folder in sorted(path for path in store.iterdir() if path.is_dir()):
        with (folder / "metadata.csv").open(newline="") as table:
            for row in csv.DictReader(table):
                line = ",".join([*row.values()][:4])
                assert xxh3_64_intdigest(line.encode()) == int(row["line_checksum"], 16)
                shape = tuple(map(int, row["shape"].split("x")))
                with Pillow.open(folder / row["file_name"]) as picture:
                    assert picture.format == "PNG"
                    image = np.array(picture).reshape(shape)
                found.append(Record(image, int(row["label"]), int(row["checksum"], 16)))
    return found


def write_png(store: Path, source: Records, sizes: list[int]) -> None:
    for first, part in commits(source, sizes):
        folder = store / f"{first:012d}-{first + len(part):012d}"
        folder.mkdir()
        lines = ["file_name,label,shape,checksum,line_checksum"]
        for i, record in enumerate(part, first):
            image = record.image[..., 0] if record.image.shape[2:] == (1,) else record.image
            Pillow.fromarray(image).save(folder / f"{i:012d}.png")
            line = f"{i:012d}.png,{record.label},{shape_text(record.image)},{record.checksum:016x}"
            lines.append(f"{line},{xxh3_64_intdigest(line.encode()):016x}")
        (folder / "metadata.csv").write_text("".join(f"{line}\n" for line in lines))
    write_header(store, "png", len(source))


# ---- lmdb --------------------------------------------------------------------------------------


def read_lmdb(store: Path) -> Records:
    found: Records = []
    with lmdb.open(str(store), readonly=True) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            assert int.from_bytes(key, "big") == len(found)
            table_sum, _, _, n, height, width, channels = struct.unpack_from("<QQQ4I", value)
            assert table_sum == xxh3_64_intdigest(value[8 : 40 + 16 * n], seed=len(found))
            labels = struct.unpack_from(f"<{n}q", value, 40)
            sums = struct.unpack_from(f"<{n}Q", value, 40 + 8 * n)
            shape = (height, width, channels) if channels else (height, width)
            images = np.frombuffer(value, np.uint8, offset=40 + 16 * n).reshape(n, *shape)
            found += map(Record, images, labels, sums)
    return found


def write_lmdb(store: Path, source: Records, sizes: list[int]) -> None:
    with lmdb.open(str(store)) as environment, environment.begin(write=True) as transaction:
        for call_first, part in commits(source, sizes):
            first = call_first
            for shape, run in groupby(part, key=lambda record: record.image.shape):
                block = [*run]
                n, dimensions = len(block), (*shape, 0)[:3]
                table = struct.pack("<2Q", call_first, call_first + len(part))
                table += struct.pack("<4I", n, *dimensions)
                table += struct.pack(f"<{n}q", *(record.label for record in block))
                table += struct.pack(f"<{n}Q", *(record.checksum for record in block))
                pixels = b"".join(record.image.tobytes() for record in block)
                table_sum = struct.pack("<Q", xxh3_64_intdigest(table, seed=first))
                transaction.put(struct.pack(">Q", first), table_sum + table + pixels)
                first += n
    write_header(store, "lmdb", len(source))


# ---- hdf5 --------------------------------------------------------------------------------------


def read_hdf5(store: Path) -> Records:
    found: Records = []
    for path in sorted(store.glob("*.h5")):
        first, stop = map(int, path.stem.split("-"))
        n, row = stop - first, 0
        with h5py.File(path) as file:
            if "images" in file:
                images, tables = [*file["images"][:n]], ["labels", "checksums"]
                row = n - 1 if len(file["table_checksum"]) > 1 else 0
            else:
                images, tables = [], ["labels", "checksums", "offsets", "shapes"]
                for i, (height, width, channels) in enumerate(file["shapes"]):
                    shape = (height, width, channels) if channels else (height, width)
                    start, stop = file["offsets"][i : i + 2]
                    images.append(file["pixels"][start:stop].reshape(shape))
            used = [file[name][: n + (name == "offsets")] for name in tables]
            assert file["table_checksum"][row] == table_sum(used)
            found += map(Record, images, used[0].tolist(), used[1].tolist())
    return found


def table_sum(tables: list[NDArray[np.integer]]) -> int:
    digest = xxh3_64()
    for table in tables:
        digest.update(table.astype(table.dtype.newbyteorder("<")).tobytes())
    return digest.intdigest()


def write_hdf5(store: Path, source: Records, sizes: list[int]) -> None:
    for first, part in commits(source, sizes):
        labels = np.array([record.label for record in part], "<i8")
        sums = np.array([record.checksum for record in part], "<u8")
        tables = {"labels": labels, "checksums": sums}
        shapes = [record.image.shape for record in part]
        with h5py.File(store / f"{first:012d}-{first + len(part):012d}.h5", "w") as file:
            if len(set(shapes)) == 1:
                file["images"] = np.stack([record.image for record in part])
            else:
                pixels = [record.image.ravel() for record in part]
                file["pixels"] = np.concatenate(pixels)
                sizes_of = [len(image) for image in pixels]
                tables["offsets"] = np.cumsum([0, *sizes_of]).astype("<i8")
                tables["shapes"] = np.array([(*shape, 0)[:3] for shape in shapes], "<i8")
            for name, table in tables.items():
                file[name] = table
            file["table_checksum"] = np.array([table_sum([*tables.values()])], "<u8")
    write_header(store, "hdf5", len(source))


READERS: dict[str, Callable[[Path], Records]] = {
    "png": read_png,
    "lmdb": read_lmdb,
    "hdf5": read_hdf5,
}
WRITERS: dict[str, Callable[[Path, Records, list[int]], None]] = {
    "png": write_png,
    "lmdb": write_lmdb,
    "hdf5": write_hdf5,
}
