"""LMDB's two trees of pages, looked over before LMDB itself relies on them.

One is of the blocks of images; the other lists the pages that may be used again, which only a
writer reads: its keys are commits, its values the pages that each has freed, in midl.h's way. LMDB
believes both: an offset or a length that is too large sends the process out of the file, which ends
it, a page that is both free and in use is overwritten, and where a key is wrong, what is removed is
not what was meant. The pages are described in LMDB's mdb.c (`MDB_meta`, `MDB_db`, `MDB_page`,
`MDB_node`).

A tree is looked over many pages at a time, since it may have thousands; where one block is looked
up, only the nodes that lead to it, so that this takes as long in every store. Whatever cannot be
right raises ValueError, or struct.error where a record goes beyond its page.
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
WORD = struct.Struct("<Q")
"""A node is its header, a key and a value, or the number of the first of the value's own pages. The
header is 32 bits of the value's length, 16 of marks and 16 of the key's length; on a branch, where
nodes have no value, 48 bits are the number of the page below. A value of the list is a count and so
many numbers.
"""
KEY_BYTES = 8
NODE_MOST = WORD.size + KEY_BYTES + WORD.size
LENGTH_MASK, MARK_MASK, NUMBER_MASK = 2**32 - 1, 2**16 - 1, 2**48 - 1
IS_ELSEWHERE = 1
"""Mark of a node whose value is on pages of its own."""
AT_ONCE = 1024
"""Pages looked over together."""
NO_PAGE, NO_NODE = "is no page of a tree", "has a record that cannot be there"

Length = TypeVar("Length", int, NDArray[np.int64])
Numbers = NDArray[np.uint64]


class CommitGoneError(Exception):
    """The file does not say where the commit is: two more have been made since, or it is damaged."""


def refuse(pages: Numbers, wrong: NDArray[np.bool_], reason: str) -> None:
    """Raise ValueError for the first of the pages that is wrong, if any is."""
    if wrong.any():
        raise ValueError(f"page {pages[wrong.argmax()]} {reason}")


class Tree(NamedTuple):
    """One of the two.

    order: the type of its keys
    keys: those that may be there
    """

    flags: int
    depth: int
    root: int
    order: str
    keys: range


class Level(NamedTuple):
    """Pages of one level: their numbers, and between which keys theirs are, (n,) each.

    low: the smallest that may be there
    high: the smallest that may not
    """

    numbers: Numbers
    low: Numbers
    high: Numbers

    def part(self, start: int) -> "Level":
        return Level(*(column[start : start + AT_ONCE] for column in self))


@dataclass
class Nodes:
    """What is on some pages of one level, in order.

    data: the pages, one after the other
    below: of branches the pages below; of leaves the first of each value's own pages, or 0
    lengths: (n,) int64, of the values in bytes
    places: (n,) int64, where in `data` the values are that have no pages of their own
    """

    data: bytes
    below: Level
    lengths: NDArray[np.int64]
    places: NDArray[np.int64]


class Pages:
    """The pages, of `page_size` bytes, of a commit in the open file `descriptor`.

    Raises `CommitGoneError`.
    """

    def __init__(self, descriptor: int, page_size: int, commit: int) -> None:
        self._descriptor = descriptor
        self._page_size = page_size
        self.commit = commit
        meta = META.unpack(self._read(commit % METAS, META.size, META_AT))
        list_flags, list_depth, list_root, flags, depth, root, self._last, found = meta
        self._list = Tree(list_flags, list_depth, list_root, LIST_KEYS, range(1, commit + 1))
        self._blocks = Tree(flags, depth, root, BLOCKS_KEYS, range(LAST))
        if found != commit:
            raise CommitGoneError("its newest commit is not where it should be")
        if (self._list.flags, self._blocks.flags) != (LIST_FLAGS, BLOCKS_FLAGS):
            raise ValueError("a tree is of another kind")
        for tree in self._list, self._blocks:
            if (tree.root == NO_ROOT) != (tree.depth == 0):
                raise ValueError("a tree has a root and no depth, or no root")

    def _read(self, page: int, length: int, start: int = 0) -> bytes:
        return os.pread(self._descriptor, length, page * self._page_size + start)

    # ---- what leads to one block -------------------------------------------------------------

    def check_way(self, key: int) -> None:
        """Check what LMDB looks at when a cursor goes to the block of this key.

        It goes to the first block from there on, and where that has another key, one back.
        """
        number, wanted = self._blocks.root, key.to_bytes(KEY_BYTES, "big")
        following = None  # the next page to the right, how far below the root it is
        for depth in range(1, self._blocks.depth + 1):
            is_leaf = depth == self._blocks.depth
            data, count = self._page(number, IS_LEAF if is_leaf else IS_BRANCH)
            # The first key of a branch is left out: it stands for all that are smaller.
            after, is_exact = self._after(data, count, wanted, first=0 if is_leaf else 1)
            if not is_leaf:
                if after < count:
                    following = self._node(data, after)[0] & NUMBER_MASK, depth + 1
                number = self._node(data, after - 1, least_key=0)[0] & NUMBER_MASK
            elif is_exact:
                self._check_value(data, after - 1)
            elif after == 0:
                self.check_blocks()  # the one before is on another page
            else:
                self._check_value(data, after - 1)
                if after < count:
                    self._check_value(data, after)
                elif following is not None:
                    self._check_first(*following)

    def _check_first(self, number: int, depth: int) -> None:
        """Check what leads from a page, so far below the root, to its first block."""
        for _ in range(depth, self._blocks.depth):
            data, _ = self._page(number, IS_BRANCH)
            number = self._node(data, 0, least_key=0)[0] & NUMBER_MASK
        data, _ = self._page(number, IS_LEAF)
        self._check_value(data, 0)

    def _page(self, number: int, flags: int) -> tuple[bytes, int]:
        """A page of the tree of blocks, and how many nodes it has."""
        if METAS <= number <= self._last:
            data = self._read(number, self._page_size)
            said, its_flags, lower, upper = PAGE.unpack_from(data)
            count = (lower - HEADER_BYTES) // 2
            if (
                (said, its_flags) == (number, flags)
                and lower <= upper <= self._page_size == len(data)
                and count >= (2 if flags == IS_BRANCH else 1)
            ):
                return data, count
        raise ValueError(f"page {number} {NO_PAGE}")

    def _after(self, data: bytes, count: int, wanted: bytes, first: int) -> tuple[int, bool]:
        """Which node of a page, from `first` on, is the first whose key comes after this one.

        And whether the one before has this key. In the steps of `mdb_node_search`, so that LMDB
        looks at no node but those checked here.
        """
        low, high = first, count - 1
        while low <= high:
            middle = (low + high) // 2
            _, key, _ = self._node(data, middle)
            if key == wanted:
                return middle + 1, True
            if key < wanted:
                low = middle + 1
            else:
                high = middle - 1
        return low, False

    def _node(self, data: bytes, i: int, least_key: int = KEY_BYTES) -> tuple[int, bytes, int]:
        """Header and key of a node of a page, and where its value or number is."""
        (at,) = PLACE.unpack_from(data, HEADER_BYTES + 2 * i)
        (header,) = WORD.unpack_from(data, at)
        key_bytes = header >> 48
        start = at + WORD.size
        end = start + key_bytes
        number, _, _, upper = PAGE.unpack_from(data)
        if at % 2 or at < upper or end > len(data) or not least_key <= key_bytes <= KEY_BYTES:
            raise ValueError(f"page {number} {NO_NODE}")
        return header, data[start:end], end

    def _check_value(self, data: bytes, i: int) -> None:
        """Check that the value of a node of a leaf ends where it may."""
        header, _, at = self._node(data, i)
        length, mark = header & LENGTH_MASK, header >> 32 & MARK_MASK
        if mark == IS_ELSEWHERE:
            (number,) = WORD.unpack_from(data, at)
            good = METAS <= number <= number + self._pages_of(length) - 1 <= self._last
        else:
            good = mark == 0 and at + length <= len(data)
        if not (good and length):
            raise ValueError(f"page {PAGE.unpack_from(data)[0]} {NO_NODE}")

    # ---- all of a tree -----------------------------------------------------------------------

    def check_blocks(self) -> None:
        """Check the tree of blocks."""
        for _ in self._levels(self._blocks):
            pass

    def check_all(self) -> None:
        """Check both trees, and that no page is used twice."""
        parts = [(np.arange(METAS), np.ones(METAS, np.int64))]  # first pages, and how many
        for numbers, nodes in self._levels(self._blocks):
            parts += [(numbers.astype(np.int64), np.ones(len(numbers), np.int64)), self._own(nodes)]
        for numbers, nodes in self._levels(self._list):
            parts.append((numbers.astype(np.int64), np.ones(len(numbers), np.int64)))
            first, count = self._own(nodes)
            # A longer value may have been there before: LMDB leaves it the pages.
            said = np.array([self._said_of_own(*own) for own in zip(first, count, strict=True)])
            parts.append((first, said.astype(np.int64)))
            parts += [(free, np.ones_like(free)) for free in self._free(nodes)]
        first, count = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(first)
        first, count = first[order], count[order]
        twice = np.flatnonzero(first[:-1] + count[:-1] > first[1:])
        if len(twice):
            raise ValueError(f"page {first[twice[0] + 1]} is used twice, or used and free")

    def check_own_pages(self) -> None:
        """Check what LMDB believes of the blocks' own pages when it frees them."""
        for _, nodes in self._levels(self._blocks):
            for first, count in zip(*self._own(nodes), strict=True):
                if self._said_of_own(first, count) != count:
                    raise ValueError(f"page {first} is not the first of {count} of a block")

    def _levels(self, tree: Tree) -> Iterator[tuple[Numbers, Nodes]]:
        """The numbers of some pages at a time, and what is on them, level by level."""
        root = np.array([[tree.root], [tree.keys.start], [tree.keys.stop]], np.uint64)
        level, seen = Level(*root), 0
        for above in reversed(range(tree.depth)):
            seen += len(level.numbers)
            if seen > self._last:
                raise ValueError("a page of a tree is there twice")
            below = []
            for start in range(0, len(level.numbers), AT_ONCE):
                pages = level.part(start)
                nodes = self._nodes(pages, IS_BRANCH if above else IS_LEAF, tree.order)
                yield pages.numbers, nodes
                below.append(nodes.below)
            if above:
                level = Level(*map(np.concatenate, zip(*below, strict=True)))

    def _nodes(self, level: Level, flags: int, order: str) -> Nodes:
        """What is on these pages, if they are what they should be."""
        size, numbers = self._page_size, level.numbers
        refuse(numbers, (numbers < METAS) | (numbers > self._last), NO_PAGE)
        read = [self._read(number, size) for number in numbers.tolist()]
        data = b"".join([*read, bytes(NODE_MOST)])
        words = np.frombuffer(data, "<u2")
        pages = words[: len(numbers) * size // 2].reshape(len(numbers), size // 2)
        said = pages[:, :4].copy().view("<u8")[:, 0]
        lower, upper = pages[:, 6].astype(np.int64), pages[:, 7].astype(np.int64)
        counts = (lower - HEADER_BYTES) // 2
        wrong = (said != numbers) | (pages[:, 5] != flags)
        wrong |= (lower > upper) | (upper > size) | (counts < (2 if flags == IS_BRANCH else 1))
        refuse(numbers, wrong, NO_PAGE)
        used = np.arange(counts.max()) < counts[:, np.newaxis]
        at = pages[:, HEADER_BYTES // 2 :][:, : used.shape[1]][used].astype(np.int64)
        owner = np.repeat(np.arange(len(numbers)), counts)
        wrong = (at < upper[owner]) | (at > size - WORD.size) | (at % 2 > 0)
        refuse(numbers[owner], wrong, NO_NODE)
        # Header, key and number, or where a page ends before, what is on the next.
        start = (owner * size + at) // 2
        header, keys, number = words[start[:, np.newaxis] + np.arange(NODE_MOST // 2)].view("<u8").T
        keys = keys.view(order).astype(np.uint64)
        key_bytes = (header >> 48).astype(np.int64)
        places = 2 * start + WORD.size + key_bytes
        end = at + WORD.size + key_bytes
        heads = np.concatenate(([0], np.cumsum(counts)[:-1]))
        if flags == IS_BRANCH:
            keys[heads] = level.low
            wrong = np.zeros(len(at), bool)
            wrong[heads] = (key_bytes[heads] != 0) & (key_bytes[heads] != KEY_BYTES)
            key_bytes[heads] = KEY_BYTES  # there LMDB leaves it out
            below, lengths = header & NUMBER_MASK, np.zeros(len(at), np.int64)
        else:
            lengths = (header & LENGTH_MASK).astype(np.int64)
            marks = header >> 32 & MARK_MASK
            elsewhere = marks == IS_ELSEWHERE
            below = np.where(elsewhere, number, 0)
            end += np.where(elsewhere, WORD.size, lengths)
            wrong = (marks > IS_ELSEWHERE) | (lengths == 0) | (elsewhere & (number < METAS))
        # Each key is below the next, or what the level above says of the next page.
        following = np.append(keys[1:], level.high[-1:])
        following[np.append(heads[1:], len(at)) - 1] = level.high
        wrong |= (key_bytes != KEY_BYTES) | (keys < level.low[owner]) | (keys >= following)
        wrong |= (end > size) | (below > self._last)
        refuse(numbers[owner], wrong, NO_NODE)
        refuse(numbers[owner], ~_fills(at, end, owner, heads, upper, size), NO_NODE)
        nodes = Nodes(data, Level(below, keys, following), lengths, places)
        first, count = self._own(nodes)
        if (first + count - 1 > self._last).any():
            raise ValueError("a value ends beyond the last page")
        return nodes

    # ---- values ------------------------------------------------------------------------------

    def _own(self, nodes: Nodes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first page, and how many are needed, of each value that has its own."""
        numbers = nodes.below.numbers
        elsewhere = (numbers > 0) & (nodes.lengths > 0)  # on branches the lengths are 0
        return numbers[elsewhere].astype(np.int64), self._pages_of(nodes.lengths[elsewhere])

    def _pages_of(self, length: Length) -> Length:
        """How many pages of its own a value needs."""
        return -(-(length + HEADER_BYTES) // self._page_size)

    def _said_of_own(self, first: int, needed: int) -> int:
        """How many there are by what a value's own pages say of themselves."""
        number, flags, count = OWN.unpack(self._read(first, OWN.size))
        if (number, flags) != (first, IS_OWN) or not needed <= count <= self._last + 1 - first:
            raise ValueError(f"page {first} is not the first of {needed} of a value")
        return int(count)

    def _free(self, nodes: Nodes) -> Iterator[NDArray[np.int64]]:
        """The pages that each record of the list says are free, (n,) int64."""
        columns = nodes.below.numbers, nodes.lengths, nodes.places
        for number, length, place in zip(*(column.tolist() for column in columns), strict=True):
            if not length:
                continue  # of a branch
            if number:
                value = self._read(number, length, HEADER_BYTES)
            else:
                value = nodes.data[place : place + length]
            (count,) = WORD.unpack_from(value)
            if WORD.size * (1 + count) != length:
                raise ValueError("the list of free pages is not as long as its record")
            free = np.frombuffer(value, "<u8", count, WORD.size)
            if count and not (free[-1] >= METAS and free[0] <= self._last):
                raise ValueError("the list of free pages names some that are not there")
            if (free[:-1] <= free[1:]).any():
                raise ValueError("the list of free pages is not in order")
            yield free.astype(np.int64)


def _fills(
    at: NDArray[np.int64],
    end: NDArray[np.int64],
    owner: NDArray[np.int64],
    heads: NDArray[np.int64],
    upper: NDArray[np.int64],
    size: int,
) -> NDArray[np.bool_]:
    """Whether nodes, (n,), fill their pages from `upper` to the end with no gap and no overlap.

    Each begins where the one before ends, rounded up to an even place; writers move them by that.
    """
    order = np.lexsort((at, owner))
    start, stop = at[order], (end + end % 2)[order]
    expected = np.concatenate(([0], stop[:-1]))
    expected[heads] = upper
    good: NDArray[np.bool_] = start == expected
    tails = np.append(heads[1:], len(at)) - 1
    good[tails] &= stop[tails] == size
    return good
