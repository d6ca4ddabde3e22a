"""LMDB's two trees of pages, looked over before LMDB itself relies on them.

One is of the blocks of images, the other lists the pages that may be used again, which only a
writer reads: its keys are transactions, its values the pages that each has freed, in midl.h's way.
LMDB believes both: an offset or a length that is too large sends the process out of the file, which
ends it. The pages are described in LMDB's mdb.c (`MDB_meta`, `MDB_db`, `MDB_page`, `MDB_node`).
"""

import os
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

META = struct.Struct("<8x 8x 8x 4xH2x32xQ 4xHH32xQ Q Q")
"""Of a meta page: for each tree its flags and root, for that of blocks how deep it is between these;
then the file's last page and the transaction.
"""
LIST_FLAGS, BLOCKS_FLAGS = 8, 0
"""Integer keys, and none: with others LMDB would take the pages for those of other trees."""
META_AT = 16
METAS = 2
NO_ROOT = 2**64 - 1
PAGE = struct.Struct("<Q 2x 3H")
"""The page's number, its flags, and where its free space begins and ends."""
OVERFLOW = struct.Struct("<Q 2x H I")
"""The first page's number, its flags, and how many there are."""
NODE = struct.Struct("<4H")
"""The length of the value or the number of a page, in 16 bits each; flags; the key's length."""
NUMBER = struct.Struct("<Q")
IS_BRANCH, IS_LEAF, IS_OVERFLOW = 1, 2, 4
IS_ELSEWHERE = 1
"""Flag of a node whose value is on pages of its own."""


def check_blocks(descriptor: int, page_size: int) -> None:
    """Check the tree of blocks, again where a writer has put a meta page in place meanwhile.

    Raises ValueError, or struct.error, where to follow the tree would lead out of the file.
    """
    while True:
        pages = Pages(descriptor, page_size)
        try:
            return pages.check_blocks()
        except (ValueError, struct.error):
            if Pages(descriptor, page_size).commit == pages.commit:
                raise


