"""Files made to do harm: nothing in them is executed, and no length that they claim is believed."""

import io
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from .. import STORES, StorageError, Store
from .._session import Mode
from . import raw
from .children import in_child
from .damage import MANY, attempt, limit_memory
from .samples import each_store, make, mixed_pictures, pictures
from .trials import Trials

HUGE = 100_000
"""Lines and columns of an image that does not fit in the memory there is."""


class HarmfulPickle:
    """What makes a file named `harm` when it is unpickled."""

    def __init__(self, harm: Path) -> None:
        self._harm = harm

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._harm,)


def assert_refused(store_class: type[Store], path: Path, trials: Trials) -> None:
    """No use ends but right or with an error of the package, and one with that."""
    assert "refused" in harmless_uses(store_class, path, trials)


def harmless_uses(store_class: type[Store], path: Path, trials: Trials) -> set[str]:
    """What came of every use, in a process with little memory: right, or an error of the package."""
    uses: list[Callable[[Store], object]] = [
        Store.read_many,
        lambda store: store.read_many([2, 0, 1] * 9),
        lambda store: store.read_single(0),
        lambda store: store.labels,
        Store.verify,
    ]

    def run() -> list[tuple[str, str]]:
        limit_memory()
        tried = [attempt(path, lambda use=use: opened(use, "r")) for use in uses]  # type: ignore[misc]  # no default in mypy's view
        return [*tried, attempt(path, lambda: opened(Store.compact, "a"))]

    def opened(use: Callable[[Store], object], mode: Mode) -> tuple[str, str]:
        with store_class(path, mode, durable=False) as store:
            use(store)
        return "right", ""

    with trials.of("hostile files", store_class.format) as tally:
        for number, (outcome, detail) in enumerate(in_child(run)):
            tally.add(number, outcome, detail)
    return {*tally.outcomes}


@each_store
def test_no_pickle_in_any_file_is_loaded(
    store_class: type[Store], path: Path, tmp_path: Path, trials: Trials
) -> None:
    payload = pickle.dumps(HarmfulPickle(tmp_path / "harm"))
    make(store_class, path)
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "store.lock"]
    for file in files:
        whole = file.read_bytes()
        for data in (payload, payload + whole[len(payload) :]):
            file.write_bytes(data)

            def use() -> None:
                try:
                    with store_class(path) as store:
                        store.read_many()
                        store.verify()
                except StorageError:
                    pass

            in_child(use)
            trials.count("hostile files", store_class.format, "right")
        file.write_bytes(whole)
    assert not (tmp_path / "harm").exists()
    pickle.loads(payload)
    assert (tmp_path / "harm").exists()  # it would have worked


# ---- names, indexes and headings that claim more than there can be -----------------------------


@each_store
@pytest.mark.parametrize("claims", ["name", "name and index"])
def test_what_claims_more_images_than_there_can_be(
    store_class: type[Store], path: Path, trials: Trials, claims: str
) -> None:
    make(store_class, path)
    last = raw.folder_of(path, range(3, 6))
    if "index" in claims:
        size = raw.read_index(last).trailer.cell_bytes // 3
        raw.forge(last, length=MANY - 3, cell_bytes=(MANY - 3) * size)
    last.rename(raw.folder_of(path, range(3, MANY)))
    assert_refused(store_class, path, trials)


CLAIMS = {
    "bytes of all cells": {"cell_bytes": MANY},
    "a longer table": {"table_at": -MANY},
    "blocks": {"blocks": MANY},
    "trusted ranges": {"trusted": MANY},
    "as many blocks as ranges are less": {"blocks": MANY, "trusted": -MANY},
    "shape": {"height": HUGE, "width": HUGE},
    "shape and bytes": {
        "height": HUGE,
        "width": HUGE,
        "channels": 3,
        "cell_bytes": 9 * HUGE**2,
    },
    "shape of no bytes": {"height": -1, "width": -1},
    "five channels": {"channels": 5},
}


@each_store
@pytest.mark.parametrize("claim", CLAIMS)
def test_an_index_that_claims_more_than_there_can_be(
    store_class: type[Store], path: Path, trials: Trials, claim: str
) -> None:
    """Its digests fit. What a store does not use it need not refuse."""
    make(store_class, path)
    raw.forge(raw.folder_of(path, range(3)), **CLAIMS[claim])
    harmless_uses(store_class, path, trials)


BLOCKS: dict[str, list[tuple[int, int]]] = {
    "none": [],
    "only the last image": [(2, 4096)],
    "the first far below": [(-(10**9), 4096)],
    "the last far beyond": [(0, 4096), (10**9, 4096)],
    "not in order": [(0, 4096), (2, 4096), (1, 4096)],
    "twice": [(0, 4096), (1, 4096), (1, 4096)],
    "before the file": [(0, -4096)],
    "behind the file": [(0, 10**9)],
    "as far as there are numbers": [(0, 2**63 - 1)],
}


