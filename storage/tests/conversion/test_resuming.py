"""A coordinator that was stopped at any instant goes on with what is there by its receipt."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ... import (
    FormatError,
    ImageFileError,
    LmdbStore,
    StoreExistsError,
    StoreIOError,
    convert,
    open_store,
)
from ..._part import renumber_part
from ...conversion.work import WorkFolder
from ..children import fork
from .engines import Instead
from .photos import photo, plant_photos, tree_of

pytestmark = pytest.mark.usefixtures("small_parts")


class BrokenOffError(Exception):
    pass


def stopping_at(part: int) -> Instead:
    def act(i: int, task: Callable[[], Any]) -> Any:
        if i == part:
            raise BrokenOffError
        return task()

    return Instead(act)


def stop(photos: Path, dst: Path, part: int, kind: str = "hdf5-encoded", **more: Any) -> Path:
    """Convert up to a part; returns the folder of what is left."""
    with pytest.raises(Exception, match="gave up on part"):
        convert(photos, dst, kind, executor=stopping_at(part), **more)
    return dst.with_name(f".tmp-{dst.name}")


def go_on(photos: Path, dst: Path, kind: str = "hdf5-encoded", **more: Any) -> list[int]:
    """Convert to the end; returns the parts that were written anew."""
    engine = Instead(lambda _, task: task())
    convert(photos, dst, kind, executor=engine, **more)
    return engine.submitted


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return plant_photos(tmp_path / "photos", 100)


def test_parts_that_wait_for_an_earlier_one_are_kept(whole: Path, tmp_path: Path) -> None:
    """They are written, but not in place yet."""
    dst, ends = tmp_path / "store", list[int]()

    def act(i: int, task: Callable[[], Any]) -> Any:
        ends.append(i)
        if i == 2:
            raise BrokenOffError
        return task()

    with pytest.raises(Exception, match="gave up on part 2"):
        convert(whole, dst, executor=Instead(act))
    assert len(ends) > 10
    assert go_on(whole, dst) == [2]
    convert(whole, tmp_path / "alone")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


@pytest.mark.parametrize("then", ["stop", "skip"])
def test_a_file_that_was_repaired_is_planned_anew(then: str, tmp_path: Path) -> None:
    """The parts before it are kept, and the conversion comes to its end."""
    photos, dst = plant_photos(tmp_path / "photos", 100, bad={70}), tmp_path / "store"
    with pytest.raises(ImageFileError, match=r"^class 3/000070\.png"):
        convert(photos, dst)
    (photos / "class 3" / "000070.png").write_bytes(photo(70, size=9))
    assert go_on(photos, dst, on_error=then)[0] == 10
    convert(photos, tmp_path / "alone")
    assert tree_of(dst) == tree_of(tmp_path / "alone")
    assert len(tree_of(dst)) > 15


def test_a_skipped_file_that_was_repaired_at_the_same_length_is_read_again(tmp_path: Path) -> None:
    photos, dst = plant_photos(tmp_path / "photos", 100), tmp_path / "store"
    (file,) = photos.rglob("000020.png")
    whole = file.read_bytes()
    file.write_bytes(whole[:-30] + bytes(30))
    stop(photos, dst, 9, on_error="skip")
    file.write_bytes(whole)
    written = go_on(photos, dst, on_error="skip")
    assert written[0] < 9
    convert(photos, tmp_path / "alone")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


def test_a_file_of_a_distant_date_is_converted(whole: Path, tmp_path: Path) -> None:
    (file,) = whole.rglob("000020.png")
    os.utime(file, (9_300_000_000, 9_300_000_000))  # nanoseconds that are no int64
    assert convert(whole, tmp_path / "store").images == 100


def test_a_file_that_was_added_at_the_end_leaves_earlier_parts(whole: Path, tmp_path: Path) -> None:
    dst = tmp_path / "store"
    stop(whole, dst, 9)
    (whole / "class 4" / "x.png").write_bytes(photo(1))
    written = go_on(whole, dst)
    assert min(written) == 9
    convert(whole, tmp_path / "alone")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


def test_a_part_that_lacks_an_image_is_written_again(whole: Path, tmp_path: Path) -> None:
    dst = tmp_path / "store"
    left = stop(whole, dst, 5, "files-encoded")
    placed = sorted((left / "new").glob("0*"))
    assert len(placed) == 5
    sorted(placed[3].glob("*.image"))[2].unlink()
    waiting = next((left / "attempts").glob("000008-*"))
    sorted(waiting.glob("*.image"))[1].unlink()
    written = go_on(whole, dst, "files-encoded")
    assert {3, 5, 8} <= {*written}
    assert not {0, 1, 2, 6, 7, 9} & {*written}
    with open_store(dst) as store:
        store.verify()
        assert len(store) == 100


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("where", ["work.read_plan", "work.is_part", "coordinator.is_part"])
def test_nothing_is_removed_for_an_error_that_may_pass(
    where: str, code: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dst = tmp_path / "store"
    left = stop(whole, dst, 5)
    before = tree_of(left)

    def fail(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(f"storage.conversion.{where}", fail)
        with pytest.raises(StoreIOError, match=os.strerror(code)) as caught:
            convert(whole, dst)
    assert "is kept" in caught.value.__notes__[0]
    assert tree_of(left) == before
    assert go_on(whole, dst) == [5]


def test_a_receipt_that_was_not_renamed_yet_does_not_count(photos: Path, tmp_path: Path) -> None:
    dst, more = tmp_path / "store", {"on_error": "skip"}
    left = stop(photos, dst, 2, **more)
    receipts, attempts = left / "receipts", left / "attempts"
    (name,) = (each for each in os.listdir(receipts) if each.startswith("000004-"))
    (receipts / name).rename(receipts / f".tmp-{name}")
    assert go_on(photos, dst, **more) == [2, 4]
    assert not attempts.exists()
    convert(photos, tmp_path / "alone", on_error="skip")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


def test_a_receipt_that_is_gone_is_told(whole: Path, tmp_path: Path) -> None:
    def act(part: int, task: Callable[[], Any]) -> Any:
        receipt = task()
        if part == 3:
            (tmp_path / ".tmp-store" / "receipts" / receipt.attempt).unlink()
        return receipt

    with pytest.raises(StoreIOError, match="No such file"):
        convert(whole, tmp_path / "store", executor=Instead(act))
    assert min(go_on(whole, tmp_path / "store")) == 3


def test_what_was_skipped_stops_also_a_finished_conversion(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dst = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr("storage.conversion.work.WorkFolder._remove", lambda _: None)
        convert(photos, dst, on_error="skip")
    for _ in range(2):
        with pytest.raises(ImageFileError, match=r"^class 0/000003.png: .*not an image"):
            convert(photos, dst)
    assert len(convert(photos, dst, on_error="skip").skipped) == 16
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


def test_what_is_not_there_by_its_receipt_is_written_again(whole: Path, tmp_path: Path) -> None:
    convert(whole, tmp_path / "alone")
    dst = tmp_path / "store"
    left = stop(whole, dst, 0)
    attempts = {name[:6]: left / "attempts" / name for name in os.listdir(left / "attempts")}
    receipts = {name[:6]: left / "receipts" / name for name in os.listdir(left / "receipts")}
    os.truncate(attempts["000001"] / "images.h5", 500)
    (attempts["000002"] / "index.npy").write_bytes(b"")
    shutil.rmtree(attempts["000003"])
    receipts["000004"].write_bytes(b"{")
    receipts["000005"].unlink()
    older = json.loads(receipts["000008"].read_bytes())
    del older["changed"]
    receipts["000008"].write_text(json.dumps(older))
    (left / "attempts" / "000006-half").mkdir()
    (left / "receipts" / ".tmp-000007-x").write_bytes(b"")
    assert go_on(whole, dst) == [0, 1, 2, 3, 4, 5, 8]
    assert tree_of(dst) == tree_of(tmp_path / "alone")
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "store"]


def test_a_published_part_that_was_damaged_is_written_again(whole: Path, tmp_path: Path) -> None:
    convert(whole, tmp_path / "alone", "lmdb")
    dst = tmp_path / "store"
    left = stop(whole, dst, 9, "lmdb")
    parts = sorted(os.listdir(left / "new"))
    assert len(parts) == 9
    (left / "new" / parts[7] / "index.npy").unlink()
    written = go_on(whole, dst, "lmdb")
    assert min(written) == 7
    assert tree_of(dst) == tree_of(tmp_path / "alone")


@pytest.mark.parametrize("kind", ["hdf5-encoded", "lmdb", "png"])
def test_stopped_while_it_renumbers(
    kind: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(photos, tmp_path / "alone", kind, on_error="skip")
    dst, calls = tmp_path / "store", [0]

    def stopped(folder: Any, *given: Any) -> None:
        calls[0] += 1
        if calls[0] == 3:
            names = sorted(set(folder.names()) - {"index.npy"})
            folder.remove("index.npy")
            folder.rename(names[0], f"{names[0]}x")
            raise BrokenOffError
        renumber_part(folder, *given)

    monkeypatch.setattr("storage.conversion.coordinator.renumber_part", stopped)
    with pytest.raises(BrokenOffError):
        convert(photos, dst, kind, on_error="skip", executor=Instead(lambda _, task: task()))
    monkeypatch.undo()
    monkeypatch.setattr("storage.conversion.plan.PART_BYTES", 1)  # the plan is made already
    assert len(go_on(photos, dst, kind, on_error="skip")) == 1
    assert tree_of(dst) == tree_of(tmp_path / "alone")


@pytest.mark.parametrize("point", ["before", "after"])
def test_killed_around_the_last_rename(
    point: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = convert(photos, tmp_path / "alone", on_error="skip")
    dst, real = tmp_path / "store", WorkFolder.publish

    def die(work: WorkFolder) -> None:
        if point == "after":
            real(work)
        os._exit(9)

    def run() -> None:
        monkeypatch.setattr(WorkFolder, "publish", die)
        convert(photos, dst, on_error="skip")

    assert os.waitstatus_to_exitcode(os.waitpid(fork(run), 0)[1]) == 9
    engine = Instead(lambda _, task: task())
    done = convert(photos, dst, on_error="skip", executor=engine)
    assert engine.submitted == []
    assert (done.images, done.skipped, done.classes) == (84, alone.skipped, alone.classes)
    assert tree_of(dst) == tree_of(alone.path)
    assert sorted(os.listdir(tmp_path)) == ["alone", "photos", "store"]
    with pytest.raises(StoreExistsError):
        convert(photos, dst, on_error="skip")


def test_another_conversion_does_not_take_a_finished_one_for_its_own(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dst = tmp_path / "store"
    monkeypatch.setattr(
        "storage.conversion.work.WorkFolder._remove", lambda _: None
    )  # as if killed there
    convert(photos, dst, on_error="skip")
    before = tree_of(dst)
    monkeypatch.undo()
    with pytest.raises(StoreExistsError):
        convert(photos, dst, "lmdb", on_error="skip")
    assert tree_of(dst) == before
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


@pytest.mark.parametrize("other", ["nothing", "pixels", "label", "parts", "file", "empty"])
@pytest.mark.parametrize("bad", [set(), {3, 4}])
def test_another_store_of_as_many_images_is_not_taken_for_its_own(
    other: str, bad: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad images are left out, so that all later parts are renumbered."""
    convert_all = partial(convert, format="hdf5", on_error="skip")
    whole, dst, copied = tmp_path / "photos", tmp_path / "store", tmp_path / "copied"
    plant_photos(whole, 100, bad)
    with monkeypatch.context() as patch:  # as if it were killed before it cleans up
        patch.setattr("storage.conversion.work.WorkFolder._remove", lambda _: None)
        convert_all(whole, dst)
    before = tree_of(dst)
    shutil.rmtree(dst)
    shutil.copytree(whole, copied)
    file = copied / "class 4" / "000099.png"
    match other:
        case "pixels":
            file.write_bytes(photo(1))
        case "label":
            file.rename(copied / "class 3" / file.name)
        case "parts":
            monkeypatch.setattr("storage.conversion.plan.PART_BYTES", 1)
        case "file":
            dst.write_bytes(b"another")
        case "empty":
            dst.mkdir()
    if not dst.exists():
        convert_all(copied, tmp_path / "made").path.rename(dst)
    if other in ("nothing", "empty"):
        engine = Instead(lambda _, task: task())
        assert convert_all(whole, dst, executor=engine).images == 100 - len(bad)
        assert bool(engine.submitted) is (other == "empty")
        assert tree_of(dst) == before
        return
    before = tree_of(dst)
    with pytest.raises(StoreExistsError):
        convert_all(whole, dst)
    assert tree_of(dst) == before
    assert dst.is_dir() or dst.read_bytes() == b"another"
    assert sorted(os.listdir(tmp_path)) == ["copied", "photos", "store"]


