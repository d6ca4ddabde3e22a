"""The stores of a run: made once, and removed with it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.base import Contender, Image, Labels
from benchmarks.contenders.limit import Limit
from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.workspace import NewStores, Workspace, ids_checked, ids_read_singly

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 3), np.uint8)
LABELS = np.arange(20)


class Counting(Limit):
    """Notes what it was asked to make."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[tuple[int, list[int]]] = []

    def prepare_read_single(
        self, path: Path, images: Image, labels: Labels, ids: Sequence[int]
    ) -> None:
        self.made.append((len(images), [*ids]))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path, IMAGES, LABELS, progress=False)
    yield made
    made.close()


def test_a_store_is_made_once_when_it_is_first_asked_for(workspace: Workspace) -> None:
    one, other = Counting("one"), Counting("other")
    paths = [workspace.store(c, n) for c in (one, other) for n in (10, 20, 10, 20)]
    assert one.made == other.made == [(10, [0, 2, 4, 6, 8]), (20, [0, 4, 8, 12, 16])]
    assert paths[:2] == paths[2:4]
    assert len(set(paths)) == 4


def test_a_store_holds_the_first_n_images(workspace: Workspace) -> None:
    path = workspace.store(Limit(), 7)
    images, labels = Limit().read_many(path, (7, *IMAGES.shape[1:]))
    np.testing.assert_array_equal(images, IMAGES[:7])
    np.testing.assert_array_equal(labels, LABELS[:7])


def test_a_made_store_is_on_the_disk_before_anything_is_timed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(Limit, "prepare_read_single", lambda *_: events.append("made"))
    monkeypatch.setattr(os, "sync", lambda: events.append("synced"))
    workspace.store(Limit(), 10)
    workspace.store(Limit(), 10)
    assert events == ["synced", "made", "synced"]


def test_scratch_paths_are_new_and_can_be_removed_twice(workspace: Workspace) -> None:
    first, second = workspace.scratch(), workspace.scratch()
    assert first != second
    assert not first.exists()
    Limit().store_many(first, IMAGES, LABELS, durable=False)
    workspace.remove(first)
    workspace.remove(first)
    assert not first.exists()


def test_a_store_of_many_files_is_set_aside_and_removed_at_the_end(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = workspace.scratch()
    path.mkdir()
    for i in range(51):
        (path / str(i)).touch()
    workspace.remove(path)
    assert not path.exists()
    assert len([*workspace.path.rglob("50")]) == 1
    workspace.close()
    assert [*tmp_path.iterdir()] == []


def test_closing_removes_everything_from_the_chosen_directory(tmp_path: Path) -> None:
    (tmp_path / "the user's").write_bytes(b"own")
    workspace = Workspace(tmp_path, IMAGES, LABELS, progress=False)
    assert workspace.path.parent == tmp_path
    assert workspace.path.name.startswith("image-stores-")
    workspace.store(Limit(), 10)
    Limit().store_many(workspace.scratch(), IMAGES, LABELS, durable=False)
    workspace.close()
    assert [path.name for path in tmp_path.iterdir()] == ["the user's"]


@pytest.mark.parametrize(
    ("n", "ids"),
    [
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 1, 2]),
        (5, [0, 1, 2, 3, 4]),
        (10, [0, 2, 4, 6, 8]),
        (100_000, [0, 20_000, 40_000, 60_000, 80_000]),
    ],
)
def test_single_images_are_read_from_all_over_the_store(n: int, ids: list[int]) -> None:
    assert ids_read_singly(n) == ids


@pytest.mark.parametrize(("n", "count"), [(1, 1), (10, 10), (20, 20), (100_000, 20)])
def test_what_was_stored_is_checked_from_the_first_image_to_the_last(n: int, count: int) -> None:
    ids = ids_checked(n)
    assert (len(ids), ids[0], ids[-1]) == (count, 0, n - 1)


def test_a_store_that_may_be_changed_is_not_the_one_that_is_read(workspace: Workspace) -> None:
    hdf5 = STORE_ROWS["hdf5"]
    kept, spare = workspace.store(hdf5, 10), workspace.spare(hdf5, 10)
    assert workspace.store(hdf5, 10) == kept != spare
    for path in (kept, spare):
        np.testing.assert_array_equal(hdf5.read_many(path, (10, *IMAGES.shape[1:]))[0], IMAGES[:10])


def make(stores: NewStores, contender: Contender, n: int, more_files: int = 0) -> Path:
    """Do what a round of storing does."""
    path = stores.begin()
    contender.store_many(path, IMAGES[:n], LABELS[:n], durable=False)
    for i in range(more_files):
        (path / str(i)).touch()
    stores.accept()
    stores.end()
    return path


def test_rounds_of_storing_leave_the_first_store_to_be_read(workspace: Workspace) -> None:
    stores = NewStores(workspace, Limit(), 10)
    paths = [make(stores, Limit(), 10) for _ in range(3)]
    assert workspace.store(Limit(), 10) == paths[0]
    assert [path.exists() for path in paths] == [True, False, False]
    assert stores.accepted == 3


def test_a_round_that_broke_off_leaves_nothing(workspace: Workspace) -> None:
    stores = NewStores(workspace, Limit(), 10)
    path = stores.begin()
    Limit().store_many(path, IMAGES[:3], LABELS[:3], durable=False)
    stores.end()
    assert not path.exists()
    assert stores.begin() != path
    assert stores.accepted == 0


def test_a_round_that_ends_before_it_has_begun_removes_nothing(workspace: Workspace) -> None:
    stores = NewStores(workspace, Limit(), 10)
    path = make(stores, Limit(), 10)
    stores.end()
    assert workspace.store(Limit(), 10) == path
    assert path.exists()


@pytest.mark.parametrize(("files", "is_spare"), [(1, False), (51, True)])
def test_a_store_of_many_files_is_put_aside_to_be_the_one_that_may_be_changed(
    workspace: Workspace, files: int, is_spare: bool
) -> None:
    png = STORE_ROWS["png"]
    workspace.store(png, 10)
    path = make(NewStores(workspace, png, 10), png, 10, files)
    assert (workspace.spare(png, 10) == path) == is_spare


def test_nothing_is_synced_for_a_store_that_is_removed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.store(Limit(), 10)
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("synced"))
    path = make(NewStores(workspace, Limit(), 10), Limit(), 10)
    assert not path.exists()
