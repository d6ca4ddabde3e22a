"""Files that are mapped into memory: what is read from there, and that no map is left behind."""

import mmap
import os
import sys
from itertools import count
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from .. import STORES, CorruptRecordError, CorruptStoreError, EncodedStore, NpyStore, Store
from .._files import Folder, Map
from .._gather import MappedCells
from .children import in_child
from .samples import Image, assert_records, make, mixed_pictures, pictures


@pytest.mark.parametrize("name", ["hdf5", "lmdb", "npy"])
@pytest.mark.parametrize("file", ["cells", "index"])
def test_a_file_that_was_cut_after_its_part_was_opened(name: str, file: str, path: Path) -> None:
    """It is refused before it is mapped: a page that is not there would end the process."""
    kind = STORES[name]
    make(kind, path, 3000, (16, 16, 3))

    def read() -> None:
        with kind(path) as store:
            _ = store[0]
            for part in path.glob("0*-0*"):
                os.truncate(part / (kind.container.file if file == "cells" else "index.npy"), 4096)
            for _ in range(2):
                with pytest.raises(CorruptStoreError, match="has become shorter"):
                    store.read_many([1000, 30, 700])

    in_child(read)


def mapped_parts(store: Store) -> int:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[-1] for line in lines if str(store.path) in line})


def mapped_cells(store: Store, ids: list[int]) -> MappedCells | None:
    """Cells with sizes of their own, if they are found in memory."""
    catalog = store._ready()
    gather = catalog.gather(catalog.listing, owners := catalog.listing.owners(np.array(ids)))
    assert gather
    return gather.cells(np.array(ids), owners)


