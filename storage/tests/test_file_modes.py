"""Files and folders have the modes that the umask says, so that a group can share a store."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from .. import BusyError, Store
from .children import in_child
from .samples import Image, assert_records, mixed_pictures, pictures, stores_of_each_kind
from .users import become, require_root

pytestmark = stores_of_each_kind

GROUP, OWNER, COLLEAGUE = 61_000, 61_001, 61_002


def stream() -> Iterator[Image]:
    yield from mixed_pictures()


def use(store_class: type[Store], path: Path) -> None:
    """Every kind of call that makes a file; what small commits leave is folded and compacted."""
    with store_class(path, "a") as store:
        store.store_many(pictures(40), range(40))
        store.store_many(stream(), range(8))
        for label in range(18):
            store.store_single(pictures(1)[0], label)
        store.store_many(mixed_pictures(), range(8))
    with store_class(path, "a", durable=False) as store:
        store.store_single(pictures(1)[0], 1)


def modes(path: Path) -> dict[str, int]:
    """The folder's, and those of all that is in it."""
    return {
        str(each.relative_to(path)): each.stat().st_mode & 0o777
        for each in [path, *path.rglob("*")]
    }


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o027, 0o077], ids=oct)
def test_modes_are_what_the_umask_says(
    store_class: type[Store], tmp_path: Path, umask: int
) -> None:
    path = tmp_path / "above" / "store"

    def under_the_umask(task: Callable[[type[Store], Path], None]) -> None:
        os.umask(umask)
        task(store_class, path)

    for task in (use, compact):
        in_child(partial(under_the_umask, task))
        for name, mode in modes(path.parent).items():
            expected = 0o777 if (path.parent / name).is_dir() else 0o666
            assert oct(mode) == oct(expected & ~umask), name


def compact(store_class: type[Store], path: Path) -> None:
    with store_class(path, "a") as store:
        store.compact()


def test_a_group_shares_a_store(store_class: type[Store], public_folder: Path) -> None:
    """Each reads, appends to and compacts what the other has written, and keeps the other out."""
    require_root()
    path = public_folder / "store"
    image = pictures(1)[0]

    def append(user: int) -> None:
        become(user, GROUP)
        os.umask(0o002)
        with store_class(path, "a") as store:
            n = len(store)
            store.store_many(np.stack([image, image]), [n, n + 1])
            for label in range(n + 2, n + 20):
                store.store_single(image, label)
            with pytest.raises(BusyError):
                store_class(path, "a")
            store.compact()
            store.verify()

    # Here, since libraries load modules at their first use, from where others may not read.
    use(store_class, public_folder / "another")
    for user in (OWNER, COLLEAGUE, OWNER):
        in_child(lambda user=user: append(user))  # type: ignore[misc]  # mypy cannot infer it
    with store_class(path) as store:
        store.verify()
        assert_records(store.read_many(), [image] * 60, range(60))
