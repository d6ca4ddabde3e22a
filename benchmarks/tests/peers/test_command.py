"""`python -m benchmarks.peers`, as a user runs it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.contenders.peers import PEERS
from benchmarks.harness.interruption import EXIT_CODE
from benchmarks.peers.__main__ import _parse as parse
from benchmarks.peers.__main__ import main
from benchmarks.report.__main__ import main as report
from benchmarks.results.runs import load
from benchmarks.tests.report.drawing import draw_only
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment, skip_if_ignored

BRIEF = (
    *("--dataset=standin", "--cutoff=10", "--round-budget=0.01", "--sweeps=2"),
    "-pno:cacheprovider",
)


def command(
    *arguments: str, plugins: Path | None = None, module: str = "benchmarks.peers"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=environment(plugins),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run of two peers prints, and the file that it saves."""
    folder = tmp_path_factory.mktemp("saved")
    done = command("peer-tar", "peer-npy", f"--benchmark-storage={folder}", *BRIEF)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.rglob("*.json")
    return done.stdout, path


def test_two_peers_are_one_run_beside_the_limit_and_the_stores(saved: tuple[str, Path]) -> None:
    run = load(str(saved[1]))
    assert run.unreadable == run.strangers == ()
    stores = {"png", "lmdb", "hdf5"}
    peers = {"peer-npy", "peer-tar"}
    assert {key[2] for key in run.rows} == {"limit"} | stores | peers
    for operation in ("store_many", "read_many", "read_single"):
        assert {row.key[2] for row in run.of(operation)} == {"limit"} | stores | peers
    for operation in ("read_batch", "epoch"):
        assert {row.key[2] for row in run.of(operation)} == stores | peers
    for variant in ("1 process", "2 processes", "4 processes"):
        assert {row.key[2] for row in run.of("parallel_read", variant)} == stores | peers
    assert {key[0] for key in run.rows}.isdisjoint(("append", "commits", "store_single"))
    assert "numpy" in run.machine["peer_libraries"]


def test_it_prints_its_progress_the_table_and_where_it_is_saved(saved: tuple[str, Path]) -> None:
    printed, path = saved
    lines = printed.splitlines()
    assert lines[:2] == ["peer-npy, 1 of 2", "peer-tar, 2 of 2"]
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert rows[1:] == ["| png", "| lmdb", "| hdf5", "| limit", "| peer-npy", "| peer-tar"]
    assert lines[-1] == f"saved as {path}"


def test_compare_and_the_report_read_it(
    saved: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = saved
    storage = f"--storage={path.parents[1]}"
    compared = command(storage, "compare", "0001", module="pytest_benchmark")
    assert compared.returncode == 0, compared.stderr
    assert "test_read_batch[peer-npy-n=10]" in compared.stdout
    draw_only(monkeypatch)
    assert report([str(path), f"--out={tmp_path / 'out'}"]) == 0
    assert "peer-tar" in (tmp_path / "out" / "index.html").read_text()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for i in range(6):
        (tmp_path / "photos" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        noise = chance.integers(0, 256, (8 + i, 9, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / str(i % 2) / f"{i}.png")
    return tmp_path / "photos"


def test_of_pictures_only_peers_that_can_hold_them_are_measured_beside_the_rows_of_files(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PEERS.keys() - {"peer-npy", "peer-tar"}:
        monkeypatch.delitem(PEERS, name)
    names, beside, _, options = parse([f"--dataset={pictures}", "--cutoff=6"])
    assert names == ["peer-tar"]
    assert {*beside} == {
        *("limit", "png", "lmdb", "hdf5"),
        *("limit-encoded", "files-encoded", "lmdb-encoded", "hdf5-encoded"),
    }
    assert options == ["--cutoff=6", f"--dataset={pictures}"]
    with pytest.raises(SystemExit, match="2"):
        parse(["peer-npy", f"--dataset={pictures}"])
    storage = tmp_path / "saved"
    options = [f"--dataset={pictures}", *BRIEF[1:], "--cutoff=6", f"--benchmark-storage={storage}"]
    options.append("-k=store_many or read_many")  # all operations would take a minute
    done = command("peer-tar", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| peer-tar |")]
    assert "×" in line
    (path,) = storage.rglob("*.json")
    assert {key[2] for key in load(str(path)).rows} == {*beside, "peer-tar"}


BROKEN = """
from benchmarks.contenders.rows import find_row

peer = type(find_row("peer-npy"))
write = peer.write


def write_wrongly(self, path, images, labels, durable):
    write(self, path, images + 1, labels, durable)


peer.write = write_wrongly
"""


def test_a_peer_that_returns_something_else_is_named_and_has_no_figure(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    storage = tmp_path / "saved"
    done = command(
        *("peer-npy", f"--benchmark-storage={storage}", *BRIEF, "-pbroken", "-k=read_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 1, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("peer-npy FAILED: ")]
    assert "pixels differ from the data's" in line
    (path,) = storage.rglob("*.json")
    backends = {one["extra_info"]["backend"] for one in json.loads(path.read_text())["benchmarks"]}
    assert backends == {"limit", "png", "lmdb", "hdf5"}


def test_an_option_that_is_wrong_ends_it_before_anything_is_saved(tmp_path: Path) -> None:
    done = command("peer-npy", f"--benchmark-storage={tmp_path}", "--cutoff=none")
    assert done.returncode == 2
    assert done.stderr.startswith("--cutoff: 'none' is not a number of images")
    assert [*tmp_path.iterdir()] == []


def test_a_place_where_it_cannot_be_saved_is_refused_at_once(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    done = command("peer-npy", f"--benchmark-storage={file / 'runs'}", *BRIEF)
    assert done.returncode == 2
    assert f"--benchmark-storage: {file} is not a directory" in done.stderr


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    skip_if_ignored(signal.SIGTERM)
    stores, storage = tmp_path / "stores", tmp_path / "saved"
    stores.mkdir()
    options = (f"--store-dir={stores}", f"--benchmark-storage={storage}", *BRIEF)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers", "peer-npy", *options],
        cwd=REPOSITORY,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + SECONDS
    while not [*stores.iterdir()] and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    _, printed = process.communicate(timeout=SECONDS)
    assert process.returncode == EXIT_CODE
    assert printed == "interrupted: nothing was saved, and all temporary files are removed\n"
    assert [*stores.iterdir()] == []
    assert not storage.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("peer-paper", "there is no 'peer-paper'; choose among peer-npy, "),
        ("hdf5", "there is no 'hdf5'; choose among peer-npy, "),
        ("peer-mds", "peer-mds needs no-such-package, which is not installed; `pip install -r "),
    ],
)
def test_a_name_that_cannot_be_measured_is_refused(
    name: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = PEERS["peer-mds"]._replace(package="no-such-package")
    monkeypatch.setitem(PEERS, "peer-mds", missing)
    with pytest.raises(SystemExit) as ended:
        main([name])
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
