"""`python -m storage convert` with workers of its own, or with those of a Dask cluster."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ... import __main__ as command
from ... import convert, open_store
from ...conversion import executors
from ..children import in_child
from .engines import ROOT, Machines
from .photos import photo, plant_photos, tree_of

SMALL = """
import sys
from storage import __main__ as command
from storage.conversion import plan
plan.PART_BYTES = 2_000
if __name__ == "__main__":
    sys.exit(command.main(sys.argv[1:]))
"""
SECONDS = 60
N = 1_000
"""Pictures of a conversion that is stopped in the middle."""


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command, with parts of a few pictures."""
    return subprocess.Popen(  # our own command
        [sys.executable, "-c", SMALL, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.01)


def workers_of(pid: int) -> list[int]:
    """The workers of a command, without the process that `multiprocessing` keeps beside them."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [
        each for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_make_what_one_process_makes(photos: Path, tmp_path: Path) -> None:
    results = []
    for more in ([], ["--workers", "2"]):
        dst = tmp_path / f"store{len(more)}"
        process = start("convert", photos, dst, "--format", "lmdb", "--on-error", "skip", *more)
        said, told = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, told
        assert f"{dst}: lmdb, 84 images of 5 classes" in said
        assert "skipped class 0/000003.png: " in told
        results.append(tree_of(dst))
    assert results[0] == results[1]
    assert len(results[0]) > 2 * 12


def test_the_command_tells_what_decoding_changes(tmp_path: Path) -> None:
    """Also where workers convert, and no table is made before."""
    photos = plant_photos(tmp_path / "photos", 1)
    for i in range(2):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(photos / "class 0" / f"{i}.png")
    process = start("convert", photos, tmp_path / "store", "--format", "npy", "--workers", "1")
    _, told = process.communicate(timeout=SECONDS)
    assert told == "changed: 2 L to RGB\n"


def test_wrong_engines_are_refused(photos: Path, tmp_path: Path) -> None:
    for wrong in (
        ["--workers", "0"],
        ["--workers", "9" * 30],
        ["--workers", "2", "--dask", "x"],
        ["--dask", ""],
    ):
        process = start("convert", photos, tmp_path / "store", *wrong)
        process.communicate(timeout=SECONDS)
        assert process.returncode == 2
    process = start("convert", photos, tmp_path / "store", "--dask", "nonsense")
    assert "give tcp://HOST:PORT" in process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 1
    process = start("convert", photos, tmp_path / "out", "--format", "folder", "--workers", "2")
    assert "by one process" in process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 1
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_hangs_is_ended_with_the_command(
    number: signal.Signals, tmp_path: Path
) -> None:
    photos = plant_photos(tmp_path / "photos", N)
    process = start("convert", photos, tmp_path / "store", "--workers", "2")
    until(lambda: [*(tmp_path / ".tmp-store" / "new").glob("0*")])
    workers = workers_of(process.pid)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    process.send_signal(number)
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert "what is finished is kept" in told.splitlines()[-1]
    until(lambda: not any(map(is_running, workers)))
    again = start("convert", photos, tmp_path / "store", "--workers", "2")
    again.communicate(timeout=SECONDS)
    assert again.returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]
    with open_store(tmp_path / "store") as store:
        assert len(store) == N
        assert store[N - 1][0].shape == (8, 8, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("is_ignored", [False, True])
def test_an_ignored_signal_stays_ignored(
    number: int, is_ignored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `nohup` asks."""

    def send(_: Any) -> int:
        os.kill(os.getpid(), number)
        return 0

    monkeypatch.setattr(command, "_verify", send)

    def run() -> Any:
        signal.signal(number, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
        try:
            return command.main(["verify", str(tmp_path)])
        except SystemExit as error:
            return error.code

    assert in_child(run) == (0 if is_ignored else 128 + number)


def test_workers_end_with_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    photos = plant_photos(tmp_path / "photos", N)
    process = start("convert", photos, tmp_path / "store", "--workers", "2")
    until(lambda: [*(tmp_path / ".tmp-store" / "new").glob("0*")])
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    until(lambda: not any(map(is_running, workers)))


def test_a_killed_worker_is_told_in_a_line_and_the_command_goes_on(tmp_path: Path) -> None:
    photos = plant_photos(tmp_path / "photos", N)
    arguments = ("convert", photos, tmp_path / "store", "--workers", "2")
    process = start(*arguments)
    until(lambda: [*(tmp_path / ".tmp-store" / "new").glob("0*")])
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    error, note = told.splitlines()
    assert error.startswith("error: the executor gave up on part ")
    assert note.startswith("what is finished is kept")
    again = start(*arguments)
    again.communicate(timeout=SECONDS)
    assert again.returncode == 0


def test_without_dask_the_command_says_what_to_install(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    dst = str(tmp_path / "store")
    assert command.main(["convert", str(photos), dst, "--dask", "tcp://127.0.0.1:1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"run: pip install '{executors.DASK}'")


def test_the_library_does_not_import_dask() -> None:
    code = "import sys, storage, storage.__main__; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # our own code


# ---- several machines ----------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Dask cluster of two worker processes."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as made:
        yield made


@pytest.mark.usefixtures("small_parts")
def test_dask_makes_what_one_process_makes(cluster: Any, photos: Path, tmp_path: Path) -> None:
    from distributed import Client

    convert(photos, tmp_path / "alone", on_error="skip")
    with Client(cluster, set_as_default=False) as client:
        executor = client.get_executor()
        done = convert(photos, tmp_path / "store", on_error="skip", executor=executor)
    assert (done.images, len(done.skipped)) == (84, 16)
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")
    process = start(
        "convert",
        photos,
        tmp_path / "again",
        "--on-error",
        "skip",
        "--dask",
        cluster.scheduler_address,
    )
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told
    assert tree_of(tmp_path / "again") == tree_of(tmp_path / "alone")


@pytest.mark.usefixtures("small_parts")
def test_a_worker_of_dask_is_killed(cluster: Any, tmp_path: Path) -> None:
    """Dask gives its tasks to another, also some that it had finished."""
    from distributed import Client

    photos = plant_photos(tmp_path / "photos", N)
    convert(photos, tmp_path / "alone")
    with Client(cluster, set_as_default=False) as client:
        pids = [*client.run(os.getpid).values()]

        def killing(numbers: range) -> Iterator[int]:
            for i in numbers:
                if i == N // 4:
                    os.kill(pids[0], signal.SIGKILL)
                yield i

        executor = client.get_executor()
        convert(photos, tmp_path / "store", executor=executor, progress=killing)
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "store"]


@pytest.mark.usefixtures("small_parts")
def test_two_machines_that_share_only_a_folder(photos: Path, tmp_path: Path) -> None:
    """Where it can be, each has its own network, shared memory and mounts."""
    apart = ["unshare", "--net", "--ipc", "--uts", "--mount"]
    can = os.geteuid() == 0 and not subprocess.run([*apart, "true"], check=False).returncode
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
    convert(photos, tmp_path / "alone", on_error="skip")
    machines = Machines(homes, apart if can else [])
    try:
        convert(photos, tmp_path / "store", on_error="skip", executor=machines)
    finally:
        machines.close()
    assert all(machines.parts.values())  # both have written some
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")
    assert [os.listdir(home) for home in homes] == [[], []]


@pytest.mark.usefixtures("small_parts")
def test_a_folder_without_file_locks_is_enough(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, which locks no folders."""

    def refuse(*_: object) -> None:
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr("fcntl.flock", refuse)
    done = convert(photos, tmp_path / "store", on_error="skip")
    with open_store(done.path) as store:
        assert len(store) == 84
        assert photo(0) == store.read_bytes([0])[0]  # type: ignore[attr-defined]  # it keeps files
