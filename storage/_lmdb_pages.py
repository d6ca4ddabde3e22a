"""LMDB's list of the pages that may be used again, looked over before LMDB itself relies on it.

LMDB believes that list: a number too large in it, or a length, sends the process that writes next
out of the file, which ends it. What is in the tree of blocks, LMDB checks as it reads.

The list is a tree of pages that are described in LMDB's mdb.c (`MDB_meta`, `MDB_db`, `MDB_page`,
`MDB_node`): its keys are transactions, its values the pages that each has freed, in midl.h's way.
"""

import os
import struct
from collections.abc import Iterator

import numpy as np

META = struct.Struct("<8x 8x 8x 40x Q 48x Q Q")
"""Of a meta page: the root of the list, the file's last page, the transaction."""
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


class FreeList:
    """The list of free pages in the open file `descriptor`, of pages of `page_size` bytes."""

    def __init__(self, descriptor: int, page_size: int) -> None:
        self._descriptor = descriptor
        self._page_size = page_size
        metas = [META.unpack(self._read(i, META.size, META_AT)) for i in range(METAS)]
        self._root, self._last, _ = max(metas, key=lambda meta: meta[-1])

    def check(self) -> None:
        """Raise ValueError, or struct.error, where it cannot be right."""
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
        ahead = [] if self._root == NO_ROOT else [self._root]
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
