"""Every store's files read and written with plain libraries, after the modules' docstrings alone.

Nothing here calls the package: a round trip cannot see a mistake that it makes both ways. A store
is a container and a payload, as there; a new one of those that are here costs a line of `STORES`.
"""

import csv
import io
import json
import re
import shutil
import struct
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import h5py
import lmdb
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from .samples import Image


class Record(NamedTuple):
    """A record as it lies on disk; its place in the list is its id."""

    image: Image
    label: int
    checksum: int


Records: TypeAlias = list[Record]
Shape: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = list[tuple[int, int]]

INDEX = "index.npy"


def checksum(image_id: int, label: int, image: Image) -> int:
    """The formula in `_checksum.py`, in Python's own integers."""
    text = "x".join(str(side) for side in image.shape)
    tag = xxh3_64_intdigest(text.encode()) + image_id * 0x9E3779B97F4A7C15
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


# ---- payloads ----------------------------------------------------------------------------------


class PlainPayload(NamedTuple):
    """How an image becomes the bytes of a cell, and an image again."""

    encode: Callable[[Image], bytes]
    decode: Callable[[bytes, Shape], Image]
    sums_cells: bool = False  # checksums are of cells, not of pixels

    def exchanged(self, record: "Record", cell: bytes) -> int:
        """The checksum on disk of a record that has one of pixels, and the other way round."""
        if not self.sums_cells:
            return record.checksum
        return record.checksum ^ xxh3_64_intdigest(record.image.tobytes()) ^ xxh3_64_intdigest(cell)


def encode_png(image: Image) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(file, "PNG")
    return file.getvalue()


def decode_png(cell: bytes, shape: Shape) -> Image:
    with Pillow.open(io.BytesIO(cell), formats=["PNG"]) as picture:
        return np.array(picture).reshape(shape)


def decode_raw(cell: bytes, shape: Shape) -> Image:
    return np.frombuffer(cell, np.uint8).reshape(shape)


PNG = PlainPayload(encode_png, decode_png)
ENCODED = PlainPayload(encode_png, decode_png, sums_cells=True)  # of what was stored as an array
RAW = PlainPayload(lambda image: image.tobytes(), decode_raw)


# ---- containers --------------------------------------------------------------------------------


class PlainStructure(NamedTuple):
    """Where cells are in the file that holds them, and what of it a library believes."""

    blocks: Pairs
    trusted: Pairs


class Cells(NamedTuple):
    """The cells of a part, and what some containers keep with them.

    shape: of all images, where the cells are their pixels
    """

    ids: range
    labels: list[int]
    data: list[bytes]
    shape: Shape | None

    def stacked(self) -> NDArray[np.uint8]:
        """As one array: of images, or a row of whatever it is."""
        flat = np.frombuffer(b"".join(self.data), np.uint8)
        return flat.reshape(len(self.data), *self.shape) if self.shape else flat


class PlainContainer(NamedTuple):
    """How the cells of a part lie in its folder: all of them end to end, and to be written."""

    read: Callable[[Path], bytes]
    write: Callable[[Path, Cells], PlainStructure]


def read_files(part: Path) -> bytes:
    with (part / "metadata.csv").open(newline="") as table:
        return b"".join((part / row["file_name"]).read_bytes() for row in csv.DictReader(table))


def write_files(part: Path, cells: Cells, suffix: str = ".png") -> PlainStructure:
    names = [f"{i:012d}{suffix}" for i, _ in enumerate(cells.data, cells.ids.start)]
    for name, cell in zip(names, cells.data, strict=True):
        (part / name).write_bytes(cell)
    lines = map("{},{},{}\n".format, names, cells.labels, cells.ids)
    (part / "metadata.csv").write_text("file_name,label,id\n" + "".join(lines))
    return PlainStructure([], [])


def read_hdf5(part: Path) -> bytes:
    with h5py.File(part / "images.h5") as file:
        return bytes(file["images"][()].tobytes())


