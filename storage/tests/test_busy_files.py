"""A part's file that another program has open is not corrupt: the store is read, or says who is busy."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest

from .. import STORES, BusyError, CorruptStoreError, Store, open_store
from .children import fork, in_child
from .samples import assert_records, labels_for, make, pictures

IMAGE = pictures(1)[0]


def stores_of(container: str) -> pytest.MarkDecorator:
    """The stores that keep their images in that container."""
    names = [name for name in STORES if container in name]
    return pytest.mark.parametrize("store_class", [STORES[name] for name in names], ids=names)


@pytest.fixture
def path(store_class: type[Store], tmp_path: Path) -> Path:
    make(store_class, tmp_path / "store")
    return tmp_path / "store"


def files_of(path: Path, name: str) -> list[Path]:
    found = sorted(path.rglob(name))
    assert found
    return found


@contextmanager
def held_elsewhere(take: Callable[[], object], killed: bool = False) -> Iterator[None]:
    """Another process holds what `take` returns, and at the end closes it, or is killed before."""
    ready, taken = os.pipe()
    go, end = os.pipe()

    def hold() -> None:
        os.close(end)
        held = take()
        os.write(taken, b"t")
        os.read(go, 1)
        held.close()  # type: ignore[attr-defined]  # of whatever library

    pid = fork(hold)
    os.close(taken)
    assert os.read(ready, 1) == b"t"
    try:
        yield
    finally:
        if killed:
            os.kill(pid, signal.SIGKILL)
        os.close(end)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (
            -signal.SIGKILL if killed else 0
        )
        os.close(ready)
        os.close(go)


def tells_who(error: BusyError, path: Path) -> bool:
    return str(path) in str(error) and bool(re.search("open|process|program", str(error)))


def read_or_busy(path: Path, opened: Store | None = None) -> bool:
    """Whether the store can be read, by a new reader or `opened`; if not, the error says who is busy."""
    try:
        with nullcontext(opened) if opened else open_store(path) as store:
            assert_records(store.read_many(), pictures(6), labels_for(6))
            assert_records(store.read_many([4]), pictures(6)[[4]], labels_for(6)[[4]])
            np.testing.assert_array_equal(store.labels, labels_for(6))
            store.verify()
            return True
    except BusyError as error:
        if not tells_who(error, path):
            raise
        return False


def assert_written_or_busy(path: Path, held: AbstractContextManager[object]) -> None:
    """The same of a writer beside `held`; a commit that is refused is not there at all."""
    stored = 0
    with held:
        try:
            with open_store(path, "a") as store:
                store.store_single(IMAGE, 5)
                stored = 1
                store.compact()
        except BusyError as error:
            if not tells_who(error, path):
                raise

    def look() -> None:  # in a process that has nothing else open
        with open_store(path) as store:
            assert_records(
                store.read_many(),
                [*pictures(6), *[IMAGE] * stored],
                [*labels_for(6), *[5] * stored],
            )

    in_child(look)


# ---- HDF5 ----------------------------------------------------------------------------------------


@stores_of("hdf5")
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_file_is_open_in_h5py_in_the_same_process(
    store_class: type[Store], path: Path, mode: str
) -> None:
    with open_store(path) as cold, open_store(path) as warm:
        warm.read_many()
        for file in files_of(path, "*.h5"):
            with h5py.File(file, mode):
                read_or_busy(path)
                read_or_busy(path, warm)
                read_or_busy(path, cold)
    assert read_or_busy(path)


@stores_of("hdf5")
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_file_is_open_in_h5py_in_another_process(
    store_class: type[Store], path: Path, mode: str
) -> None:
    for file in files_of(path, "*.h5"):
        with held_elsewhere(partial(h5py.File, file, mode)):
            read_or_busy(path)
        assert read_or_busy(path)


@stores_of("hdf5")
@pytest.mark.parametrize("options", [{}, {"libver": "latest"}], ids=["as usual", "latest"])
def test_a_file_was_open_in_a_process_that_was_killed(
    store_class: type[Store], path: Path, options: dict[str, str]
) -> None:
    """It has changed nothing of what the store keeps there."""
    for file in files_of(path, "*.h5"):
        with held_elsewhere(partial(h5py.File, file, "r+", **options), killed=True):
            pass
    read_or_busy(path)


@stores_of("hdf5")
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_writer_beside_h5py(store_class: type[Store], path: Path, mode: str) -> None:
    assert_written_or_busy(path, h5py.File(files_of(path, "*.h5")[-1], mode))


@stores_of("hdf5")
def test_verify_goes_on_beyond_a_file_that_is_open_for_writing(
    store_class: type[Store], path: Path
) -> None:
    busy, damaged = files_of(path, "*.h5")
    damaged.write_bytes(damaged.read_bytes()[:-50] + bytes(50))
    with (
        h5py.File(busy, "r+"),
        open_store(path) as store,
        pytest.raises(CorruptStoreError) as caught,
    ):
        store.verify()
    told, *others = caught.value.problems  # it stands first, since its part does
    assert told.startswith(f"{busy}: a program has it open for writing")
    assert others
    assert all(damaged.parent.name in each and "damaged" in each for each in others)


# ---- LMDB ----------------------------------------------------------------------------------------


def environment(file: Path) -> lmdb.Environment:
    return lmdb.open(str(file.parent), readonly=True, lock=False)


@stores_of("lmdb")
def test_a_file_is_open_in_lmdb_in_the_same_process(store_class: type[Store], path: Path) -> None:
    for file in files_of(path, "data.mdb"):
        with environment(file) as other, other.begin() as transaction:
            read_or_busy(path)
            assert transaction.stat()["entries"]  # it is still open
    assert read_or_busy(path)


@stores_of("lmdb")
def test_a_file_can_be_opened_in_lmdb_once_a_store_is_closed(
    store_class: type[Store], path: Path
) -> None:
    with open_store(path) as store:
        store.read_many()
    for file in files_of(path, "data.mdb"):
        with environment(file) as other:
            assert other.stat()["entries"]


@stores_of("lmdb")
@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_file_is_open_in_lmdb_in_another_process(
    store_class: type[Store], path: Path, killed: bool
) -> None:
    for file in files_of(path, "data.mdb"):
        with held_elsewhere(partial(environment, file), killed):
            assert read_or_busy(path)
        assert read_or_busy(path)


@stores_of("lmdb")
def test_a_writer_beside_lmdb(store_class: type[Store], path: Path) -> None:
    assert_written_or_busy(path, environment(files_of(path, "data.mdb")[-1]))
