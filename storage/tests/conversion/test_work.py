"""The hidden folder of a conversion: who has it, when it is kept, and when it goes."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ... import BusyError, DiskFullError, StorageError, StoreExistsError, StoreIOError, convert
from ...conversion import work
from ...conversion.work import WorkFolder
from .photos import plant_photos, tree_of

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return plant_photos(tmp_path / "photos", 60)


def after_rename(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path, Path], None]) -> None:
    """Call `act` after each `Path.rename`."""
    real = Path.rename

    def rename(self: Path, to: Path) -> Path:
        found = real(self, to)
        act(self, to)
        return found

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "mount point"])
@pytest.mark.parametrize("target", ["hdf5-encoded", "folder"])
def test_what_cannot_be_renamed_over_is_refused_at_the_start(
    kind: str, target: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dst, empty = tmp_path / "store", tmp_path / "empty"
    empty.mkdir()
    if kind == "mount point":
        dst.mkdir()
        monkeypatch.setattr(Path, "is_mount", lambda self: self == dst)
    else:
        dst.symlink_to(empty if kind == "link" else tmp_path / "nowhere")

    def progress(_: range) -> Any:
        raise AssertionError("it has begun")

    with pytest.raises(StoreExistsError, match="a symbolic link or a mount point; choose"):
        convert(whole, dst, target, progress=progress)
    assert sorted(os.listdir(tmp_path)) == ["empty", "photos", "store"]


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "gone"), KeyboardInterrupt()])
def test_the_same_call_goes_on_after_the_last_rename(
    error: BaseException, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's answer was lost, or Ctrl-C came before the end."""
    dst = tmp_path / "store"

    def fail(path: Path, _: Path) -> None:
        if path.name == "new":
            raise error

    with monkeypatch.context() as patch:
        after_rename(patch, fail)
        with pytest.raises((StorageError, KeyboardInterrupt)) as caught:
            convert(whole, dst)
    assert "is kept" in caught.value.__notes__[0]
    before = tree_of(dst)
    assert convert(whole, dst).images == 60
    assert tree_of(dst) == before
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


def test_the_plan_is_removed_first(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill at any instant of the cleaning leaves a folder that does not count."""
    left = list[bool]()

    def remove(path: Path) -> None:
        left.append((path / "plan").exists())

    with monkeypatch.context() as patch:
        patch.setattr(work, "_rmtree", remove)
        convert(whole, tmp_path / "store")
    assert left == [False]
    with pytest.raises(StoreExistsError):
        convert(whole, tmp_path / "store")
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


@pytest.mark.parametrize("lost", ["receipts", "attempts", "new"])
def test_a_folder_that_is_gone_counts_as_empty(
    lost: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, _: Path) -> None:
        if path.parent.name == "attempts":
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        after_rename(patch, fail)
        with pytest.raises(DiskFullError, match="disk full") as caught:
            convert(whole, tmp_path / "store")
    assert "is kept" in caught.value.__notes__[0]  # the coordinator's own error is translated, too
    shutil.rmtree(tmp_path / ".tmp-store" / lost)
    convert(whole, tmp_path / "store")
    convert(whole, tmp_path / "alone")
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")


def test_a_lock_on_a_folder_that_was_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another conversion ends between the opening of its folder and the locking."""
    path, calls, real = tmp_path / ".tmp-store", list[int](), work._lock

    def lock(*given: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            path.rmdir()
        real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(work, "_lock", lock)
        with WorkFolder.held(tmp_path / "store"):
            assert len(calls) == 2
            patch.undo()
            with (
                pytest.raises(BusyError, match="another conversion"),
                WorkFolder.held(tmp_path / "store"),
            ):
                pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_in_the_place_of_the_folder_is_refused(
    is_there: bool, whole: Path, tmp_path: Path
) -> None:
    if is_there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".tmp-store").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreExistsError, match=r"\.tmp-store: a symbolic link; remove it"):
        convert(whole, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_folders_that_were_made_for_nothing_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreIOError, match="nosuch: No such file"):
        convert(tmp_path / "nosuch", tmp_path / "a" / "b" / "c" / "store")
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == []
