"""Files made to do harm: nothing in them is executed, and no length that they claim is believed."""

import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import pytest
from xxhash import xxh3_64_intdigest

from .. import STORES, StorageError, Store
from .children import in_child
from .damage import attempt, limit_memory
from .samples import each_store, make
from .trials import Trials

MANY = 10**11
"""Images, of which there cannot be as many in a file of some kilobytes."""
HUGE = 100_000


class Payload:
    """What makes a file named `harm` when it is unpickled."""

    def __init__(self, harm: Path) -> None:
        self._harm = harm

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._harm,)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def assert_refused(store_class: type[Store], path: Path, trials: Trials) -> None:
    """Each use ends with an error of the package, in a process with little memory."""
    uses: list[Callable[[Store], object]] = [
        Store.read_many,
        lambda store: store.read_many([2, 0, 1] * 9),
        lambda store: store.read_single(0),
        lambda store: store.labels,
        Store.verify,
    ]

    def run() -> list[tuple[str, str]]:
        limit_memory()
        return [attempt(path, lambda use=use: opened(use)) for use in uses]  # type: ignore[misc]  # no default in mypy's view

    def opened(use: Callable[[Store], object]) -> tuple[str, str]:
        with store_class(path) as store:
            use(store)
        return "right", ""

    with trials.of("hostile files", store_class.format) as tally:
        for number, (outcome, detail) in enumerate(in_child(run)):
            tally.add(number, outcome, detail)
    assert tally.outcomes["refused"]


@each_store
def test_no_pickle_in_any_file_is_loaded(
    store_class: type[Store], path: Path, tmp_path: Path, trials: Trials
) -> None:
    payload = pickle.dumps(Payload(tmp_path / "harm"))
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


@pytest.mark.parametrize("name", ["png", "hdf5"])
def test_a_name_that_claims_more_images_than_there_can_be(
    name: str, path: Path, trials: Trials
) -> None:
    make(STORES[name], path)
    (last,) = path.glob("000000000003-*")
    last.rename(last.with_name(f"{3:012d}-{MANY:012d}{last.suffix}"))
    assert_refused(STORES[name], path, trials)


@pytest.mark.parametrize("count", [2**31, 2**32 - 1])
@pytest.mark.parametrize("stop", [MANY, 2**63 - 1, 2**64 - 1])
def test_an_lmdb_block_that_claims_more_images_than_there_can_be(
    path: Path, trials: Trials, count: int, stop: int
) -> None:
    """Its checksum fits, wherever it stands: the number of images, or the id of the first."""
    make(STORES["lmdb"], path)
    first = stop - 1
    for n, key in ((count, 3), (1, first)):
        fields = struct.pack("<2Q4I", key, stop, n, 1, 1, 0) + struct.pack("<qQ", 1, 1)
        value = struct.pack("<Q", xxh3_64_intdigest(fields, seed=key)) + fields + b"\0"
        with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
            transaction.put(struct.pack(">Q", key), value)
        assert_refused(STORES["lmdb"], path, trials)


@pytest.mark.parametrize("data_set", ["labels", "images"])
def test_an_hdf5_data_set_that_claims_more_images_than_there_can_be(
    path: Path, trials: Trials, data_set: str
) -> None:
    make(STORES["hdf5"], path)
    (part,) = path.glob("000000000003-*")
    with h5py.File(part, "r+") as file:
        shape, dtype = file[data_set].shape, file[data_set].dtype
        del file[data_set]
        file.create_dataset(data_set, (MANY, *shape[1:]), dtype)  # contiguous, and not written
    assert_refused(STORES["hdf5"], path, trials)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("table_too", [True, False])
def test_a_png_that_claims_a_hundred_thousand_lines_and_columns(
    path: Path, trials: Trials, table_too: bool
) -> None:
    """A few bytes of zeros; its line in the table claims the same, with its checksum, or not."""
    make(STORES["png"], path)
    folder = path / "000000000000-000000000003"
    header = struct.pack(">2I5B", HUGE, HUGE, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2**20))
    png = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (folder / "000000000001.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    if table_too:
        table = folder / "metadata.csv"
        lines = table.read_text().splitlines()
        fields = lines[2].split(",")[:4]
        fields[2] = f"{HUGE}x{HUGE}x3"
        text = ",".join(fields)
        lines[2] = f"{text},{xxh3_64_intdigest(text.encode()):016x}"
        table.write_text("\n".join(lines) + "\n")
    assert_refused(STORES["png"], path, trials)
