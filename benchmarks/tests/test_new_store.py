"""A store that nobody has foreseen: a module and its line, and it is in every benchmark."""

import re
import shutil
from pathlib import Path

import pytest

from .runs import REPOSITORY, run

MODULE = '''
"""Keeps records in memory: a store by the contract, as long as one process writes and reads."""

import numpy as np

from ._base import Store
from ._errors import CorruptRecordError
from ._records import checksum

STORES = {}  # real path: its records, each (image, label, checksum)


class MemoryStore(Store):
    format = "memory"

    @property
    def _records(self):
        return STORES[self.path.resolve()]

    def _create(self):
        STORES[self.path.resolve()] = []

    def _is_own(self, name):
        return False

    def _attach(self, names):
        return len(self._records)

    def _append(self, batch):
        new = []
        for slab in batch.slabs():
            for image, label in zip(slab.images.copy(), slab.labels.tolist()):
                image_id = batch.first + len(new)
                new.append((image, label, checksum(image_id, label, image.shape, image)))
        self._records.extend(new)

    def _read(self, ids):
        records = [self._records[i] for i in ids]
        for i, (image, label, known) in zip(ids.tolist(), records):
            if self._check and checksum(i, label, image.shape, image) != known:
                raise CorruptRecordError(f"{self.path}: image {i} is not what was stored")
        images = [image.copy() for image, _, _ in records]
        one_shape = len({image.shape for image in images}) == 1
        labels = np.array([label for _, label, _ in records], np.int64)
        return np.stack(images) if one_shape else images, labels

    def _labels(self):
        return np.array([label for _, label, _ in self._records[: len(self)]], np.int64)

    def _compact(self):
        pass

    def _detach(self):
        pass

    # Another process has none of these records unless they are sent along.

    def __getstate__(self):
        return super().__getstate__() | {"records": self._records}

    def __setstate__(self, state):
        super().__setstate__(state)
        STORES[self.path.resolve()] = state["records"]
'''

BEFORE = '            "storage._lmdb:LmdbStore",\n'
LINE = '            "storage._memory:MemoryStore",\n'
"""The one line of the registry that the store needs, and the one that it comes after."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more store, without the tests of the tools: this is one."""
    copy = tmp_path_factory.mktemp("copy")
    caches = "__pycache__"
    shutil.copytree(REPOSITORY / "storage", copy / "storage", ignore=shutil.ignore_patterns(caches))
    without = shutil.ignore_patterns(caches, "tests")
    shutil.copytree(REPOSITORY / "benchmarks", copy / "benchmarks", ignore=without)
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(REPOSITORY / name, copy)
    (copy / "storage" / "_memory.py").write_text(MODULE)
    registry = copy / "storage" / "_registry.py"
    listed = registry.read_text()
    assert listed.count(BEFORE) == 1
    registry.write_text(listed.replace(BEFORE, BEFORE + LINE))
    return copy


def test_a_new_store_goes_through_every_benchmark(repository: Path) -> None:
    done = run("--benchmark-disable", "-v", "-k", "memory", repository=repository)
    assert done.returncode == 0, done.stdout
    operations = ("store_many", "append", "read_single", "read_many", "read_batch", "epoch")
    ways = ("iterate[memory-n=10-single", "iterate[memory-n=10-slice")
    teams = [f"parallel_read[memory-n=10-processes={processes}" for processes in (1, 2, 4)]
    names = [f"{operation}[memory-n=10" for operation in operations]
    commits = [f"commits_{what}" for what in ("store[memory", "open[memory", "read[memory-read")]
    for name in ("store_single[memory", *names, *ways, *teams, *commits):
        assert f"::test_{name}] PASSED" in done.stdout
    assert " 16 passed, " in done.stdout


def test_a_new_store_goes_through_every_contract_test(repository: Path) -> None:
    # Not the tests of damage and of several processes: this one has no files, and only one process.
    done = run("-k", "memory", tests="storage/tests/test_contract.py", repository=repository)
    assert done.returncode == 0, done.stdout
    assert re.search(r" \d{2,} passed, \d+ deselected", done.stdout)


def test_a_new_store_is_in_the_tables_where_the_registry_lists_it(
    repository: Path, tmp_path: Path
) -> None:
    done = run(
        f"--store-dir={tmp_path}",
        "--backend=limit,memory,png",
        *("-k", "read_many or iterate"),
        repository=repository,
    )
    assert done.returncode == 0, done.stdout
    summary = done.stdout.split(" image storage benchmark ")[1].splitlines()
    rows = [line.split()[0] for line in summary if line.startswith(("png", "memory", "limit"))]
    assert rows == ["png", "memory", "limit", "png", "png", "memory", "memory"]
