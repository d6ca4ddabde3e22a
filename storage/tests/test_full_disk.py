"""A disk without room for more bytes, or for more files: an error, and all commits as they were."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import DiskFullError, Store
from .._files import TEMPORARY
from . import raw
from .children import in_child
from .disks import fill, remove, small_disk, use_up_files
from .histories import History, Seen, go_on, names, run_in_child, some
from .model import append, is_right
from .samples import assert_records, make, pictures, stores_of_each_kind, tree
from .trials import Trials

pytestmark = stores_of_each_kind

BLOCK = 4096
"""What a file takes at least."""
FILES = 80
HELD = {"few": [some(3)], "as many as become one by one more": [some(1)] * 15}
SIZES = [1, 20]
"""The calls that made a store, and how many images each call adds as the disk fills."""
PER = 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "size=1m") as mounted:
        yield mounted


def test_a_call_that_fills_the_disk_stores_nothing(store_class: type[Store], disk: Path) -> None:
    path = disk / "store"

    def overfill() -> None:
        images, labels = make(store_class, path)
        with store_class(path, "a") as store:
            before = tree(path)
            for shape, n in (((64, 64, 3), 150), ((600, 900, 4), 5)):
                with pytest.raises(DiskFullError, match="disk full"):
                    store.store_many(pictures(n, shape), range(n))
                assert tree(path) == before
                assert_records(store.read_many(), images, labels)
            assert store.store_single(images[0], 5) == 6
            store.verify()
        with store_class(path) as store:
            assert_records(store.read_many(), [*images, images[0]], [*labels, 5])

    in_child(overfill)  # a full disk has been seen to kill a process: of its own


def test_a_large_first_image_leaves_room_for_small_ones(
    store_class: type[Store], disk: Path
) -> None:
    """All as large as the first would need nine times the disk."""
    images = [*pictures(1, (300, 300)), *pictures(99, (1, 1))]
    with store_class(disk / "store", "x") as store:
        store.store_many(images, range(100))
        assert_records(store.read_many(), images, range(100))


def test_a_full_disk_can_be_read_and_no_store_created_on_it(
    store_class: type[Store], disk: Path
) -> None:
    path = disk / "store"

    def use_full_disk() -> None:
        images, labels = make(store_class, path)
        ballast = fill(disk)
        with store_class(path) as store:
            assert_records(store.read_many(), images, labels)
            store.verify()
        with pytest.raises(DiskFullError, match="another: disk full"):
            store_class(disk / "another", "x")
        assert not (disk / "another").exists()
        ballast.unlink()
        store_class(disk / "another", "x").close()

    in_child(use_full_disk)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("bound", ["bytes", "files"])
def test_a_disk_with_room_for_a_part_of_a_call_has_no_room(
    store_class: type[Store], tmp_path: Path, trials: Trials, bound: str, held: str
) -> None:
    """There is no room at all, or up to enough; what fails leaves nothing behind, and works later."""
    options = "size=1m" if bound == "bytes" else f"size=16m,nr_inodes={FILES}"
    with (
        small_disk(tmp_path / "disk", options) as disk,
        trials.of(f"no {bound} left", store_class.format) as tally,
    ):
        for i, free in trials.chosen(range(48), PER):
            path = disk / "store"
            assert run_in_child(History(store_class, path, "x", HELD[held]).run) == 0
            ballast = fill(disk, free * BLOCK) if bound == "bytes" else use_up_files(disk, free)
            length, seen = store_what_fits(store_class, path)
            remove(ballast)
            after = go_on(History(store_class, path, "a", [], length))
            worse = after if after.outcome != "right" else seen
            tally.add(i, worse.outcome, f"{free} {bound} free: {worse.detail}")
            for entry in disk.iterdir():
                remove(entry)
    assert tally.outcomes["refused"]


def store_what_fits(store_class: type[Store], path: Path) -> tuple[int, Seen]:
    """Offer two calls to a store, and create another; how many images it should have then.

    Where there is room for a call, but not to join the small parts, it has returned.
    """
    held = sum(len(ids) for ids in raw.places(path))

    def task() -> tuple[int, Seen]:
        before, length, outcome = names(path), held, "right"
        for n in SIZES:
            try:
                with store_class(path, "a") as store:
                    append(store, n)
                before, length = names(path), length + n
                if any(TEMPORARY in name for name in before):
                    return length, Seen("missed", f"left behind: {before}")
            except DiskFullError:
                outcome = "refused"
                if names(path) != before:
                    return length, Seen("missed", f"left behind: {names(path)}")
        try:
            store_class(path.with_name("another"), "x").close()
        except DiskFullError:
            outcome = "refused"
            if path.with_name("another").exists():
                return length, Seen("missed", "left behind: a store that was not created")
        with store_class(path) as store:
            right = len(store) == length and is_right(store)
        return length, Seen(outcome if right else "wrong", "")

    try:
        return in_child(task)
    except ChildProcessError as error:
        return held, Seen("died", str(error))


USE = """
import sys
import numpy as np
from storage import STORES, DiskFullError
name, path = sys.argv[1:]
try:
    with STORES[name](path, "a") as store:
        store.store_many(np.zeros((100, 64, 64, 3), np.uint8), range(100))
        noise = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)
        store.store_many(noise, range(100))
except DiskFullError:
    print("full")
"""


def test_a_process_that_met_a_full_disk_exits_as_any_other(
    store_class: type[Store], tmp_path: Path
) -> None:
    """A library may crash on the way out, when it flushes what it could not write."""
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        store_class(disk / "store", "x").close()
        command = [sys.executable, "-c", USE, store_class.format, str(disk / "store")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "full\n", "")