@pytest.mark.parametrize("change", ["format", "options", "name", "more", "label"])
def test_another_conversion_begins_afresh(change: str, whole: Path, tmp_path: Path) -> None:
    dst, kind, more = tmp_path / "store", "hdf5-encoded", dict[str, Any]()
    left = stop(whole, dst, 9)
    file = whole / "class 0" / "000003.png"
    match change:
        case "format":
            kind = "lmdb"
        case "options":
            more = {"image_mode": "keep"}
        case "name":
            file.rename(file.with_name("0.png"))
        case "more":
            file.with_name("!.png").write_bytes(photo(1))
        case "label":
            file.rename(whole / "class 4" / file.name)
    written = go_on(whole, dst, kind, **more)
    assert 0 in written
    assert not left.exists()
    convert(whole, tmp_path / "alone", kind, **more)
    with open_store(dst) as store, open_store(tmp_path / "alone") as other:
        assert store.names == other.names
        assert store.labels.tolist() == other.labels.tolist()
        store.verify()


def test_a_store_that_took_the_place_of_the_source_is_converted_afresh(tmp_path: Path) -> None:
    pixels = [bytes(range(n, n + 192)) for n in (0, 7)]
    for name, data in zip("ab", pixels, strict=True):
        images = np.frombuffer(data * 100, np.uint8).reshape(100, 8, 8, 3)
        with LmdbStore(tmp_path / name, "x") as store:
            store.store_many(images, range(100))
    (tmp_path / "a").rename(tmp_path / "source")
    stop(tmp_path / "source", tmp_path / "store", 7, "hdf5")
    (tmp_path / "source").rename(tmp_path / "a")
    (tmp_path / "b").rename(tmp_path / "source")
    assert 0 in go_on(tmp_path / "source", tmp_path / "store", "hdf5")
    with open_store(tmp_path / "store") as store:
        assert store[0][0].tobytes() == pixels[1]


