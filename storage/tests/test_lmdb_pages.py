"""LMDB's own pages: damage there is refused before LMDB follows it out of the file, or overwrites."""

import re
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest

from .. import CorruptStoreError, LmdbStore
from .._lmdb import pack_block
from .._lmdb_environment import WAYS
from .._lmdb_pages import Pages
from .._records import Slab, checksums
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


def put(path: Path, images: Image, first: int, call: range | None = None) -> None:
    """Put blocks of one image each into a store, in one transaction, each as a call or of one."""
    with (
        lmdb.open(str(path), map_size=2**26) as environment,
        environment.begin(write=True) as transaction,
    ):
        for image_id, image in enumerate(images, first):
            ids = np.array([image_id])
            sums = checksums(ids, ids, image.shape, image.reshape(1, -1))
            slab = Slab(ids, image[np.newaxis], ids, sums)
            key, value = pack_block(slab, call or range(image_id, image_id + 1))
            transaction.put(key, value, append=True)


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
    """Each byte of a page of each kind that is not a value or room, in a tree of two levels."""
    make(path, SMALL)
    file = File(path)
    leaf = struct.unpack_from("<H", file.data, file.nodes(file.root)[0])[0]
    places = [
        at
        for page in (file.root, leaf)
        for at in (
            *range(page * file.size, page * file.size + 16 + 2 * len(file.nodes(page))),
            *(node + i for node in file.nodes(page)[:2] for i in range(16)),
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
        assert store[1][1] == 1
        assert set(leaves) <= set(looked_at)
    with LmdbStore(path) as store:
        assert REFUSED in said(store.read_many)
        assert REFUSED in said(store.read_many)
        assert store[1][1] == 1
        assert store[len(SMALL) - 1][1] == len(SMALL) - 1
    message = said(lambda: verify(path))
    found = re.search("images ([0-9]+) to ([0-9]+) cannot be read", message)
    assert found
    assert 1 < int(found[1]) < int(found[2]) < len(SMALL) - 1


def test_a_key_that_leads_elsewhere_is_found_before_anything_is_removed(path: Path) -> None:
    """What is to be removed is looked up by its key."""
    make(path, SMALL)
    file = File(path)
    for node in file.nodes(file.root)[1:]:
        for new in (b"\x00" * 8, b"\x01", (190).to_bytes(8, "big"), (20).to_bytes(8, "big")):
            file.write(node + 8, new)
            for use in (append, compact, verify):
                assert REFUSED in said(lambda use=use: use(path))  # type: ignore[misc]  # no default in mypy's view
            file.write(0, b"")
            assert is_intact(path, SMALL)


@pytest.mark.parametrize("key", [0, 2**40])
def test_a_list_of_a_commit_that_there_cannot_be_is_refused(path: Path, key: int) -> None:
    make(path, LARGE)
    file = File(path)
    for node in file.nodes(file.list):
        file.write(node + 8, struct.pack("<Q", key))
        for use in (append, compact, verify):
            assert REFUSED in said(lambda use=use: use(path))  # type: ignore[misc]  # no default in mypy's view
        assert is_intact(path, LARGE)


def test_a_list_that_has_kept_more_pages_than_it_needs_is_good(path: Path) -> None:
    """LMDB writes a shorter list over a longer one and leaves it the pages."""
    pixels = np.zeros((120, 120, 3), np.uint8)

    def images() -> Iterator[Image]:
        yield from (pixels for _ in range(400))
        raise RuntimeError

    with LmdbStore(path, "x", durable=False) as store:
        with pytest.raises(RuntimeError):
            store.store_many(images(), [0] * 400)
        for label in range(13):
            store.store_single(SMALL[label], label)
    verify(path)
    append(path)
    verify(path)


def test_a_record_that_reaches_beyond_the_file_ends_no_reader(path: Path) -> None:
    images = np.zeros((40, 1, 10), np.uint8)
    images[:, :, -2:] = (8, 0)  # read as a node's header, the length of a key
    LmdbStore(path, "x", durable=False).close()
    put(path, images, 0)
    file = File(path)
    assert len(file.data) == (file.root + 1) * file.size, "the leaf is the file's last page"

    def look_up() -> str:
        def read() -> None:
            with LmdbStore(path) as store:
                for i in (0, 3, 12, 25, 39):
                    assert store[i][1] == i

        return said(read)

    for i in (9, 14, 19, 29):
        file.write(file.root * file.size + 16 + 2 * i, struct.pack("<H", file.size - 8))
        assert REFUSED in in_child(look_up)


def test_the_rest_of_a_call_is_not_removed_where_the_block_before_is_damaged(path: Path) -> None:
    """That block would then be the last, without which a store is not opened."""
    make(path, SMALL[:20])
    put(path, SMALL[20:40], 20, call=range(20, 50))
    file = File(path)
    node = file.nodes(file.root)[19]
    file.write(node + 16 + 8, b"\xff")  # where its call begins
    for use in (append, compact):
        assert "image 19, the last, is damaged" in said(lambda use=use: use(path))  # type: ignore[misc]  # no default in mypy's view
    assert is_intact(path, SMALL[:19])
    file.write(0, b"")
    append(path)
    assert is_intact(path, SMALL[:20])


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
