"""Any executor makes the store that one process makes, byte for byte."""

import errno
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ... import (
    STORES,
    CorruptStoreError,
    EncodedStore,
    ExecutorError,
    FolderError,
    FormatError,
    Hdf5Store,
    ImageFileError,
    LmdbStore,
    NpyStore,
    ReadOnlyError,
    ShapeError,
    StorageError,
    StoreIOError,
    convert,
    open_store,
)
from ...conversion import engine, plan
from ...conversion.plan import read_plan
from ...conversion.sources import PlannedImage, find_source
from ...conversion.task import Input, Order
from ...conversion.work import Receipt
from ...images import folder
from .. import raw
from ..samples import assert_records
from .conftest import SMALL_PART
from .engines import Instead, Twice
from .photos import photo, plant_photos, tree_of

pytestmark = pytest.mark.usefixtures("small_parts")
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "threads": lambda: ThreadPoolExecutor(3),
    "processes": lambda: ProcessPoolExecutor(2, get_context("fork")),
}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with EXECUTORS[request.param]() as made:
        yield made


@pytest.mark.parametrize("kind", STORES)
def test_a_folder_with_bad_images(
    kind: str, executor: Executor, photos: Path, tmp_path: Path
) -> None:
    """Some of them are a whole part; all later parts are renumbered."""
    alone = convert(photos, tmp_path / "alone", kind, on_error="skip")
    done = convert(photos, tmp_path / "together", kind, on_error="skip", executor=executor)
    assert tree_of(done.path) == tree_of(alone.path)
    assert (done.images, done.skipped, done.classes) == (84, alone.skipped, alone.classes)
    assert [each.name for each in done.skipped][:2] == ["class 0/000003.png", "class 2/000040.png"]
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "together"]
    with open_store(done.path) as store:
        store.verify()
        names = [f"class {i // 20}/{i:06d}.png" for i in range(100)]
        bad = {each.name for each in done.skipped}
        assert store.names == [name for name in names if name not in bad]
        assert store.labels.tolist() == [int(name[6]) for name in store.names]
        if isinstance(store, EncodedStore):
            assert store.read_bytes() == [photo(int(name[8:14])) for name in store.names]


@pytest.mark.parametrize("kind", ["png", "lmdb", "hdf5", "hdf5-encoded"])
def test_a_renumbered_part_is_as_if_it_were_written_so(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = plant_photos(tmp_path / "bad", 40, bad={0, 1, 2, 3})
    monkeypatch.setattr("storage.conversion.plan.PART_BYTES", 10**6)
    monkeypatch.setattr("storage.conversion.plan.PART_IMAGES", 4)
    convert(bad, tmp_path / "skipped", kind, on_error="skip")
    good = plant_photos(tmp_path / "good", 40)
    for i in range(4):
        (good / "class 0" / f"{i:06d}.png").unlink()
    convert(good, tmp_path / "clean", kind)
    assert tree_of(tmp_path / "skipped") == tree_of(tmp_path / "clean")
    assert len(raw.places(tmp_path / "clean")) == 9


def test_a_store_of_images_of_many_shapes(executor: Executor, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    images = [chance.integers(0, 256, (1 + i % 7, 9, 3), np.uint8) for i in range(200)]
    with LmdbStore(tmp_path / "source", "x", classes=["a"]) as store:
        store.store_many(images[:90], range(90), [f"{i}" for i in range(90)])
        store.store_many(images[90:], range(90, 200))
    convert(tmp_path / "source", tmp_path / "alone", "hdf5")
    convert(tmp_path / "source", tmp_path / "together", "hdf5", executor=executor)
    assert tree_of(tmp_path / "together") == tree_of(tmp_path / "alone")
    with Hdf5Store(tmp_path / "together") as store:
        assert_records(store.read_many(), images, range(200))
        assert store.names == [f"{i}" for i in range(90)] + [""] * 110
        assert len(raw.places(tmp_path / "together")) > 5


def test_parts_are_cut_by_bytes_and_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant_photos(tmp_path / "photos", 30)
    sizes = [len(photo(i)) for i in range(30)]
    convert(photos, tmp_path / "store", "hdf5-encoded")
    parts = raw.places(tmp_path / "store")
    for ids in parts:
        assert sum(sizes[i] for i in ids) <= SMALL_PART
    for ids in parts[:-1]:
        assert sum(sizes[i] for i in [*ids, ids.stop]) > SMALL_PART
    monkeypatch.setattr("storage.conversion.plan.PART_IMAGES", 7)
    convert(photos, tmp_path / "counted", "hdf5-encoded")
    assert raw.places(tmp_path / "counted")[0] == range(7)


def test_a_bad_image_stops_by_name(executor: Executor, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"0000(03|4\d|5\d|99).png: .*not an image"):
        convert(photos, tmp_path / "store", executor=executor)
    assert not (tmp_path / "store").exists()


def test_a_file_that_changes_after_the_plan_is_named(photos: Path, tmp_path: Path) -> None:
    """It is no bad image. The next call plans it anew."""
    file = photos / "class 3" / "000070.png"

    def change(part: int, task: Callable[[], Any]) -> Any:
        if part == 0:
            file.write_bytes(photo(70, size=20))
        return task()

    with pytest.raises(FolderError, match=r"^class 3/000070.png: .* convert again"):
        convert(photos, tmp_path / "store", executor=Instead(change), on_error="skip")
    assert convert(photos, tmp_path / "store", on_error="skip").images == 84
    convert(photos, tmp_path / "alone", on_error="skip")
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")


@pytest.mark.parametrize("is_mounted_on", [False, True])
def test_without_the_folder_nothing_is_skipped(
    is_mounted_on: bool, photos: Path, tmp_path: Path
) -> None:
    """On a machine that does not see the files, every image would seem to be missing."""

    def hide(part: int, task: Callable[[], Any]) -> Any:
        if part == 3:
            photos.rename(tmp_path / "elsewhere")
            if is_mounted_on:
                photos.mkdir()  # an empty mount point
        return task()

    with pytest.raises(StoreIOError, match=r"photos.*: No such file"):
        convert(photos, tmp_path / "store", executor=Instead(hide), on_error="skip")


@pytest.mark.parametrize("target", ["hdf5-encoded", "lmdb", "folder"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_an_image_is_not_skipped_for_a_fault_of_the_machine(
    target: str, code: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, real = [0], os.open

    def fail(path: Any, *given: Any, **more: Any) -> int:
        if isinstance(path, bytes) and path.endswith(b".png"):
            opened[0] += 1
            if opened[0] in (60, 61, 62):
                raise OSError(code, os.strerror(code), path)
        return real(path, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr("storage.images.folder.os.open", fail)
        with pytest.raises(ReadOnlyError if code == errno.EACCES else StoreIOError):
            convert(photos, tmp_path / "store", target, on_error="skip")
    assert convert(photos, tmp_path / "store", target, on_error="skip").images == 84


@pytest.mark.parametrize("target", ["hdf5-encoded", "folder"])
@pytest.mark.parametrize("started", [0, 1])
def test_without_threads_the_caller_works(
    target: str, started: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = threading.Thread.start, [0]

    def start(thread: threading.Thread) -> None:
        calls[0] += 1
        if calls[0] > started:
            raise RuntimeError("can't start new thread")
        real(thread)

    convert(photos, tmp_path / "alone", target, on_error="skip")
    monkeypatch.setattr("storage.conversion.task.WORTH_THREADS", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        done = convert(photos, tmp_path / "store", target, on_error="skip")
    assert (done.images, len(done.skipped)) == (84, 16)
    assert calls[0] > started
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")


@pytest.mark.parametrize("kind", ["hdf5-encoded", "hdf5", "folder"])
def test_no_thread_waits_for_the_garbage_collector(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an error is kept, so are the frames that it came through, and what they had begun."""
    monkeypatch.setattr("storage.conversion.task.WORTH_THREADS", 0)
    photos = plant_photos(tmp_path / "photos", 40, {20})
    before = threading.active_count()
    with pytest.raises(ImageFileError) as caught:
        convert(photos, tmp_path / "made", kind)
    assert caught.value.__traceback__
    assert threading.active_count() == before


@pytest.mark.parametrize(("worth", "are_used"), [(1, True), (10**6, False)])
def test_threads_take_images_that_are_large_enough(
    worth: int, are_used: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For small ones, handing them over takes longer than decoding them."""
    taken: list[int] = []
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr("storage.conversion.task.WORTH_THREADS", worth)
    real = Input._take

    def take(given: Input, i: int) -> object:
        taken.append(threading.get_ident())
        return real(given, i)

    monkeypatch.setattr(Input, "_take", take)
    convert(photos, tmp_path / "store", "hdf5-encoded", on_error="skip")
    assert len(taken) == 100
    assert (threading.get_ident() not in taken) is are_used


@pytest.mark.parametrize("kind", ["png", "hdf5", "files-encoded"])
def test_a_task_of_an_executor_starts_no_threads(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have a task for each core already."""
    photos, started = plant_photos(tmp_path / "photos", 40), [0]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr("storage.conversion.task.WORTH_THREADS", 0)
    monkeypatch.setattr("storage.payloads.base.THREAD_BYTES", 0)
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started[0] += 1
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    convert(photos, tmp_path / "one", kind)
    assert started[0]
    started[0] = 0
    convert(photos, tmp_path / "many", kind, executor=Instead(lambda _, task: task()))
    assert not started[0]


@pytest.mark.parametrize("kind", ["npy", "lmdb", "hdf5-encoded"])
@pytest.mark.parametrize("is_one", [True, False])
def test_several_parts_are_not_kept_in_memory(
    kind: str, is_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set larger than memory would push out all that others have there."""
    photos = plant_photos(tmp_path / "photos", 40)
    monkeypatch.setattr("storage.conversion.plan.PART_BYTES", 2**30 if is_one else SMALL_PART)
    dropped, synced = list[int](), set[int]()
    forget, sync = os.posix_fadvise, os.fsync

    def note(number: int, offset: int, length: int, advice: int) -> None:
        assert (offset, length, advice) == (0, 0, os.POSIX_FADV_DONTNEED)
        assert os.fstat(number).st_ino in synced  # else it would stay
        dropped.append(os.fstat(number).st_ino)
        forget(number, offset, length, advice)

    def note_sync(number: int) -> None:
        synced.add(os.fstat(number).st_ino)
        sync(number)

    monkeypatch.setattr("os.posix_fadvise", note)
    monkeypatch.setattr("os.fsync", note_sync)
    convert(photos, tmp_path / "store", kind)
    container = STORES[kind].container.file
    parts = [path.stat().st_ino for path in (tmp_path / "store").glob(f"*/{container}")]
    assert (len(parts) == 1) is is_one
    assert sorted(dropped) == ([] if is_one else sorted(parts))


@pytest.mark.parametrize("target", ["npy", "folder"])
def test_what_a_writer_adds_meanwhile_is_not_converted(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has been joined to a part that the source had."""
    images = np.arange(20 * 48, dtype=np.uint16).astype(np.uint8).reshape(20, 1, 4, 4, 3)
    with NpyStore(tmp_path / "source", "x", durable=False) as writer:
        for i in range(3):
            writer.store_many(images[i], [i])

        def find(*given: Any) -> Any:
            found = find_source(*given)
            for i in range(3, 20):
                writer.store_many(images[i], [i])
            return found

        monkeypatch.setattr("storage.conversion.coordinator.find_source", find)
        done = convert(tmp_path / "source", tmp_path / "made", target)
    assert done.images == 3
    if target == "npy":
        with open_store(tmp_path / "made") as store:
            assert_records(store.read_many(), images[:3, 0], [0, 1, 2])


def test_an_image_that_the_store_cannot_take_is_named_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any, shape: tuple[int, ...]) -> None:
        raise ShapeError(f"an image of shape {shape} is too large")

    monkeypatch.setattr("storage.payloads.png.PngPayload.check_shape", refuse)
    text = r"^class 0/000000.png: an image of shape \(8, 8, 3\) is too large$"
    with pytest.raises(ImageFileError, match=text):
        convert(photos, tmp_path / "store", "png")
    with pytest.raises(FormatError, match="no image in it"):
        convert(photos, tmp_path / "store", "png", on_error="skip")


def test_tasks_that_run_twice_at_once(executor: Executor, photos: Path, tmp_path: Path) -> None:
    convert(photos, tmp_path / "alone", "lmdb", on_error="skip")
    convert(photos, tmp_path / "store", "lmdb", on_error="skip", executor=Twice(executor))
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "store"]


def test_a_task_that_runs_again_after_the_end_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    late = list[Callable[[], Any]]()

    def keep(part: int, task: Callable[[], Any]) -> Any:
        late.append(task)
        return task()

    convert(photos, tmp_path / "store", on_error="skip", executor=Instead(keep))
    before = tree_of(tmp_path)
    for task in late:
        with pytest.raises(StorageError):
            task()
    assert tree_of(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


# ---- what passes between coordinator and tasks -------------------------------------------------


def test_orders_and_receipts_are_small_and_carry_no_pixels(photos: Path, tmp_path: Path) -> None:
    sizes = list[int]()

    class Measured(Instead):
        def submit(self, task: Callable[..., Any], /, *given: Any, **more: Any) -> Any:
            assert isinstance(given[0], Order)
            sizes.append(len(pickle.dumps((task, given))))
            return super().submit(task, *given, **more)

    def measure(part: int, task: Callable[[], Any]) -> Receipt:
        receipt: Receipt = task()
        assert receipt.part == part
        skipped = sum(len(name) + len(reason) for name, reason in receipt.skipped)
        sizes.append(len(pickle.dumps(receipt)) - 2 * skipped)
        return receipt

    convert(photos, tmp_path / "store", executor=Measured(measure), on_error="skip")
    assert len(sizes) > 15
    assert max(sizes) < 2_000


def test_tasks_are_submitted_in_a_window(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WINDOW", 3)
    futures, most = list[Any](), [0]

    class Counting(ThreadPoolExecutor):
        def submit(self, *given: Any, **more: Any) -> Any:
            future = super().submit(*given, **more)
            futures.append(future)
            most[0] = max(most[0], sum(not each.done() for each in futures))
            return future

    with Counting(8) as executor:
        convert(photos, tmp_path / "store", executor=executor, on_error="skip")
    assert len(futures) > 8
    assert most[0] <= 3


def test_the_plan_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each class is listed when its turn comes; the plan is whole before the first task."""
    photos = plant_photos(tmp_path / "photos", 50)
    plans, listed, most = list[int](), [0], [0]
    real_list, real_record = folder._list_below, plan.record_of

    def list_below(*given: Any) -> list[bytes]:
        files = real_list(*given)
        listed[0] += len(files)
        return files

    def record_of(row: PlannedImage) -> bytes:
        most[0] = max(most[0], listed[0])
        listed[0] -= 1
        return real_record(row)

    monkeypatch.setattr(folder, "_list_below", list_below)
    monkeypatch.setattr(plan, "record_of", record_of)

    def look(part: int, task: Callable[[], Any]) -> Any:
        written = read_plan(tmp_path / ".tmp-store" / "plan")
        assert written
        plans.append(written.images)
        return task()

    convert(photos, tmp_path / "store", executor=Instead(look))
    assert {*plans} == {50}
    assert 10 <= most[0] <= 20  # of five classes, one is written and the next may be listed


# ---- engines that fail -------------------------------------------------------------------------


def failing_at(part: int, act: Callable[[], Any]) -> Instead:
    return Instead(lambda i, task: act() if i == part else task())


def dies() -> Any:
    raise RuntimeError("the worker\nwas lost")


@pytest.mark.parametrize("act", [dies, lambda: None], ids=["raises", "answers nothing"])
def test_an_engine_that_gives_up_can_be_resumed(act: Callable[[], Any], tmp_path: Path) -> None:
    photos = plant_photos(tmp_path / "photos", 100)
    alone = convert(photos, tmp_path / "alone", "lmdb-encoded")
    with pytest.raises(ExecutorError, match=r"gave up on part 5 \(.*convert again") as caught:
        convert(photos, tmp_path / "store", "lmdb-encoded", executor=failing_at(5, act))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / ".tmp-store") in caught.value.__notes__[0]
    assert not (tmp_path / "store").exists()
    again = Instead(lambda _, task: task())
    convert(photos, tmp_path / "store", "lmdb-encoded", executor=again)
    assert 5 in again.submitted
    assert not {*again.submitted} & {0, 1, 2, 3, 4}
    assert tree_of(tmp_path / "store") == tree_of(alone.path)
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "store"]


def test_a_pool_that_is_shut_down_meanwhile(tmp_path: Path) -> None:
    """The tasks that it has not begun are cancelled without a word."""
    photos = plant_photos(tmp_path / "photos", 100)
    pool = ThreadPoolExecutor(1)

    def shut_down(part: int, task: Callable[[], Any]) -> Any:
        if part == 1:
            pool.shutdown(wait=False, cancel_futures=True)
        return task()

    class Pool(Executor):
        def submit(self, function: Any, /, order: Any) -> Any:  # type: ignore[override]  # of one kind
            return pool.submit(shut_down, order.part, partial(function, order))

    with pytest.raises(ExecutorError, match="CancelledError"):
        convert(photos, tmp_path / "store", executor=Pool())
    assert not (tmp_path / "store").exists()


def test_a_pool_whose_worker_is_killed(tmp_path: Path) -> None:
    photos = plant_photos(tmp_path / "photos", 100)
    convert(photos, tmp_path / "alone")
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        pool.submit(os._exit, 9)
        with pytest.raises(ExecutorError, match="BrokenProcessPool"):
            convert(photos, tmp_path / "store", executor=pool)
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        convert(photos, tmp_path / "store", executor=pool)
    assert tree_of(tmp_path / "store") == tree_of(tmp_path / "alone")


def test_workers_that_write_elsewhere_are_found_out(tmp_path: Path) -> None:
    """Each has a folder of its own in place of the shared one."""
    photos = plant_photos(tmp_path / "photos", 30)

    def lose(part: int, task: Callable[[], Any]) -> Any:
        receipt = task()
        (tmp_path / ".tmp-store/attempts" / receipt.attempt).rename(tmp_path / str(part))
        return receipt

    with pytest.raises(ExecutorError, match="do all workers see this folder"):
        convert(photos, tmp_path / "store", executor=Instead(lose))


def test_a_folder_is_written_by_one_process(photos: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="by one process"):
        convert(photos, tmp_path / "out", "folder", executor=executor)
    assert os.listdir(tmp_path) == ["photos"]


def test_damage_in_a_renumbered_part_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksums are made from the old ones, not from the pixels."""
    photos = plant_photos(tmp_path / "photos", 40, bad={0})

    def flip(part: int, task: Callable[[], Any]) -> Any:
        receipt = task()
        if part == 1:
            file = tmp_path / ".tmp-store/attempts" / receipt.attempt / "images.h5"
            data = bytearray(file.read_bytes())
            data[-50] ^= 1
            file.write_bytes(data)
        return receipt

    convert(photos, tmp_path / "store", "hdf5", executor=Instead(flip), on_error="skip")
    with open_store(tmp_path / "store") as store, pytest.raises(CorruptStoreError) as caught:
        store.verify()
    assert len(caught.value.problems) == 1
