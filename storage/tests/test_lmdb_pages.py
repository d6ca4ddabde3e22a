"""LMDB's own pages: damage there is refused before LMDB follows it out of the file, or overwrites."""

import re
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from .. import CorruptStoreError, LmdbStore
from .._lmdb_environment import WAYS
from .._lmdb_pages import Pages
from .children import in_child
from .samples import Image, pictures

SMALL = pictures(200, (1, 1))
"""Each a block on a leaf of the tree, if stored alone."""
LARGE = pictures(8, (40, 40, 3))
"""Each a block on two pages of its own, if stored alone."""
REFUSED = "its pages are damaged"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def make(path: Path, images: Image) -> None:
    """Make a store of calls of one image each."""
    with LmdbStore(path, "x", durable=False) as store:
        for label, image in enumerate(images):
            store.store_single(image, label)


class File:
    """The file of a store, to be changed and written again, with all else as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._original = path.with_name("original")
        shutil.copytree(path, self._original)
        self.data = (path / "data.mdb").read_bytes()
        (self.size,) = struct.unpack_from("<I", self.data, 40)
        metas = [struct.unpack_from("<Q 40x Q 8x Q", self.data, i * self.size + 80) for i in (0, 1)]
        self.list, self.root, _ = max(metas, key=lambda meta: meta[2])
        """The pages with which the list of free pages and the tree of blocks begin."""

    def nodes(self, page: int) -> list[int]:
        """Where in the file the nodes of a page are."""
        start = page * self.size
        (lower,) = struct.unpack_from("<H", self.data, start + 12)
        return [
            start + at for at in struct.unpack_from(f"<{(lower - 16) // 2}H", self.data, start + 16)
        ]

    def number(self, at: int) -> int:
        return int(struct.unpack_from("<Q", self.data, at)[0])

    def write(self, at: int, new: bytes) -> None:
        """Write the file with these bytes changed, and none else."""
        changed = b"".join((self.data[:at], new, self.data[at + len(new) :]))
        shutil.rmtree(self._path)
        shutil.copytree(self._original, self._path)
        (self._path / "data.mdb").write_bytes(changed[: len(self.data)])


def changes(places: Iterable[int], data: bytes) -> Iterator[tuple[int, bytes]]:
    """To each place in turn: ones over it and more, and its first or last bit."""
    for n, at in enumerate(places):
        yield at, b"\xff" * (2, 8)[n // 2 % 2]
        yield at, bytes([data[at] ^ (0x80, 1)[n % 2]])


def said(use: Callable[[], object]) -> str:
    """The message of a refusal, or nothing."""
    try:
        use()
    except CorruptStoreError as error:
        return str(error)
    return ""


def append(path: Path) -> None:
    with LmdbStore(path, "a", durable=False) as store:
        store.store_single(LARGE[0], 1)


def compact(path: Path) -> None:
    with LmdbStore(path, "a", durable=False) as store:
        store.compact()


def verify(path: Path) -> None:
    with LmdbStore(path) as store:
        store.verify()


def is_intact(path: Path, images: Image) -> bool:
    with LmdbStore(path) as store:
        return all(np.array_equal(store[i][0], image) for i, image in enumerate(images))


def test_a_damaged_list_of_free_pages_neither_ends_a_writer_nor_loses_an_image(path: Path) -> None:
    make(path, LARGE)
    file = File(path)
    nodes = file.nodes(file.list)
    start = file.list * file.size
    places = [*range(start, start + 16 + 2 * len(nodes)), *range(min(nodes), start + file.size)]

    def outcomes() -> list[str]:
        found = []
        for at, new in changes(places, file.data):
            file.write(at, new)
            assert is_intact(path, LARGE)  # a reader has no use for the list
            missed = not said(lambda: verify(path))
            found.append(said(lambda: append(path)))
            assert is_intact(path, LARGE)
            assert not (found[-1] and missed)
        return found

    found = in_child(outcomes)
    assert sum(REFUSED in message for message in found) > len(found) / 2
    file.write(0, b"")
    verify(path)
    append(path)


def test_a_page_both_free_and_in_use_is_refused_by_writers_and_found_by_verify(path: Path) -> None:
    make(path, LARGE)
    file = File(path)
    (*_, node) = file.nodes(file.list)
    own = [file.number(at + 16) for at in file.nodes(file.root)]
    in_use = [0, 1, file.root, file.list, *own, *(page + 1 for page in own)]
    for page in in_use:
        file.write(node + 16, struct.pack("<2Q", 1, page))
        for use in (append, compact, verify):
            assert REFUSED in said(lambda use=use: use(path))  # type: ignore[misc]  # no default in mypy's view
        assert is_intact(path, LARGE)


def test_a_damaged_tree_of_blocks_is_refused_and_ends_no_process(path: Path) -> None:
    """Each byte of a page of each kind that is not a key or room, in a tree of two levels."""
    make(path, SMALL)
    file = File(path)
    leaf = struct.unpack_from("<H", file.data, file.nodes(file.root)[0])[0]
    places = [
        at
        for page in (file.root, leaf)
        for at in (
            *range(page * file.size, page * file.size + 16 + 2 * len(file.nodes(page))),
            *(node + i for node in file.nodes(page)[:2] for i in range(8)),
        )
    ]

    def look_up() -> None:
        with LmdbStore(path) as store:
            for i in (0, 1, 100, 199):
                image, label = store[i]
                assert (image == SMALL[i]).all()
                assert label == i

    def outcomes() -> list[tuple[str, str, str]]:
        found = []
        for at, new in changes(places, file.data):
            file.write(at, new)
            uses = (look_up, lambda: verify(path), lambda: append(path))
            found.append((said(uses[0]), said(uses[1]), said(uses[2])))
        return found

    found = in_child(outcomes)
    for messages in zip(*found, strict=True):
        assert sum(REFUSED in message for message in messages) > len(found) / 3
    file.write(0, b"")
    verify(path)


def test_an_image_takes_a_look_at_the_pages_that_lead_to_it_and_many_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, SMALL)
    file = File(path)
    leaves = [struct.unpack_from("<H", file.data, node)[0] for node in file.nodes(file.root)]
    assert len(leaves) > 2
    looked_at: list[int] = []
    read = Pages._read

    def spy(pages: Pages, page: int, *rest: int) -> bytes:
        looked_at.append(page)
        return read(pages, page, *rest)

    monkeypatch.setattr(Pages, "_read", spy)
    file.write(leaves[1] * file.size, bytes(file.size))
    with LmdbStore(path) as store:
        for _ in range(WAYS - 1):  # one led to the last block, when the store was opened
            assert store[1][1] == 1
        assert set(looked_at) - {0, 1} == {file.root, leaves[0], leaves[-1]}
        assert REFUSED in said(lambda: store[1])
    with LmdbStore(path) as store:
        assert REFUSED in said(store.read_many)
        assert REFUSED in said(store.read_many)
        assert store[1][1] == 1
        assert store[len(SMALL) - 1][1] == len(SMALL) - 1
    message = said(lambda: verify(path))
    found = re.search("images ([0-9]+) to ([0-9]+) cannot be read", message)
    assert found
    assert 1 < int(found[1]) < int(found[2]) < len(SMALL) - 1


@pytest.mark.parametrize("field", [0, 12], ids=["number", "how many"])
def test_own_pages_that_say_what_is_not_so_are_not_freed(path: Path, field: int) -> None:
    make(path, LARGE)
    file = File(path)
    own = file.number(file.nodes(file.root)[3] + 16)
    for new in (b"\x01", b"\x03", b"\xff" * 4):
        file.write(own * file.size + field, new)
        assert is_intact(path, LARGE)  # reading needs neither
        for use in (compact, verify):
            assert REFUSED in said(lambda use=use: use(path))  # type: ignore[misc]  # no default in mypy's view
        assert is_intact(path, LARGE)
