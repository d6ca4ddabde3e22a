"""Conversions whose workers or coordinator are killed, or whose disk is full, end as any other."""

import multiprocessing
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from .. import DiskFullError, ExecutorError, StoreExistsError, convert, open_store
from .children import fork, in_child
from .conversion.photos import photo, plant_photos, tree_of
from .disks import fill, small_disk
from .trials import Trials

KINDS = ["files-encoded", "lmdb-encoded", "hdf5-encoded"]
IMAGES, FULL_IMAGES, PARTS = 400, 20_000, 20
BAD_EVERY = 97
PER = 50
"""Of a thousand trials, 20 in each container, each of up to `KILLS` kills."""
KILLS = 3
ATTEMPTS = 5
"""How often a conversion that had ended before any kill is made again, each killed earlier."""

WORKERS, GAVE_UP, EXISTS = 2, 3, 4


class PhotosToConvert:
    """Pictures to convert, and the stores that one process makes of them."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.n = folder, n
        self.bad = {i for i in range(n) if i % BAD_EVERY == 5}
        self.photos = plant_photos(folder / "photos", n, self.bad)
        self.part_bytes = n * len(photo(0)) // PARTS
        self._trees = dict[str, dict[str, str]]()

    def convert(self, path: Path, kind: str, workers: int = 0) -> None:
        """Convert, in this process or in a pool of its own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("storage.conversion.plan.PART_BYTES", self.part_bytes)
            if not workers:
                convert(self.photos, path, kind, on_error="skip")
                return
            pool = ProcessPoolExecutor(workers, get_context("fork"))
            try:
                convert(self.photos, path, kind, on_error="skip", executor=pool)
            finally:
                for child in multiprocessing.active_children():
                    child.kill()  # or a pool may wait for ever if one was killed while it waited
                pool.shutdown()

    def tree(self, kind: str) -> dict[str, str]:
        """What must come out; it holds every picture once, in order."""
        if kind not in self._trees:
            path = self.folder / kind
            self.convert(path, kind)
            with open_store(path) as store:
                good = [i for i in range(self.n) if i not in self.bad]
                assert [int(name[8:14]) for name in store.names] == good
                store.verify()
            self._trees[kind] = tree_of(path)
        return self._trees[kind]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, all_trials: Trials) -> PhotosToConvert:
    return PhotosToConvert(
        tmp_path_factory.mktemp("scene"), FULL_IMAGES if all_trials.full else IMAGES
    )


def workers_of(coordinator: int) -> list[int]:
    with suppress(OSError):
        children = Path(f"/proc/{coordinator}/task/{coordinator}/children").read_text()
        return [int(child) for child in children.split()]
    return []


def kill(pid: int) -> bool:
    """Whether there was something to kill; one that has ended waits for its parent."""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        os.kill(pid, signal.SIGKILL)
        return state != "Z"
    return False


class Run:
    """A conversion in processes of its own, and what its coordinator came to."""

    def __init__(self, convert: Callable[[], None], said: Path) -> None:
        def lead() -> None:
            os.setpgid(0, 0)
            try:
                convert()
            except ExecutorError:  # a worker was killed
                os._exit(GAVE_UP)
            except StoreExistsError:  # the coordinator was killed when all was done
                os._exit(EXISTS)
            except BaseException:
                said.write_text(traceback.format_exc())
                raise

        self.pid = fork(lead)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def end(self) -> None:
        """Kill the workers that are left: they wait for orders for ever."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_times(
    kind: str, scene: PhotosToConvert, tmp_path: Path, trials: Trials
) -> None:
    """A worker or the coordinator, again and again; orphans go on while the next run works."""
    expected = scene.tree(kind)
    begun = time.monotonic()
    scene.convert(tmp_path / "timed", kind, WORKERS)
    seconds = time.monotonic() - begun
    with trials.of("killed while converting", kind) as tally:
        for trial in trials.numbers(PER):
            chance, path = np.random.default_rng(trial), tmp_path / str(trial)
            outcome, detail, kills = trial_of_kills(scene, path, kind, chance, seconds)
            for _ in range(ATTEMPTS):
                if kills:
                    break
                shutil.rmtree(path)  # it had ended before it could be killed
                seconds /= 2
                outcome, detail, kills = trial_of_kills(scene, path, kind, chance, seconds)
            if outcome == "right" and tree_of(path) != expected:
                outcome, detail = "wrong", "other files than one process makes"
            for _ in range(kills):
                tally.add(trial, outcome, detail)
            shutil.rmtree(path, ignore_errors=True)


def trial_of_kills(
    scene: PhotosToConvert, path: Path, kind: str, chance: np.random.Generator, seconds: float
) -> tuple[str, str, int]:
    """Kill until a conversion has come to its end, or has had its kills, then let it; counts them."""
    killed, runs = 0, list[Run]()
    left, said = (path.with_name(f"{prefix}{path.name}") for prefix in (".tmp-", "said-"))
    try:
        for _ in range(2 * KILLS):
            was_there = path.exists()
            run = Run(lambda: scene.convert(path, kind, WORKERS), said)
            runs.append(run)
            if killed < KILLS:
                time.sleep(seconds * chance.random())
                victims = [run.pid, *workers_of(run.pid)]
                victim = victims[chance.integers(len(victims))]
                if kill(victim):
                    killed += 1
            code = run.wait()
            ends = (-signal.SIGKILL, GAVE_UP, *[EXISTS] * was_there) if killed else ()
            if code not in (0, *ends):
                detail = said.read_text() if said.exists() else f"exit status {code}"
                return "untyped", f"after {killed} kills: {detail}", killed + 1
            if path.exists() and not left.exists():
                return "right", "", killed
    finally:
        for run in runs:
            run.end()
    return "died", "it has not come to its end", killed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "size=2m") as disk:
        yield disk


def test_a_mount_point_is_refused_before_anything_is_written(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreExistsError, match="mount point; choose a name inside it"):
        convert(plant_photos(tmp_path / "photos", 3), disk)
    assert sorted(os.listdir(disk.parent)) == ["disk", "photos"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_stops_and_the_rest_follows_when_there_is_room(
    kind: str, disk: Path, tmp_path: Path
) -> None:
    small = PhotosToConvert(tmp_path / "small", IMAGES)
    expected = small.tree(kind)

    def overfill() -> list[str]:
        # For two parts, which are written at once; a file of its own takes 4 KiB for each image.
        ballast = fill(disk, 260_000 if kind == "files-encoded" else 150_000)
        with pytest.raises(DiskFullError, match="disk full") as caught:
            small.convert(disk / "store", kind, WORKERS)
        assert "is kept" in caught.value.__notes__[0]
        finished = os.listdir(disk / ".tmp-store" / "receipts")
        ballast.unlink()
        small.convert(disk / "store", kind, WORKERS)
        return finished

    assert in_child(overfill)  # some parts were finished
    assert tree_of(disk / "store") == expected
    assert os.listdir(disk) == ["store"]