@pytest.mark.parametrize("name", ["lmdb", "lmdb-png", "lmdb-encoded", "hdf5", "npy"])
@pytest.mark.parametrize("claim", BLOCKS)
def test_blocks_that_do_not_hold_every_image(
    name: str, path: Path, trials: Trials, claim: str
) -> None:
    """Ids before the first block must not be looked for in another part's memory."""
    make(STORES[name], path)
    part = raw.folder_of(path, range(3))
    index, blocks = raw.read_index(part), BLOCKS[claim]
    trusted = index.pairs[index.trailer.blocks :].tolist()
    pairs = np.array([*blocks, *trusted], np.int64).reshape(-1, 2)
    trailer = index.trailer._replace(blocks=len(blocks))
    raw.write_index(part, raw.refit(part, index._replace(pairs=pairs, trailer=trailer)))
    assert_refused(STORES[name], path, trials)


RECORDS = {
    "sides": {"height": HUGE, "width": HUGE, "channels": 3},
    "sides and bytes": {"height": HUGE, "width": HUGE, "channels": 3, "size": HUGE**2},
    "bytes": {"size": 2**62},
    "negative bytes": {"size": -1},
    "a place beyond": {"offset": 2**62},
    "a place before": {"offset": -MANY},
    "negative sides": {"height": -1, "width": -1},
}


@each_store
@pytest.mark.parametrize("beyond", [False, True], ids=["within", "beyond"])
@pytest.mark.parametrize("claim", RECORDS)
def test_a_record_that_claims_more_than_there_can_be(
    store_class: type[Store], path: Path, trials: Trials, claim: str, beyond: bool
) -> None:
    """Its index has digests that fit, and says that there are as many bytes in all, or not.

    What a store does not use it need not refuse, as a file's place in a row of all.
    """
    with store_class(path, "x", durable=False) as store:
        store.store_many(mixed_pictures()[:3], range(3))
        store.store_many(mixed_pictures()[:3], range(3))  # so that there is something to compact
    part = raw.folder_of(path, range(3))
    index = raw.read_index(part)
    for column, value in RECORDS[claim].items():
        index.table[column][0] = value
    if beyond:
        index = index._replace(trailer=index.trailer._replace(cell_bytes=2**63 - 1))
    raw.write_index(part, raw.refit(part, index))
    harmless_uses(store_class, path, trials)


@pytest.mark.parametrize("name", ["hdf5", "npy"])
def test_a_heading_that_claims_more_images_than_there_can_be(
    name: str, path: Path, trials: Trials
) -> None:
    make(STORES[name], path)
    part = raw.folder_of(path, range(3, 6))
    if name == "npy":
        file = part / "images.npy"
        heading = io.BytesIO()
        shape = (MANY, 5, 4, 3)
        np.lib.format.write_array_header_1_0(
            heading, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        file.write_bytes(heading.getvalue() + file.read_bytes()[len(heading.getvalue()) :])
    else:
        with h5py.File(part / "images.h5", "r+") as made:
            shape, dtype = made["images"].shape, made["images"].dtype
            del made["images"]
            made.create_dataset("images", (MANY, *shape[1:]), dtype)  # contiguous, not written
    assert_refused(STORES[name], path, trials)


# ---- PNGs --------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(height: int, width: int, pixels: bytes) -> bytes:
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("index_too", [True, False])
def test_a_png_that_claims_a_hundred_thousand_lines_and_columns(
    path: Path, trials: Trials, index_too: bool
) -> None:
    """A few bytes of zeros; the index claims the same, with digests that fit, or not."""
    make(STORES["png"], path)
    part = raw.folder_of(path, range(3))
    png = png_of(HUGE, HUGE, bytes(2**20))
    (part / "000000000001.png").write_bytes(png)
    if index_too:
        index = raw.read_index(part)
        index.table["size"][:] = HUGE**2
        index.table["offset"][:] = np.arange(3) * HUGE**2
        index.table["height"][:] = index.table["width"][:] = HUGE
        trailer = index.trailer._replace(cell_bytes=3 * HUGE**2)
        raw.write_index(part, raw.refit(part, index._replace(trailer=trailer)))
    assert_refused(STORES["png"], path, trials)


@pytest.mark.parametrize("name", ["png", "lmdb-png", "hdf5-png"])
def test_a_png_that_expands_to_more_than_its_image_is_cut_off_or_refused(
    name: str, path: Path, trials: Trials
) -> None:
    """To 48 MiB, of which a few bytes are the image, in a file that is not too long for one."""
    make(STORES[name], path)
    png = png_of(5, 4, bytes(48 * 2**20))
    assert len(png) < 2**16
    records = raw.records([*pictures(3)], [1, 2, 3])
    raw.put(name, path, range(3), records, cells_of={1: png})
    assert_refused(STORES[name], path, trials)
