"""Copies of a store that are not quite the store: all images are read, and the next writer mends the rest."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .. import CorruptStoreError, Store, open_store
from .histories import COMPACT, Step, some, stream
from .model import append, image_of, is_right, label_of
from .samples import Image, contents, stores_of_each_kind, tree

pytestmark = stores_of_each_kind

OLDER: dict[str, list[Step]] = {
    "empty": [],
    "small commits": [some(1)] * 10,
    "small commits and a large": [*[some(1)] * 10, some(40)],
    "compacted": [*[some(1)] * 10, COMPACT],
}
"""What was done before the older copy was made."""
SINCE: dict[str, list[Step]] = {
    "a call": [some(3)],
    "folded": [some(1)] * 8,
    "folded twice": [some(1)] * 24,
    "compacted": [COMPACT],
    "compacted and more": [some(1), COMPACT, some(1), stream(20), some(1)],
}
"""And after that, before the newer was made."""


def go_on(store_class: type[Store], path: Path, steps: list[Step]) -> int:
    """Make these calls of a store, and return how many images it holds then."""
    with store_class(path, "a", durable=False) as store:
        for step in steps:
            step.call(store)
        return len(store)


def assert_whole(path: Path, n: int) -> None:
    """It is read in full; `verify` passes or says what to do; when that was done, it passes."""
    with open_store(path) as store:
        assert len(store) == n
        assert is_right(store)
        try:
            store.verify()
        except CorruptStoreError as error:
            assert "mode='a'" in str(error)  # noqa: PT017  # that none is raised is as good
    with open_store(path, "a") as store:
        assert len(store) == n
        store.verify()
        assert not [name for name in tree(path) if "tmp" in name]
    with open_store(path) as store:
        store.verify()
    with open_store(path, "a", durable=False) as store:
        append(store, 2)
        store.verify()
        store.compact()
        store.verify()
        assert is_right(store)
        assert len(store) == n + 2


@pytest.mark.parametrize("older", OLDER)
def test_a_newer_copy_laid_over_an_older_one(
    store_class: type[Store], tmp_path: Path, older: str
) -> None:
    """What the newer no longer has stays behind: what was folded, compacted or renamed since."""
    for since, steps in SINCE.items():
        store, copy = tmp_path / since / "store", tmp_path / since / "copy"
        go_on(store_class, store, OLDER[older])
        shutil.copytree(store, copy)
        n = go_on(store_class, store, steps)
        shutil.copytree(store, copy, dirs_exist_ok=True)
        assert_whole(copy, n)


@pytest.mark.parametrize("older", OLDER)
def test_a_copy_from_before_a_compaction_laid_over_one_from_after(
    store_class: type[Store], tmp_path: Path, older: str
) -> None:
    store, copy = tmp_path / "store", tmp_path / "copy"
    go_on(store_class, store, OLDER[older])
    shutil.copytree(store, copy)
    n = go_on(store_class, copy, [COMPACT])
    shutil.copytree(store, copy, dirs_exist_ok=True)
    assert_whole(copy, n)


def test_a_copy_of_folded_commits_that_was_broken_off(
    store_class: type[Store], tmp_path: Path
) -> None:
    """At each file, whole or cut short: those commits stay, until the copy is finished or removed."""
    store, copy = tmp_path / "store", tmp_path / "copy"
    n = go_on(store_class, store, [some(1)] * 15)
    shutil.copytree(store, copy)
    go_on(store_class, store, [some(1)])
    (part,) = (path for path in store.iterdir() if path.is_dir())
    target = copy / part.name
    target.mkdir()
    for file in [None, *sorted(part.iterdir())]:
        if file is not None:
            data = file.read_bytes()
            (target / file.name).write_bytes(data[: len(data) // 2])
        before = contents(copy)
        with pytest.raises(CorruptStoreError, match=r"not whole \(.+\); copy it again, or remove"):
            store_class(copy, "a")
        assert contents(copy) == before
        if file is not None:
            shutil.copyfile(file, target / file.name)
    shutil.copytree(copy, tmp_path / "without")
    shutil.rmtree(tmp_path / "without" / part.name)
    assert_whole(tmp_path / "without", n)
    assert_whole(copy, n + 1)


def is_empty(path: Path) -> bool:
    return path.is_file() and not path.stat().st_size


@pytest.mark.parametrize("older", OLDER)
def test_a_copy_without_its_empty_files(
    store_class: type[Store], tmp_path: Path, older: str
) -> None:
    """As some tools and object stores make it."""

    def empty_ones(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if is_empty(Path(folder, name))]

    for since, steps in SINCE.items():
        store, copy = tmp_path / since / "store", tmp_path / since / "copy"
        n = go_on(store_class, store, [*OLDER[older], *steps])
        shutil.copytree(store, copy, ignore=empty_ones)
        assert not any(map(is_empty, copy.rglob("*")))
        assert_whole(copy, n)


def test_a_copy_without_times_and_modes(store_class: type[Store], tmp_path: Path) -> None:
    n = go_on(store_class, tmp_path / "store", SINCE["compacted and more"])
    shutil.copytree(tmp_path / "store", tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (0, 0))
    assert_whole(tmp_path / "copy", n)


def test_a_copy_made_in_the_middle_of_a_call(store_class: type[Store], tmp_path: Path) -> None:
    """It holds the calls before that one."""
    n = go_on(store_class, tmp_path / "store", OLDER["small commits"])
    images = 20

    def copy_then() -> Iterator[Image]:
        for i in range(images):
            if i == images - 1:
                shutil.copytree(tmp_path / "store", tmp_path / "copy")
            yield image_of(n + i)

    with store_class(tmp_path / "store", "a") as store:
        store.store_many(copy_then(), [label_of(n + i) for i in range(images)])
    assert_whole(tmp_path / "copy", n)


def test_a_copy_made_beside_a_writer(store_class: type[Store], tmp_path: Path) -> None:
    """One half of its files before small commits fold, the other after: whole, or said not to be."""
    store_class(tmp_path / "store", "x").close()
    with store_class(tmp_path / "store", "a", durable=False) as store:
        for _ in range(15):
            append(store, 1)
        names = sorted(os.listdir(tmp_path / "store"))
        copied: Sequence[str] = names[: len(names) // 2]
        copy_names(tmp_path, copied)
        append(store, 1)  # which folds
        append(store, 1)
        names = sorted(os.listdir(tmp_path / "store"))
        copy_names(tmp_path, [name for name in names if name not in copied])
    try:
        with open_store(tmp_path / "copy") as found:
            assert len(found) in range(15, 18)
            assert is_right(found)
    except CorruptStoreError as error:
        assert str(tmp_path / "copy") in str(error)  # noqa: PT017  # that none is raised is as good


def copy_names(folder: Path, names: Sequence[str]) -> None:
    (folder / "copy").mkdir(exist_ok=True)
    for name in names:
        if (folder / "store" / name).is_dir():
            shutil.copytree(folder / "store" / name, folder / "copy" / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(folder / "store" / name, folder / "copy" / name)
