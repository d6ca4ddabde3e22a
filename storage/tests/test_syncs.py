"""What a durable call changes is on the disk when it returns; another call syncs nothing."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from .. import Store, open_store
from .._files import Folder
from .histories import COMPACT, some, stream
from .samples import stores_of_each_kind
from .traced import CHANGES, SystemCall, listing, require_strace, traced
from .trials import Trials

pytestmark = stores_of_each_kind

STEPS = [some(1), some(3), some(30), stream(30), COMPACT, *[some(1)] * 16]
"""Few files, and so many that a store of one file each syncs them in another way; all shapes.

In the end small parts become one.
"""
IMAGE = np.arange(32 * 32 * 3, dtype=np.uint16).astype(np.uint8).reshape(32, 32, 3)
RETURNED = "a call has returned"
"""The name of a folder that is not there, and that a process tries to remove to say so."""
SYNCED = ("fsync", "fdatasync", "syncfs", "sync", "msync")
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
    names = listing(*CHANGES, "open", "openat")
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
    assert not [call for call in calls if call.name in SYNCED]
    trials.count("not durable: never synced", store_class.format, "right", len(calls))


@pytest.mark.parametrize("durable", [True, False])
def test_a_large_durable_call_begins_to_sync_before_its_end(
    store_class: type[Store], path: Path, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk works while the next images are made; else all of it is left to the end."""
    monkeypatch.setattr("storage._batch.SLAB_BYTES", 4 * IMAGE.nbytes)
    begun = list[int]()

    real = Folder.begin_sync

    def note(folder: Folder, name: str) -> None:
        real(folder, name)
        begun.append(folder.open(name).size)

    monkeypatch.setattr(Folder, "begin_sync", note)
    with store_class(path, "x", durable=durable) as store:
        store.store_many(np.stack([IMAGE] * 4), range(4))
        assert not begun
        store.store_many(np.stack([IMAGE] * 20), range(20))
    has_one_file = bool(store_class.container.file)
    assert len(begun) == (4 if durable and has_one_file else 0)
    assert begun == sorted(begun)
    with open_store(path) as store:
        store.verify()