def write_hdf5(part: Path, cells: Cells) -> PlainStructure:
    with h5py.File(part / "images.h5", "w") as file:
        start = file.create_dataset("images", data=cells.stacked()).id.get_offset()
    return PlainStructure([(0, start)], [(0, start)])


def read_npy(part: Path) -> bytes:
    return bytes(np.load(part / "images.npy").tobytes())


def write_npy(part: Path, cells: Cells) -> PlainStructure:
    images = cells.stacked()
    np.save(part / "images.npy", images)
    start = (part / "images.npy").stat().st_size - images.nbytes
    return PlainStructure([(0, start)], [(0, start)])


def read_lmdb(part: Path) -> bytes:
    with (
        lmdb.open(str(part / "data.mdb"), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return b"".join(value for _, value in transaction.cursor())


CELLS_PER_BLOCK = 3
"""Any number will do; a few blocks in each part are more than one."""


def write_lmdb(part: Path, cells: Cells) -> PlainStructure:
    rows = range(0, len(cells.data), CELLS_PER_BLOCK)
    values = [b"".join(cells.data[row : row + CELLS_PER_BLOCK]) for row in rows]
    file = part / "data.mdb"
    with (
        lmdb.open(str(file), subdir=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        page = environment.stat()["psize"]
        for row, value in zip(rows, values, strict=True):
            transaction.put(struct.pack(">Q", row), value)
    data = file.read_bytes()
    offsets = [data.index(value) for value in values]
    # A value that is shorter than a page may lie among what LMDB believes.
    every = zip(offsets, map(len, values), strict=True)
    own = [(at, at + length) for at, length in every if length >= page]
    ends = [0, *(end for both in sorted(own) for end in both), len(data)]
    trusted = [(start, stop - start) for start, stop in [*pairwise(ends)][::2]]
    return PlainStructure([*zip(rows, offsets, strict=True)], trusted)


FILES = PlainContainer(read_files, write_files)
FILES_ENCODED = PlainContainer(read_files, partial(write_files, suffix=".image"))
HDF5 = PlainContainer(read_hdf5, write_hdf5)
NPY = PlainContainer(read_npy, write_npy)
LMDB = PlainContainer(read_lmdb, write_lmdb)

CELL_FILES = ("images.h5", "images.npy", "data.mdb")
"""Of which a part has at most one."""

STORES = {
    "png": (FILES, PNG),
    "lmdb": (LMDB, RAW),
    "hdf5": (HDF5, RAW),
    "npy": (NPY, RAW),
    "lmdb-png": (LMDB, PNG),
    "hdf5-png": (HDF5, PNG),
    "files-encoded": (FILES_ENCODED, ENCODED),
    "lmdb-encoded": (LMDB, ENCODED),
    "hdf5-encoded": (HDF5, ENCODED),
}


# ---- the index ---------------------------------------------------------------------------------

TRAILER = struct.Struct("<8s9q2Q")
MAGIC = b"IMAGES 2"
DIGEST_BYTES = 8


class Trailer(NamedTuple):
    """The fields of `TRAILER` behind `MAGIC`."""

    first: int
    length: int
    height: int
    width: int
    channels: int
    cell_bytes: int
    table_at: int = 0
    blocks: int = 0
    trusted: int = 0
    table_digest: int = 0
    trusted_digest: int = 0


class PlainIndex(NamedTuple):
    """What `index.npy` holds: the table, and what NumPy does not read."""

    table: NDArray[np.void]
    pairs: NDArray[np.int64]
    trailer: Trailer


def read_index(part: Path) -> PlainIndex:
    """Read an index by its documentation alone, and check all of its digests."""
    data = (part / INDEX).read_bytes()
    digested, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    magic, *fields = TRAILER.unpack(digested[-TRAILER.size :])
    assert magic == MAGIC
    trailer = Trailer(*fields)
    table = np.load(part / INDEX)
    end = trailer.table_at + table.nbytes
    assert data[trailer.table_at : end] == table.tobytes()
    assert xxh3_64_intdigest(data[:end]) == trailer.table_digest
    assert xxh3_64_digest(digested[end:]) == digest
    pairs = np.frombuffer(digested[end : -TRAILER.size], "<i8").reshape(-1, 2).copy()
    assert len(pairs) == trailer.blocks + trailer.trusted
    return PlainIndex(table, pairs, trailer)


def shapes_and_places(index: PlainIndex) -> list[tuple[Shape, slice]]:
    """For each record the shape of its image, and where its cell is among all end to end."""
    table, trailer = index.table, index.trailer
    n, held = len(table), table.dtype.names or ()
    sides = [
        (table[name] if name in held else np.full(n, getattr(trailer, name))).tolist()
        for name in ("height", "width", "channels")
    ]
    size = trailer.cell_bytes // n
    sizes = (table["size"] if "size" in held else np.full(n, size)).tolist()
    starts = (table["offset"] if "size" in held else np.arange(n) * size).tolist()
    assert trailer.cell_bytes == sum(sizes)
    shapes = [shape if shape[2] else shape[:2] for shape in zip(*sides, strict=True)]
    places = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    return [*zip(shapes, places, strict=True)]


def index_of(part: Records, cells: Cells) -> PlainIndex:
    """The index of a part; digests and what belongs to its structure are filled in later."""
    shapes = [(*record.image.shape, 0)[:3] for record in part]
    sizes = [len(cell) for cell in cells.data]
    columns = {"label": ("<i8", [record.label for record in part])}
    columns["checksum"] = ("<u8", [record.checksum for record in part])
    if not cells.shape:
        sides = zip(("height", "width", "channels"), zip(*shapes, strict=True), strict=True)
        columns |= {name: ("<i8", [*column]) for name, column in sides}
        columns["offset"] = ("<i8", [*accumulate(sizes, initial=0)][:-1])
        columns["size"] = ("<i8", sizes)
    table = np.empty(len(part), [(name, kind) for name, (kind, _) in columns.items()])
    for name, (_, column) in columns.items():
        table[name] = column
    height, width, channels = shapes[0] if cells.shape else (0, 0, 0)
    trailer = Trailer(cells.ids.start, len(part), height, width, channels, sum(sizes))
    return PlainIndex(table, np.empty((0, 2), np.int64), trailer)


def with_structure(index: PlainIndex, structure: PlainStructure, part: Path) -> PlainIndex:
    """The index with where the cells are, and all digests but that of its end."""
    trailer = index.trailer._replace(
        table_at=len(table_bytes(index)) - index.table.nbytes,
        blocks=len(structure.blocks),
        trusted=len(structure.trusted),
    )
    pairs = np.array([*structure.blocks, *structure.trusted], "<i8").reshape(-1, 2)
    return refit(part, PlainIndex(index.table, pairs, trailer))


def table_bytes(index: PlainIndex) -> bytes:
    file = io.BytesIO()
    np.save(file, index.table)
    return file.getvalue()


def write_index(part: Path, index: PlainIndex) -> None:
    """Write an index as it is, whatever it says, with a digest of its end that fits."""
    end = index.pairs.tobytes() + TRAILER.pack(MAGIC, *index.trailer)
    (part / INDEX).write_bytes(table_bytes(index) + end + xxh3_64_digest(end))


def forge(part: Path, **fields: int) -> None:
    """Change fields of an index's end, and make the digest fit."""
    index = read_index(part)
    write_index(part, index._replace(trailer=index.trailer._replace(**fields)))


def refit(part: Path, index: PlainIndex) -> PlainIndex:
    """The index with digests that fit what it says, and what is in the part's file."""
    digested = b""
    for file in (part / name for name in CELL_FILES):
        if file.exists():
            data = file.read_bytes()
            trusted = index.pairs[index.trailer.blocks :].tolist()
            digested += b"".join(data[at : at + length] for at, length in trusted)
    trailer = index.trailer._replace(
        table_digest=xxh3_64_intdigest(table_bytes(index)),
        trusted_digest=xxh3_64_intdigest(digested),
    )
    return index._replace(trailer=trailer)


def trust_all(part: Path, file: Path) -> None:
    """Make an index fit whatever there is in the part's file, all of which then counts as right."""
    index = read_index(part)
    blocks = index.pairs[: index.trailer.blocks]
    pairs = np.concatenate([blocks, [[0, file.stat().st_size]]])
    trailer = index.trailer._replace(trusted=1)
    write_index(part, refit(part, index._replace(pairs=pairs, trailer=trailer)))


# ---- parts and stores --------------------------------------------------------------------------


def folder_of(store: Path, ids: range) -> Path:
    return store / f"{ids.start:012d}-{ids.stop:012d}"


def places(store: Path) -> list[range]:
    """The ids of each part."""
    found = (re.fullmatch(r"(\d{12})-(\d{12})", entry.name) for entry in sorted(store.iterdir()))
    return [range(int(match[1]), int(match[2])) for match in found if match]


def read_part(name: str, part: Path) -> Records:
    container, payload = STORES[name]
    index, data = read_index(part), container.read(part)
    assert len(data) == index.trailer.cell_bytes
    records = []
    for (shape, place), label, stored in zip(
        shapes_and_places(index), index.table["label"], index.table["checksum"], strict=True
    ):
        record = Record(payload.decode(data[place], shape), int(label), int(stored))
        records.append(record._replace(checksum=payload.exchanged(record, data[place])))
    return records


def read(name: str, store: Path) -> Records:
    """Every record of every part, in order of the parts' names."""
    return [record for ids in places(store) for record in read_part(name, folder_of(store, ids))]


def put(
    name: str,
    store: Path,
    ids: range,
    part: Records,
    summed: Records | None = None,
    cells_of: Mapping[int, bytes] | None = None,
) -> None:
    """Write records as the part of some ids, in place of the one that is there.

    summed: records for which the digests of the table and of the structure are made; these fit
        what is written if it is None
    cells_of: what is written for some ids instead of their images
    """
    folder = folder_of(store, ids)
    digests = {}
    if summed is not None:
        put(name, store, ids, summed)
        trailer = read_index(folder).trailer
        digests = {field: getattr(trailer, field) for field in ("table_digest", "trusted_digest")}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    container, payload = STORES[name]
    data = [
        (cells_of or {}).get(i) or payload.encode(record.image)
        for i, record in enumerate(part, ids.start)
    ]
    shapes = {record.image.shape for record in part}
    shape = shapes.pop() if payload is RAW and len(shapes) == 1 else None
    cells = Cells(ids, [record.label for record in part], data, shape)
    structure = container.write(folder, cells)
    part = [
        record._replace(checksum=payload.exchanged(record, payload.encode(record.image)))
        for record in part
    ]
    index = with_structure(index_of(part, cells), structure, folder)
    write_index(folder, index._replace(trailer=index.trailer._replace(**digests)))


def drop(store: Path, ids: range) -> None:
    """Take a part away whole, as if it had never been made."""
    shutil.rmtree(folder_of(store, ids))


def exchange(store: Path, one: range, other: range) -> None:
    """Let two parts change places as they are."""
    swap_paths(folder_of(store, one), folder_of(store, other))


def swap_paths(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def write(name: str, store: Path, source: Records, sizes: list[int]) -> None:
    """Write a store of that format; its commits are of `sizes` records."""
    store.mkdir()
    for ids in commit_ids(sizes):
        put(name, store, ids, source[ids.start : ids.stop])
    (store / "store.json").write_text(json.dumps({"format": name, "version": 2}))
    (store / f"count-{len(source):012d}").touch()