def test_what_was_skipped_stops_a_run_that_must_not_skip(photos: Path, tmp_path: Path) -> None:
    dst = tmp_path / "store"
    stop(photos, dst, 9, on_error="skip")
    with pytest.raises(ImageFileError, match=r"^class 0/000003.png: .*not an image"):
        convert(photos, dst)
    assert go_on(photos, dst, on_error="skip")
    convert(photos, tmp_path / "alone", on_error="skip")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


def test_a_receipt_of_another_plan_does_not_count(whole: Path, tmp_path: Path) -> None:
    """An orphan of an earlier conversion may hand it in later."""
    dst = tmp_path / "store"
    left = stop(whole, dst, 9)
    old = tmp_path / "old"
    shutil.copytree(left, old)
    stop(whole, dst, 0, "lmdb-encoded")
    for folder in ("attempts", "receipts"):
        shutil.copytree(old / folder, left / folder, dirs_exist_ok=True)
    assert go_on(whole, dst, "lmdb-encoded") == [0]
    convert(whole, tmp_path / "alone", "lmdb-encoded")
    assert tree_of(dst) == tree_of(tmp_path / "alone")


def test_nothing_is_kept_where_no_image_can_be_converted(tmp_path: Path) -> None:
    photos = plant_photos(tmp_path / "photos", 20, bad={*range(20)})
    for engine in (None, Instead(lambda _, task: task())):
        with pytest.raises(FormatError, match="no image in it can be converted"):
            convert(photos, tmp_path / "store", on_error="skip", executor=engine)
        assert os.listdir(tmp_path) == ["photos"]