class Pages:
    """The pages, of `page_size` bytes, of the newest commit in the open file `descriptor`."""

    def __init__(self, descriptor: int, page_size: int) -> None:
        self._descriptor = descriptor
        self._page_size = page_size
        metas = [META.unpack(self._read(i, META.size, META_AT)) for i in range(METAS)]
        newest = max(metas, key=lambda meta: meta[-1])
        self._list_flags, self._list, self._flags, self._depth, self._root, self._last = newest[:-1]
        self.commit = newest

    # ---- the tree of blocks, of which there may be many: with NumPy, a level at a time -------

    def check_blocks(self) -> None:
        """Raise ValueError, or struct.error, where following the tree would lead out of the file."""
        if (self._list_flags, self._flags) != (LIST_FLAGS, BLOCKS_FLAGS):
            raise ValueError("a tree is of another kind")
        if (self._root == NO_ROOT) != (self._depth == 0):
            raise ValueError("the tree has a root and no depth, or no root")
        level, seen = [self._root], 0
        for above in reversed(range(self._depth)):
            seen += len(level)
            if seen > self._last or min(level) < METAS or max(level) > self._last:
                raise ValueError("a page of the tree is not there")
            level = self._below(level, IS_BRANCH if above else IS_LEAF)

    def _below(self, numbers: list[int], kind: int) -> list[int]:
        """Check pages of one level; return the numbers of those below."""
        size = self._page_size
        data = b"".join([self._read(number, size) for number in numbers])
        pages = np.frombuffer(data, "<u2").reshape(len(numbers), size // 2)
        said = np.frombuffer(data, "<u8").reshape(len(numbers), size // 8)[:, 0]
        flags, lower, upper = pages[:, 5], pages[:, 6].astype(np.int64), pages[:, 7]
        counts = (lower - PAGE.size) // 2
        if (
            (said != np.array(numbers, np.uint64)).any()
            or (flags != kind).any()
            or (lower > upper).any()
            or (upper > size).any()
            or (counts < (2 if kind == IS_BRANCH else 1)).any()
        ):
            raise ValueError(f"one of the pages {numbers[0]} … is no page of the tree")
        most = int(counts.max())
        used = np.arange(most) < counts[:, np.newaxis]
        at = pages[:, PAGE.size // 2 : PAGE.size // 2 + most][used].astype(np.int64)
        owner = np.repeat(np.arange(len(numbers)), counts)
        if (at < upper[owner]).any() or (at > size - NODE.size).any() or (at % 2).any():
            raise ValueError(f"one of the pages {numbers[0]} … has a record where there is none")
        words = (owner * size + at) // 2
        nodes = pages.ravel()[words[:, np.newaxis] + np.arange(4)].astype(np.int64)
        low, high, third, key_length = nodes.T
        value_at = at + NODE.size + key_length
        if kind == IS_BRANCH:
            needed = value_at
        else:
            lengths, elsewhere = low | high << 16, third == IS_ELSEWHERE
            needed = value_at + np.where(elsewhere, NUMBER.size, lengths)
            if (third[~elsewhere] != 0).any():
                raise ValueError(f"one of the pages {numbers[0]} … has a record of another kind")
        if (needed > size).any():
            raise ValueError(f"one of the pages {numbers[0]} … has a record longer than it is")
        if kind == IS_BRANCH:
            below: list[int] = (low | high << 16 | third << 32).tolist()
            return below
        places = (owner * size + value_at)[elsewhere]
        self._check_elsewhere(data, places, lengths[elsewhere])
        return []

    def _check_elsewhere(
        self, data: bytes, places: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> None:
        """Refuse values that end beyond the last page; `places` in `data` name their first pages."""
        octets = np.frombuffer(data, np.uint8)[places[:, np.newaxis] + np.arange(NUMBER.size)]
        first = octets.view("<u8")[:, 0]
        pages = -(-(lengths + OVERFLOW.size) // self._page_size)
        if (first < METAS).any() or (first > self._last).any():
            raise ValueError("a block is on pages that are not there")
        if (first.astype(np.int64) + pages - 1 > self._last).any():
            raise ValueError("a block is longer than its pages")

    # ---- the list ----------------------------------------------------------------------------

    def check_list(self) -> None:
        """Raise ValueError, or struct.error, where the list of free pages cannot be right."""
        for value in self._values():
            (count,) = NUMBER.unpack_from(value)
            if NUMBER.size * (1 + count) > len(value):
                raise ValueError("it is longer than its record")
            pages = np.frombuffer(value, "<u8", count, NUMBER.size)
            if count and not (pages[-1] >= METAS and pages[0] <= self._last):
                raise ValueError("it names pages that are not there")
            if (pages[:-1] <= pages[1:]).any():
                raise ValueError("it is not in order")

    def _read(self, page: int, length: int, start: int = 0) -> bytes:
        return os.pread(self._descriptor, length, page * self._page_size + start)

    def _check_page(self, page: int, said: int, pages: int = 1) -> None:
        """Raise ValueError unless `pages` from `page` on are in the file and say so themselves."""
        if page != said or not METAS <= page <= page + pages - 1 <= self._last:
            raise ValueError(f"page {page} is another, or not there")

    def _values(self) -> Iterator[bytes]:
        ahead = [] if self._list == NO_ROOT else [self._list]
        seen = 0
        while ahead:
            page = ahead.pop()
            self._check_page(page, page)
            data = self._read(page, self._page_size)
            said, flags, lower, upper = PAGE.unpack_from(data)
            self._check_page(page, said)
            seen += 1
            if flags not in (IS_BRANCH, IS_LEAF) or seen > self._last:
                raise ValueError(f"page {page} is no page of a tree")
            if not PAGE.size <= lower <= upper <= self._page_size:
                raise ValueError(f"page {page} has not the room that it says")
            for at in struct.unpack_from(f"<{(lower - PAGE.size) // 2}H", data, PAGE.size):
                if at < upper:
                    raise ValueError(f"page {page} has a record where there is none")
                low, high, third, key_length = NODE.unpack_from(data, at)
                if flags == IS_BRANCH:
                    ahead.append(low | high << 16 | third << 32)
                else:
                    value_at = at + NODE.size + key_length
                    yield self._value(data, value_at, low | high << 16, third)

    def _value(self, data: bytes, at: int, length: int, flags: int) -> bytes:
        """The value, of `length` bytes, of a node of the page `data`."""
        if flags == IS_ELSEWHERE:
            (page,) = NUMBER.unpack_from(data, at)
            self._check_page(page, page)
            said, kind, pages = OVERFLOW.unpack(self._read(page, OVERFLOW.size))
            self._check_page(page, said, pages)
            if kind != IS_OVERFLOW or length > pages * self._page_size - OVERFLOW.size:
                raise ValueError(f"page {page} holds no value of {length} bytes")
            return self._read(page, length, OVERFLOW.size)
        if flags or at + length > len(data):
            raise ValueError("a record is longer than its page")
        return data[at : at + length]
