"""The peers: each that is installed does the same work as every row."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.contenders import peers
from benchmarks.contenders.base import Image, Labels
from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.peers.base import InOrderFileReader, Peer
from benchmarks.contenders.rows import ROWS
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment, run

from .test_contenders import IMAGES, LABELS

FOLDER = REPOSITORY / "benchmarks" / "contenders" / "peers"
MOST_LINES = 100
NEED_NO_MORE = {
    *("peer-npy", "peer-sqlite", "peer-h5py", "peer-h5py-default", "peer-lmdb", "peer-tar"),
}
"""Peers that need the standard library, or what the project itself needs."""
CLAIMED = os.environ.get("REQUIRE_PEERS", "")
"""The requirements file whose peers are all said to be installed here; then none is skipped."""

IN_ORDER_ONLY = {"peer-webdataset", "peer-litdata"}
ALL_TESTS, TESTS_IN_ORDER = 10, 4
"""Benchmarks of a peer at one cutoff."""
ALL_FILE_TESTS, FILE_TESTS_IN_ORDER = 19, 7
"""The same of pictures, most of them twice."""

each_peer = pytest.mark.parametrize("name", PEERS)


def skip_if_missing(name: str) -> None:
    if lacking := peers.lacks(name):
        assert PEERS[name].requirements != CLAIMED, lacking
        pytest.skip(lacking)


def test_those_that_need_no_more_than_the_project_are_installed() -> None:
    assert {name for name in PEERS if not peers.lacks(name)} >= NEED_NO_MORE


def test_their_names_are_no_others() -> None:
    assert not PEERS.keys() & ROWS.keys()
    assert all(name.startswith("peer-") for name in PEERS)


def test_each_module_is_listed_short_and_says_which_versions_it_is_for() -> None:
    modules = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
    shared = {"__init__", "archives", "base", "tables"}
    assert {entry.module for entry in PEERS.values()} == modules.keys() - shared
    for name in {entry.module for entry in PEERS.values()}:
        assert len(modules[name].splitlines()) <= MOST_LINES
        docstring = modules[name].split('"""')[1]
        assert "https://" in docstring
        assert any(character.isdigit() for character in docstring) or name == "tar"


def test_each_package_is_in_a_requirements_file() -> None:
    projects = (REPOSITORY / "requirements.txt").read_text()
    for entry in PEERS.values():
        own = (FOLDER / entry.requirements).read_text()
        assert entry.package is None or f"\n{entry.package}>=" in f"\n{own}{projects}"


@each_peer
def test_it_returns_what_was_stored(name: str, tmp_path: Path) -> None:
    skip_if_missing(name)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tests.contenders.peer_contract", name, str(tmp_path)],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_passes(names: Iterable[str], all_tests: int, in_order: int, *options: str) -> None:
    """All in one run, since starting one takes as long as a peer's benchmarks."""
    found = [name for name in names if not peers.lacks(name)]
    done = run(
        *("--benchmark-disable", "-v", f"--backend={','.join(found)}", *options),
        tests="benchmarks/operations",
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"\[(peer-[a-z0-9-]+?)(?:-bytes)?-n=.* PASSED", done.stdout)
    assert Counter(passed) == {
        name: in_order if name in IN_ORDER_ONLY else all_tests for name in found
    }, done.stdout


def test_those_installed_go_through_every_benchmark_that_they_have() -> None:
    assert_passes(PEERS, ALL_TESTS, TESTS_IN_ORDER)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(12):
        folder = tmp_path / "photos" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (8 + i, 9), (i, 0, 0)).save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_those_that_keep_files_go_through_every_benchmark_of_pictures(photos: Path) -> None:
    names = [name for name, entry in PEERS.items() if entry.keeps_files]
    assert_passes(names, ALL_FILE_TESTS, FILE_TESTS_IN_ORDER, f"--dataset={photos}")


# ---- one that is missing ---------------------------------------------------------------------


def test_a_missing_one_is_named_in_a_line_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = peers.Entry("arrow", "no-such-package")
    monkeypatch.setitem(PEERS, "peer-arrow", entry)
    expected = (
        "peer-arrow needs no-such-package, which is not installed;"
        " `pip install -r benchmarks/contenders/peers/requirements.txt`"
    )
    assert peers.lacks("peer-arrow") == expected
    with pytest.raises(ImportError) as caught:
        peers.load("peer-arrow")
    assert str(caught.value) == expected
    assert peers.versions(["peer-arrow", "lmdb", "peer-tar"]) == {}


MISSING = """
from benchmarks.contenders.peers import PEERS, Entry

PEERS["peer-npy"] = Entry("npy", "no-such-package")
"""


def test_a_run_with_a_missing_one_ends_in_that_line(tmp_path: Path) -> None:
    (tmp_path / "missing.py").write_text(MISSING)
    done = run("-p", "missing", "--backend=peer-npy,lmdb", plugins=tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout.split("\n")[0].startswith("ERROR: --backend: peer-npy needs no-such-package")
    assert "Traceback" not in done.stdout


# ---- what they share -------------------------------------------------------------------------


class Nested(Peer):
    """A peer that writes a file in a folder, and reads nothing."""

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        (path / "inner").mkdir()
        (path / "inner" / "file").write_bytes(images.tobytes())


@pytest.mark.parametrize("durable", [True, False])
def test_durable_syncs_every_file_and_every_folder(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_dev, status.st_ino))

    monkeypatch.setattr(os, "fsync", note)
    store = tmp_path / "store"
    Nested("peer-nested").store_many(store, IMAGES, LABELS, durable)
    new = [store / "inner" / "file", store / "inner", store, tmp_path]
    statuses = [path.stat() for path in new] if durable else []
    assert synced == [(status.st_dev, status.st_ino) for status in statuses]


class Counted(InOrderFileReader):
    """Files that say which they are."""

    def one_by_one(self) -> Iterator[tuple[bytes, int]]:
        return ((b"%d" % i, i) for i in range(9))


def test_files_that_are_read_in_order_only_are_read_from_the_first(tmp_path: Path) -> None:
    opened = Counted(tmp_path)
    for _ in range(2):
        files, labels = opened[0:3]
        assert (files, labels.tolist()) == ([b"0", b"1", b"2"], [0, 1, 2])
    with pytest.raises(NotImplementedError, match="they are read in order only"):
        opened[2:4]
    with pytest.raises(NotImplementedError, match="Counted reads in order only"):
        opened.read_many(np.array([0, 1]))


def test_a_peer_takes_no_part_in_storing_one_image(tmp_path: Path) -> None:
    peer = peers.load("peer-npy")
    assert "store_single" not in peer.operations
    with pytest.raises(NotImplementedError, match="peer-npy takes no part in store_single"):
        peer.create(tmp_path / "store", durable=True)
    with pytest.raises(NotImplementedError, match="peer-npy takes no part in store_single"):
        peer.store_single(tmp_path / "store", IMAGES[0], 1, durable=True)
