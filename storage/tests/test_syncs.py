"""What a durable call changes is on the disk when it returns; another call syncs nothing."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from .. import Store
from .._files import Folder
from .._index import STEP_BYTES
from .histories import COMPACT, some, stream
from .samples import stores_of_each_kind
from .traced import CHANGES, SystemCall, listing, require_strace, traced
from .trials import Trials

pytestmark = stores_of_each_kind

STEPS = [some(1), some(3), some(30), stream(30), COMPACT, *[some(1)] * 16]
"""Few files, and so many that a store of one file each syncs them in another way; all shapes.

In the end small parts become one.
"""
RETURNED = "a call has returned"
"""The name of a folder that is not there, and that a process tries to remove to say so."""
SYNCED = ("fsync", "fdatasync", "syncfs", "sync", "msync")
BEGUN = "sync_file_range"
WRITTEN = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate")
NEED_NOT_LAST = re.compile(r"store\.lock|count-\d+")
"""A lock means nothing once its holder is gone, and the count may lag behind."""


def use(store_class: type[Store], path: Path, durable: bool) -> None:
    with store_class(path, "x", durable=durable) as store:
        say_that_it_has_returned()
        for step in STEPS:
            step.call(store)
            say_that_it_has_returned()


def say_that_it_has_returned() -> None:
    with suppress(FileNotFoundError):
        Path(RETURNED).rmdir()


def calls_of(store_class: type[Store], path: Path, durable: bool) -> list[SystemCall]:
    require_strace()
    names = listing(*CHANGES, BEGUN, "open", "openat")
    return traced(lambda: use(store_class, path, durable), "-e", f"trace={names}").calls


def must_last(path: Path) -> bool:
    return not NEED_NOT_LAST.fullmatch(path.name)


class Disk:
    """What has been changed, by its path, and not yet synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written_through: set[str] = set()  # descriptors whose writes wait for the disk
        self._there: set[Path] = set()
        self.unsynced: set[Path] = set()

    def follow(self, call: SystemCall) -> None:
        """Note what a system call has changed or synced."""
        paths = call.paths
        on = re.match(r"\((\d+)<([^>]*)>", call.text)
        if call.name in ("syncfs", "sync"):
            self.unsynced.clear()
        elif call.name in SYNCED:
            assert on
            self.unsynced.discard(Path(on[2]))
        elif call.name in WRITTEN:
            assert on
            if on[1] not in self._written_through and must_last(Path(on[2])):
                self._change(Path(on[2]))
        elif call.name in ("open", "openat"):
            self._open(call.text, paths[0])
        elif call.name.startswith(("rename", "link", "mkdir", "symlink")):
            if call.name.startswith("rename"):
                assert not self._below(paths[0]), "renamed before it was synced"
                self._there.discard(paths[0])
            self._appear(paths[-1])
        elif call.name.startswith(("unlink", "rmdir")):
            self.unsynced -= self._below(paths[0])
            self._there.discard(paths[0])

    def _open(self, text: str, path: Path) -> None:
        if descriptor := re.search(r" = (\d+)<", text):
            self._written_through.discard(descriptor[1])
            if "SYNC" in text:
                self._written_through.add(descriptor[1])
        if "O_CREAT" in text and path not in self._there:
            self._appear(path)

    def _appear(self, path: Path) -> None:
        self._there.add(path)
        if must_last(path):
            self._change(path.parent)

    def _change(self, path: Path) -> None:
        if path.is_relative_to(self._folder):
            self.unsynced.add(path)

    def _below(self, path: Path) -> set[Path]:
        return {one for one in self.unsynced if one.is_relative_to(path)}


def test_a_durable_call_syncs_every_file_and_folder_that_it_changes(
    store_class: type[Store], tmp_path: Path, trials: Trials
) -> None:
    disk = Disk(tmp_path)
    returned = changed = 0
    for call in calls_of(store_class, tmp_path / "folder" / "store", durable=True):
        if RETURNED in call.text:
            assert not disk.unsynced
            returned += 1
        else:
            before = len(disk.unsynced)
            disk.follow(call)
            changed += len(disk.unsynced) > before
    assert returned == len(STEPS) + 1
    assert changed > returned
    trials.count("durable: changes synced", store_class.format, "right", changed)


def test_another_call_syncs_nothing(
    store_class: type[Store], tmp_path: Path, trials: Trials
) -> None:
    calls = calls_of(store_class, tmp_path / "folder" / "store", durable=False)
    assert calls
    assert not [call for call in calls if call.name in (*SYNCED, BEGUN)]
    trials.count("not durable: never synced", store_class.format, "right", len(calls))


@pytest.mark.parametrize("durable", [True, False])
def test_a_large_durable_call_begins_to_sync_before_its_end(
    store_class: type[Store], tmp_path: Path, durable: bool
) -> None:
    """The disk works while the next images are made; else all of it is left to the end."""
    images = np.random.default_rng(0).integers(0, 256, (5000, 32, 32, 3), np.uint8)

    def store() -> None:
        with store_class(tmp_path / "store", "x", durable=durable) as made:
            made.store_many(images, range(5000))
            say_that_it_has_returned()
            for i in range(3):
                made.store_many(images[i : i + 1], [i])

    require_strace()
    names = listing(*CHANGES, BEGUN)
    calls = traced(store, "-e", f"trace={names}").calls
    returned = next(i for i, call in enumerate(calls) if RETURNED in call.text)
    begun = [i for i, call in enumerate(calls) if call.name == BEGUN]
    if not (durable and (file := store_class.container.file)):
        assert not begun
        return
    assert 2 <= len(begun) <= images.nbytes // STEP_BYTES
    assert begun[-1] < returned
    for i in begun:
        assert f"/{file}>" in calls[i].text
        assert calls[i].text.endswith(" = 0")
    synced = [i for i, call in enumerate(calls) if call.name == "fsync" and file in call.text]
    assert begun[0] < synced[0] < returned


def test_images_of_many_shapes_do_not_disturb_the_disk(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a slab of its own, and far too small to be worth a word."""
    begun = list[str]()
    monkeypatch.setattr(Folder, "begin_sync", lambda _folder, name: begun.append(name))
    images = [np.zeros((1 + i % 2, 8), np.uint8) for i in range(200)]
    with store_class(path, "x", durable=True) as store:
        store.store_many(images, range(200))
    assert not begun
