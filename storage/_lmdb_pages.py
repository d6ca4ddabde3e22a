"""LMDB's two trees of pages, looked over before LMDB itself relies on them.

One is of the blocks of images; the other lists the pages that may be used again, which only a
writer reads: its keys are transactions, its values the pages that each has freed, in midl.h's way.
LMDB believes both: an offset or a length that is too large sends the process out of the file, which
ends it, and a page that is both free and in use is overwritten. The pages are described in LMDB's
mdb.c (`MDB_meta`, `MDB_db`, `MDB_page`, `MDB_node`).

A tree is looked over a level at a time, since it may have thousands of pages; where one block is
looked up, only the nodes that lead to it, so that this takes as long in every store. Whatever
cannot be right raises ValueError, or struct.error where a record goes beyond its page.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

META = struct.Struct("<24x 4xHH32xQ 4xHH32xQ QQ")
"""Of a meta page: of the list and of the blocks the tree's flags, depth and root; then the last
page of the file and the commit.
"""
META_AT = 16
METAS = 2
LIST_FLAGS, BLOCKS_FLAGS = 8, 0
"""Integer keys, and none: with others LMDB would take the pages for those of other trees."""
LIST_KEYS, BLOCKS_KEYS = "<u8", ">u8"
NO_ROOT = 2**64 - 1
LAST = 2**64 - 1
"""A key that no block is after."""
HEADER_BYTES = 16
"""Of a page: its number (64 bits); 16 bits unused; flags, then where its free space begins and ends
(16 each), or for a value's own pages how many they are (32).
"""
PAGE, OWN = struct.Struct("<Q2x3H"), struct.Struct("<Q2xHI")
PLACE = struct.Struct("<H")
"""Where on the page a node is; so many of them follow the header of a page of a tree."""
IS_BRANCH, IS_LEAF, IS_OWN = 1, 2, 4
NODE = NUMBER = COUNT = struct.Struct("<Q")
"""A node is its header, a key and a value, or the number of the first of the value's own pages. The
header is 32 bits of the value's length, 16 of marks and 16 of the key's length; on a branch, where
nodes have no value, 48 bits are the number of the page below. A value of the list is a count and so
many numbers.
"""
KEY_BYTES = 8
NODE_MOST = NODE.size + KEY_BYTES + NUMBER.size
LENGTH_MASK, MARK_MASK, NUMBER_MASK = 2**32 - 1, 2**16 - 1, 2**48 - 1
IS_ELSEWHERE = 1
"""Mark of a node whose value is on pages of its own."""

NO_PAGE, NO_NODE = "is no page of a tree", "has a record that cannot be there"

Length = TypeVar("Length", int, NDArray[np.int64])


class CommitGoneError(Exception):
    """Another process has put two commits in place since."""


def refuse(pages: NDArray[np.int64], wrong: NDArray[np.bool_], reason: str) -> None:
    """Raise ValueError for the first of the pages that is wrong, if any is."""
    if wrong.any():
        raise ValueError(f"page {pages[wrong.argmax()]} {reason}")


class Tree(NamedTuple):
    flags: int
    depth: int
    root: int


@dataclass
class Nodes:
    """What is on some pages of one level, in order.

    data: the pages, one after the other
    keys: (n,) uint64; on branches the first of a page is 0
    numbers: (n,) uint64, the page below; on leaves the first of the value's own pages, or 0
    lengths: (n,) int64, of the values in bytes; on branches 0
    places: (n,) int64, where in `data` the values are that have no pages of their own
    """

    data: bytes
    keys: NDArray[np.uint64]
    numbers: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    places: NDArray[np.int64]


class Pages:
    """The pages, of `page_size` bytes, of a commit in the open file `descriptor`.

    Raises `CommitGoneError` where the file no longer says where its trees are.
    """

    def __init__(self, descriptor: int, page_size: int, commit: int) -> None:
        self._descriptor = descriptor
        self._page_size = page_size
        self.commit = commit
        meta = META.unpack(self._read(commit % METAS, META.size, META_AT))
        self._list, self._blocks, self._last = Tree(*meta[:3]), Tree(*meta[3:6]), meta[6]
        if meta[-1] != commit:
            raise CommitGoneError("its newest commit is not where it should be")
        if (self._list.flags, self._blocks.flags) != (LIST_FLAGS, BLOCKS_FLAGS):
            raise ValueError("a tree is of another kind")
        for tree in self._list, self._blocks:
            if (tree.root == NO_ROOT) != (tree.depth == 0):
                raise ValueError("a tree has a root and no depth, or no root")

    def _read(self, page: int, length: int, start: int = 0) -> bytes:
        return os.pread(self._descriptor, length, page * self._page_size + start)

    # ---- what is to be looked over -----------------------------------------------------------

    def check_way(self, key: int) -> None:
        """Check what LMDB looks at when a cursor goes to the block of this key.

        It goes to the first block from there on, and then one back.
        """
        number, wanted, is_last = self._blocks.root, key.to_bytes(KEY_BYTES, "big"), True
        for above in reversed(range(self._blocks.depth)):
            data, count = self._page(number, IS_BRANCH if above else IS_LEAF)
            # The first key of a branch is left out: it stands for all that are smaller.
            after = self._after(data, count, wanted, first=1 if above else 0)
            if above:
                is_last = is_last and after == count
                number = self._node(data, after - 1, least_key=0)[0] & NUMBER_MASK
            elif after == 0 or (after == count and not is_last):
                self.check_blocks()  # it goes to another page too
            else:
                for i in range(after - 1, min(after + 1, count)):
                    self._check_value(data, i)

    def _page(self, number: int, flags: int) -> tuple[bytes, int]:
        """A page of a tree, and how many nodes it has."""
        data = self._read(number, self._page_size)
        said, its_flags, lower, upper = PAGE.unpack_from(data)
        count = (lower - HEADER_BYTES) // 2
        if (
            not METAS <= number <= self._last
            or (said, its_flags) != (number, flags)
            or not lower <= upper <= self._page_size
            or count < (2 if flags == IS_BRANCH else 1)
        ):
            raise ValueError(f"page {number} {NO_PAGE}")
        return data, count

    def _after(self, data: bytes, count: int, wanted: bytes, first: int) -> int:
        """Which node of a page, from `first` on, is the first whose key comes after this one.

        In the steps of `mdb_node_search`, so that LMDB looks at no node but those checked here.
        """
        low, high = first, count - 1
        while low <= high:
            middle = (low + high) // 2
            _, key, _ = self._node(data, middle)
            if key == wanted:
                return middle + 1
            if key < wanted:
                low = middle + 1
            else:
                high = middle - 1
        return low

    def _node(self, data: bytes, i: int, least_key: int = KEY_BYTES) -> tuple[int, bytes, int]:
        """Header and key of a node of a page, and where its value or number is."""
        (at,) = PLACE.unpack_from(data, HEADER_BYTES + 2 * i)
        (header,) = NODE.unpack_from(data, at)
        key_bytes = header >> 48
        start = at + NODE.size
        end = start + key_bytes
        if at % 2 or at < HEADER_BYTES + 2 * i or not least_key <= key_bytes <= KEY_BYTES:
            raise ValueError(f"page {PAGE.unpack_from(data)[0]} {NO_NODE}")
        return header, data[start:end], end

    def _check_value(self, data: bytes, i: int) -> None:
        """Check that the value of a node of a leaf ends where it may."""
        header, _, at = self._node(data, i)
        length, mark = header & LENGTH_MASK, header >> 32 & MARK_MASK
        if mark == IS_ELSEWHERE:
            (number,) = NUMBER.unpack_from(data, at)
            good = METAS <= number <= number + self._pages_of(length) - 1 <= self._last
        else:
            good = mark == 0 and at + length <= len(data)
        if not (good and length):
            raise ValueError(f"page {PAGE.unpack_from(data)[0]} {NO_NODE}")

    def check_blocks(self) -> None:
        """Check the tree of blocks."""
        for _ in self._levels(self._blocks, BLOCKS_KEYS):
            pass

    def check_all(self) -> None:
        """Check both trees, and that no page is used twice."""
        parts = [(np.arange(METAS), np.ones(METAS, np.int64))]  # first pages, and how many
        for tree, byte_order in (self._blocks, BLOCKS_KEYS), (self._list, LIST_KEYS):
            for level, nodes in self._levels(tree, byte_order):
                parts += [(np.array(level), np.ones(len(level), np.int64)), self._own(nodes)]
                if tree is self._list and nodes.lengths.any():
                    self._check_own(nodes)
                    parts += [(free, np.ones_like(free)) for free in self._free(nodes)]
        first, count = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(first)
        first, count = first[order], count[order]
        twice = np.flatnonzero(first[:-1] + count[:-1] > first[1:])
        if len(twice):
            raise ValueError(f"page {first[twice[0] + 1]} is used twice, or used and free")

    def check_own_pages(self) -> None:
        """Check what LMDB believes of the blocks' own pages when it frees them."""
        for _, nodes in self._levels(self._blocks, BLOCKS_KEYS):
            self._check_own(nodes)

    # ---- a level at a time -------------------------------------------------------------------

    def _levels(self, tree: Tree, order: str) -> Iterator[tuple[list[int], Nodes]]:
        """The numbers of each level's pages, and what is on them."""
        level, seen = [tree.root], 0
        for above in reversed(range(tree.depth)):
            seen += len(level)
            if seen > self._last:
                raise ValueError("a page of a tree is there twice")
            nodes = self._nodes(level, IS_BRANCH if above else IS_LEAF, order)
            yield level, nodes
            level = nodes.numbers.tolist()

    def _nodes(self, level: list[int], flags: int, order: str) -> Nodes:
        """What is on the pages of these numbers, if they are what they should be."""
        size = self._page_size
        if min(level) < METAS or max(level) > self._last:
            raise ValueError("a page of a tree is not there")
        data = b"".join([*(self._read(number, size) for number in level), bytes(NODE_MOST)])
        words = np.frombuffer(data, "<u2")
        pages = words[: len(level) * size // 2].reshape(len(level), size // 2)
        numbers = np.array(level)
        said = pages[:, :4].copy().view("<u8")[:, 0]
        lower, upper = pages[:, 6].astype(np.int64), pages[:, 7]
        counts = (lower - HEADER_BYTES) // 2
        wrong = (said != numbers.astype(np.uint64)) | (pages[:, 5] != flags)
        wrong |= (lower > upper) | (upper > size) | (counts < (2 if flags == IS_BRANCH else 1))
        refuse(numbers, wrong, NO_PAGE)
        used = np.arange(counts.max()) < counts[:, np.newaxis]
        at = pages[:, HEADER_BYTES // 2 :][:, : used.shape[1]][used].astype(np.int64)
        owner = np.repeat(np.arange(len(level)), counts)
        numbers = numbers[owner]
        refuse(numbers, (at < upper[owner]) | (at > size - NODE.size) | (at % 2 > 0), NO_NODE)
        # Header, key and number, or where a page ends before, what is on the next.
        start = (owner * size + at) // 2
        header, keys, number = words[start[:, np.newaxis] + np.arange(NODE_MOST // 2)].view("<u8").T
        keys = keys.view(order).astype(np.uint64)
        key_bytes = (header >> 48).astype(np.int64)
        places = 2 * start + NODE.size + key_bytes
        end = at + NODE.size + key_bytes
        heads = np.concatenate(([0], np.cumsum(counts)[:-1]))
        if flags == IS_BRANCH:
            below, lengths = header & NUMBER_MASK, np.zeros(len(at), np.int64)
            keys[heads] = 0
            key_bytes[heads] = KEY_BYTES  # there LMDB leaves it out
        else:
            lengths = (header & LENGTH_MASK).astype(np.int64)
            marks = header >> 32 & MARK_MASK
            elsewhere = marks == IS_ELSEWHERE
            below = np.where(elsewhere, number, 0)
            end += np.where(elsewhere, NUMBER.size, lengths)
            wrong = (marks > IS_ELSEWHERE) | (lengths == 0) | (elsewhere & (number < METAS))
            refuse(numbers, wrong, NO_NODE)
        falling = np.zeros(len(at), bool)
        falling[1:] = keys[1:] <= keys[:-1]
        falling[heads] = False
        wrong = (key_bytes != KEY_BYTES) | falling | (end > size) | (below > self._last)
        refuse(numbers, wrong, NO_NODE)
        nodes = Nodes(data, keys, below, lengths, places)
        first, count = self._own(nodes)
        if (first + count - 1 > self._last).any():
            raise ValueError("a value ends beyond the last page")
        return nodes

    # ---- values ------------------------------------------------------------------------------

    def _own(self, nodes: Nodes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first page, and how many there are, of each value that has its own."""
        elsewhere = (nodes.numbers > 0) & (nodes.lengths > 0)  # on branches the lengths are 0
        return nodes.numbers[elsewhere].astype(np.int64), self._pages_of(nodes.lengths[elsewhere])

    def _pages_of(self, length: Length) -> Length:
        """How many pages of its own a value takes."""
        return -(-(length + HEADER_BYTES) // self._page_size)

    def _check_own(self, nodes: Nodes) -> None:
        """Check what values' own pages say of themselves."""
        for first, count in np.transpose(self._own(nodes)).tolist():
            if OWN.unpack(self._read(first, OWN.size)) != (first, IS_OWN, count):
                raise ValueError(f"page {first} is not the first of {count} of a value")

    def _free(self, nodes: Nodes) -> Iterator[NDArray[np.int64]]:
        """The pages that each record of the list says are free, (n,) int64."""
        for number, length, place in np.transpose(
            [nodes.numbers.astype(np.int64), nodes.lengths, nodes.places]
        ).tolist():
            if number:
                value = self._read(number, length, HEADER_BYTES)
            else:
                value = nodes.data[place : place + length]
            (count,) = COUNT.unpack_from(value)
            if COUNT.size * (1 + count) > length:
                raise ValueError("the list of free pages is longer than its record")
            free = np.frombuffer(value, "<u8", count, COUNT.size)
            if count and not (free[-1] >= METAS and free[0] <= self._last):
                raise ValueError("the list of free pages names some that are not there")
            if (free[:-1] <= free[1:]).any():
                raise ValueError("the list of free pages is not in order")
            yield free.astype(np.int64)
