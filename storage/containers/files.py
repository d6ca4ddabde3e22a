"""Files: one for each image, named by its id, and a table of labels, `metadata.csv`.

    table = list(csv.DictReader(open("metadata.csv", newline="")))  # file_name, label, id
    image, label = Image.open(table[i]["file_name"]), int(table[i]["label"])

Hugging Face's ImageFolder needs the first two columns; the third is there to sort its rows.
"""

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count

from .._checksum import Labels
from .._errors import CorruptStoreError
from .._files import READING, Folder
from .._index import INDEX, Index, PartCells, Structure
from ..payloads.base import Cell, in_threads
from .base import Container, Reader

TABLE = "metadata.csv"
MORE_BYTES = 2**20
"""A file that a tool has rewritten may have twice its old bytes and this many more."""


class FilesContainer(Container):
    """A file for each cell; suffix: how its name ends."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def _name(self, image_id: int) -> str:
        return f"{image_id:012d}{self._suffix}"

    def files(self, first: int, stop: int) -> Collection[str]:
        return [TABLE, *map(self._name, range(first, stop))]

    def write(self, folder: Folder, cells: PartCells) -> Structure:
        names = map(self._name, count(cells.first))
        for some in cells:
            named = [*zip(some, names, strict=False)]
            size = sum(map(len, some))
            in_threads(lambda one: folder.write(one[1], memoryview(one[0])), named, size)
        folder.write(TABLE, self._table(cells.first, cells.labels))
        return Structure()

    def _table(self, first: int, labels: Labels) -> bytes:
        lines = (f"{self._name(i)},{label},{i}\n" for i, label in enumerate(labels.tolist(), first))
        return ("file_name,label,id\n" + "".join(lines)).encode()

    def renumber(self, folder: Folder, labels: Labels, first: int, new_first: int) -> None:
        for row in range(len(labels)):  # upwards, so that the new name is always free
            folder.rename(self._name(first + row), self._name(new_first + row))
        folder.remove(TABLE)
        folder.write(TABLE, self._table(new_first, labels))

    def open(self, folder: Folder, index: Index) -> Reader:
        return FilesReader(folder, index, self._name)

    def check(self, folder: Folder, index: Index) -> None:
        """Check the table of labels, which other tools need."""
        file, table = folder.open(TABLE), self._table(index.first, index.table["label"])
        if file.size != len(table) or file.read(file.size) != table:
            raise index.broken(f"the labels in {TABLE} are not those of {INDEX}")


class FilesReader(Reader):
    """A folder of files, held open."""

    def __init__(self, folder: Folder, index: Index, name: Callable[[int], str]) -> None:
        super().__init__(index)
        self._folder, self._name = folder, name

    def cell(self, row: int, offset: int, size: int) -> Cell:
        name = self._name(self._index.first + row)
        if size < MORE_BYTES:  # `read` gets memory for what an index claims
            with suppress(OSError):  # told below, which takes two system calls more
                number = os.open(name, READING, dir_fd=self._folder.number)
                try:
                    data = os.read(number, size + 1)
                finally:
                    os.close(number)
                if len(data) == size:
                    return data
        try:
            file = self._folder.open(name)
        except CorruptStoreError as error:
            raise self._index.damaged(row, f"{name} is a link, or of the wrong type") from error
        if file.size > 2 * size + MORE_BYTES:
            raise self._index.damaged(row, f"{name} is much longer than it was")
        return file.read(file.size)
