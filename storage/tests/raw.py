"""Each format read and written with its plain library, after the modules' docstrings alone.

Nothing here calls the package: a round trip cannot see a mistake that it makes both ways.
"""

import csv
import json
import re
import shutil
import struct
from collections.abc import Callable
from itertools import accumulate, groupby
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


def commit_ids(sizes: list[int]) -> list[range]:
    """The ids of each of the commits of so many records."""
    return [range(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True)]


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


def put_png(store: Path, ids: range, part: Records, summed: Records | None = None) -> None:
    folder = store / f"{ids.start:012d}-{ids.stop:012d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = "file_name,label,shape,checksum,line_checksum\n"
    for i, record in enumerate(part, ids.start):
        image = record.image[..., 0] if record.image.shape[2:] == (1,) else record.image
        Pillow.fromarray(image).save(folder / f"{i:012d}.png")
        right = png_line(i, (summed or part)[i - ids.start])
        text += f"{png_line(i, record)},{xxh3_64_intdigest(right.encode()):016x}\n"
    (folder / "metadata.csv").write_text(text)


def png_line(image_id: int, record: Record) -> str:
    shape = shape_text(record.image)
    return f"{image_id:012d}.png,{record.label},{shape},{record.checksum:016x}"


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


def put_lmdb(
    store: Path, ids: range, part: Records, summed: Records | None = None, replace: bool = True
) -> None:
    with lmdb.open(str(store)) as environment, environment.begin(write=True) as transaction:
        for i in ids if replace else []:
            transaction.delete(struct.pack(">Q", i))
        done = 0
        for _, run in groupby(part, key=lambda record: record.image.shape):
            block = [*run]
            first, table = ids.start + done, lmdb_table(ids, block)
            right = lmdb_table(ids, (summed or part)[done : done + len(block)])
            pixels = b"".join(record.image.tobytes() for record in block)
            table_sum = struct.pack("<Q", xxh3_64_intdigest(right, seed=first))
            transaction.put(struct.pack(">Q", first), table_sum + table + pixels)
            done += len(block)


def lmdb_table(call: range, block: Records) -> bytes:
    n, dimensions = len(block), (*block[0].image.shape, 0)[:3]
    table = struct.pack("<2Q4I", call.start, call.stop, n, *dimensions)
    table += struct.pack(f"<{n}q", *(record.label for record in block))
    return table + struct.pack(f"<{n}Q", *(record.checksum for record in block))


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
            assert file["table_checksum"][row] == table_sum(first, used)
            found += map(Record, images, used[0].tolist(), used[1].tolist())
    return found


def table_sum(first: int, tables: list[NDArray[np.integer]]) -> int:
    digest = xxh3_64(seed=first)
    for table in tables:
        digest.update(table.astype(table.dtype.newbyteorder("<")).tobytes())
    return digest.intdigest()


def put_hdf5(store: Path, ids: range, part: Records, summed: Records | None = None) -> None:
    tables, right = hdf5_tables(part), hdf5_tables(summed or part)
    with h5py.File(store / f"{ids.start:012d}-{ids.stop:012d}.h5", "w") as file:
        if "offsets" in tables:
            pixels = [record.image.ravel() for record in part]
            file["pixels"] = np.concatenate([np.empty(0, np.uint8), *pixels])
        else:
            file["images"] = np.stack([record.image for record in part])
        for name, table in tables.items():
            file[name] = table
        file["table_checksum"] = np.array([table_sum(ids.start, [*right.values()])], "<u8")


def hdf5_tables(part: Records) -> dict[str, NDArray[np.integer]]:
    tables: dict[str, NDArray[np.integer]] = {
        "labels": np.array([record.label for record in part], "<i8"),
        "checksums": np.array([record.checksum for record in part], "<u8"),
    }
    shapes = [record.image.shape for record in part]
    if len(set(shapes)) != 1:
        sizes = [record.image.size for record in part]
        tables["offsets"] = np.cumsum([0, *sizes]).astype("<i8")
        tables["shapes"] = np.array([(*shape, 0)[:3] for shape in shapes], "<i8").reshape(-1, 3)
    return tables


READERS: dict[str, Callable[[Path], Records]] = {
    "png": read_png,
    "lmdb": read_lmdb,
    "hdf5": read_hdf5,
}
PUTTERS: dict[str, Callable[[Path, range, Records, Records | None], None]] = {
    "png": put_png,
    "lmdb": put_lmdb,
    "hdf5": put_hdf5,
}
"""Each writes records as the commit of some ids, in place of those that are there.

Where records are given a second time, the tables' own checksums are made for those.
"""


def places(name: str, store: Path) -> list[range]:
    """The ids of what is one file, or in LMDB one call's blocks; `PUTTERS` replace them."""
    if name != "lmdb":
        found = (re.match(r"(\d{12})-(\d{12})", entry.name) for entry in sorted(store.iterdir()))
        return [range(int(match[1]), int(match[2])) for match in found if match]
    with lmdb.open(str(store), readonly=True) as environment, environment.begin() as transaction:
        calls = {struct.unpack_from("<2Q", value, 8) for _, value in transaction.cursor()}
    return [range(*call) for call in sorted(calls)]


def drop(name: str, store: Path, ids: range) -> None:
    """Take a commit away whole, as if it had never been made."""
    if name == "lmdb":
        put_lmdb(store, ids, [])
    else:
        (part,) = store.glob(f"{ids.start:012d}-{ids.stop:012d}*")
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def add(name: str, store: Path, ids: range, part: Records) -> None:
    """Write records as one more commit, whose ids may be those of others too."""
    if name == "lmdb":
        put_lmdb(store, ids, part, replace=False)
    else:
        PUTTERS[name](store, ids, part, None)


def exchange(name: str, store: Path, one: range, other: range) -> None:
    """Let two commits of one block, or of as many images, change places as they are."""
    if name == "lmdb":
        keys = [struct.pack(">Q", ids.start) for ids in (one, other)]
        with lmdb.open(str(store)) as environment, environment.begin(write=True) as transaction:
            values = [transaction.get(key, b"") for key in keys]
            for key, value in zip(keys, reversed(values), strict=True):
                transaction.put(key, value)
        return
    (first,), (second,) = (store.glob(f"{ids.start:012d}-{ids.stop:012d}*") for ids in (one, other))
    aside = store / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def write(name: str, store: Path, source: Records, sizes: list[int]) -> None:
    """Write a store of that format; its commits are of `sizes` records."""
    for ids in commit_ids(sizes):
        PUTTERS[name](store, ids, source[ids.start : ids.stop], None)
    (store / "store.json").write_text(json.dumps({"format": name, "version": 1}))
    (store / f"count-{len(source):012d}").touch()