@pytest.mark.parametrize("odd", [0, 5, 9])
def test_one_part_of_another_shape_leaves_the_others_mapped(odd: int, path: Path) -> None:
    """Batches with images of both shapes are read by part; those before and after are gathered."""
    images, shapes = [], [(32, 32, 3)] * 10
    shapes[odd] = (48, 16, 3)
    with NpyStore(path, "x", durable=False) as store:
        for i, shape in enumerate(shapes):
            images += [*pictures(300, shape, seed=i)]
            store.store_many(images[-300:], [i] * 300)
    with NpyStore(path) as store:

        def check(ids: list[int]) -> bool:
            """Whether the batch was gathered."""
            found = store.read_many(ids)
            assert_records(found, [images[i] for i in ids], np.array(ids) // 300)
            catalog = store._catalog
            assert catalog
            gather = catalog.gather(
                catalog.listing, owners := catalog.listing.owners(np.array(ids))
            )
            return bool(gather and gather.shape_of(owners))

        first, others = odd * 300, [i * 300 for i in range(10) if i != odd]
        assert check([first + 7, first + 2])
        assert not check([first, *others])
        assert check(others[::-1])
        assert check([first + 9, first + 1])
        assert mapped_parts(store) >= 10


def sized_cells(shape: tuple[int, ...]) -> list[Image]:
    """Images of many shapes, and some of one."""
    return [*mixed_pictures(), *pictures(4, shape)]


@pytest.mark.usefixtures("unfolded")
@pytest.mark.parametrize("name", ["hdf5-encoded", "lmdb-encoded", "hdf5-png", "lmdb-png", "npy"])
@pytest.mark.parametrize("most", [0, 2**26])
def test_cells_of_many_sizes_are_read_without_their_parts(
    name: str, most: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once their parts are mapped; large ones are asked of the disk together, up to a limit."""
    asked = list[int]()
    libc = SimpleNamespace(madvise=lambda start, size, _: asked.append(start % mmap.PAGESIZE))
    monkeypatch.setattr("storage._gather.PREFETCH_BYTES", most)
    monkeypatch.setattr("storage._gather.libc", libc)
    images = sized_cells((60, 50, 3)) * 5
    n, each = len(images), len(images) // 5
    with STORES[name](path, "x", durable=False) as store:
        for start in range(0, n, each):
            store.store_many(images[start : start + each], range(start, start + each))
    orders = [np.random.default_rng(i).integers(0, n, 200) for i in range(3)]
    alike = [i for i in range(n) if images[i].shape == (60, 50, 3)][::-1]
    with STORES[name](path) as store:
        store.read_many(range(n)[::-1])
        assert store._catalog
        monkeypatch.delattr(store._catalog.__class__, "part")
        for ids in (*orders, np.array(alike)):
            assert_records(store.read_many(ids), [images[i] for i in ids], ids)
            if isinstance(store, EncodedStore):
                files = store.read_files(ids)
                assert [file.label for file in files] == ids.tolist()
                assert [file.shape for file in files] == [images[i].shape for i in ids]
    assert {*asked} == ({0} if most else set())  # from where a page begins


@pytest.mark.parametrize("name", ["hdf5-encoded", "lmdb-png"])
def test_cells_that_ctypes_cannot_count_are_read_from_their_file(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of 2 GiB and more, here of 100 bytes."""
    monkeypatch.setattr("storage._gather.MOST_BYTES", 99)
    images = sized_cells((60, 50, 3))
    with STORES[name](path, "x", durable=False) as store:
        store.store_many(images, range(len(images)))
    with STORES[name](path) as store:
        ids = [9, 3, 8]
        assert_records(store.read_many(ids), [images[i] for i in ids], ids)
        assert mapped_cells(store, ids) is None
        assert mapped_cells(store, [2, 0, 1])


@pytest.mark.parametrize("name", ["lmdb-encoded", "lmdb-png"])
def test_no_memory_behind_a_file_is_read(name: str, path: Path) -> None:
    """A forged offset of its last block's first cell moves the others of the block behind the end."""
    with STORES[name](path, "x", durable=False) as store:
        store.store_many(pictures(60, (50, 50, 3)), range(60))
    with STORES[name](path) as store:
        catalog = store._ready()
        last_block = catalog.index(catalog.listing.names[0]).blocks[-1, 0]
    (index,) = path.glob("*/index.npy")
    table = np.load(index, mmap_mode="r+")
    assert 0 < last_block < 59
    table["offset"][last_block] = 0
    table.flush()
    with STORES[name](path) as store:
        assert mapped_cells(store, [3, 7, 1])
        assert mapped_cells(store, [59, 3, 7]) is None
        with pytest.raises(CorruptStoreError, match="outside the cells"):
            store.read_many([59, 3, 7])


@pytest.mark.parametrize("name", ["hdf5-encoded", "lmdb-png"])
def test_a_batch_keeps_its_maps(name: str, path: Path) -> None:
    """Another thread may have made the store forget them, since it has compacted it."""
    make(STORES[name], path, 8)

    def read() -> bool:
        with STORES[name](path) as store:
            assert store._catalog
            cells = mapped_cells(store, [5, 2, 7])
            assert cells
            before = cells.read(slice(3))
            store._catalog._gather = None, None
            return before == cells.read(slice(3)) == [cells.cell(i) for i in range(3)]

    assert in_child(read)


@pytest.mark.parametrize("name", ["hdf5-encoded", "lmdb-encoded", "hdf5-png", "lmdb-png"])
@pytest.mark.parametrize("column", ["label", "checksum", "height", "offset", "size"])
def test_a_record_that_changed_is_named_in_a_batch(name: str, column: str, path: Path) -> None:
    """Whichever of its fields has changed; the others are read as they were."""
    images = sized_cells((9, 8, 3))
    with STORES[name](path, "x", durable=False) as store:
        store.store_many(images, range(len(images)))
    (index,) = path.glob("*/index.npy")
    table = np.load(index, mmap_mode="r+")
    table[column][5] = table[column][5] // 2 - 1
    table.flush()
    with STORES[name](path) as store:
        for read in (store.read_many, getattr(store, "read_bytes", store.read_many)):
            for _ in range(2):
                with pytest.raises(CorruptRecordError, match="image 5 is damaged"):
                    read([3, 5, 2])
        assert_records(store.read_many([3, 6, 2]), [images[i] for i in (3, 6, 2)], [3, 6, 2])


def test_no_map_is_left_by_an_interruption(tmp_path: Path) -> None:
    """Between any two instructions of the code that makes it."""
    file, made = tmp_path / "file", Map.__init__.__code__
    file.write_bytes(bytes(10_000))
    before, opened = len(Map._addresses), Folder(str(tmp_path)).open("file")
    for instant in count():
        left = [instant]

        def trace(frame: FrameType, event: str, _: Any, left: list[int] = left) -> Any:
            if frame.f_code is not made:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
            return trace

        earlier = sys.gettrace()
        sys.settrace(trace)
        try:
            Map(opened)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(earlier)
        assert str(file) not in Path("/proc/self/maps").read_text(), instant
        assert len(Map._addresses) == before
        if left[0] >= 0:
            break
    assert instant > 50
