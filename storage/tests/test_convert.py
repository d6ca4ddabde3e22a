"""From folders to stores and back: nothing is lost, nothing half-made stays."""

import os
import signal
import subprocess
import sys
import termios
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from .. import (
    STORES,
    BusyError,
    CorruptRecordError,
    EncodedStore,
    FormatError,
    Hdf5EncodedStore,
    Hdf5Store,
    ImageFileError,
    LmdbStore,
    Store,
    StoreExistsError,
    convert,
    open_store,
)
from .._errors import FolderError
from ..conversion import FORMATS
from ..conversion.work import WorkFolder
from ..images.decoding import decode
from . import raw
from .images.files import OWN_IMAGES, picture, png_of_16_bits, saved
from .samples import assert_records, each_store, mixed_pictures, pictures, tree

ROOT = Path(__file__).parents[2]
FILES = {
    "apple/1.jpg": saved(picture(), "JPEG", orientation=6),
    "apple/deep/er/2.PNG": saved(picture("LA"), "PNG"),
    "kiwi/1.jpg": saved(picture("RGB", (9, 7)), "JPEG"),
    "kiwi/three.gif": saved(picture("RGB", (5, 4)), "GIF"),
    "pear/naïve.webp": saved(picture("RGB", (5, 4)), "WEBP", lossless=True),
    os.fsdecode(b"pear/\xff\xfe.png"): saved(picture("1"), "PNG"),
}
LABELS = [0, 0, 1, 1, 2, 2]
CLASSES = ["apple", "kiwi", "pear"]


def plant(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return plant(tmp_path / "photos", FILES)


def held(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- what comes out ----------------------------------------------------------------------------


@each_store
@pytest.mark.parametrize("image_mode", ["rgb", "keep"])
def test_a_folder_becomes_any_store(
    store_class: type[Store], photos: Path, path: Path, image_mode: str
) -> None:
    done = convert(photos, path, store_class.format, image_mode=image_mode)
    assert (done.images, done.classes, done.skipped) == (6, CLASSES, [])
    with open_store(path) as store:
        assert type(store) is store_class
        images = [decode(data, mode=image_mode) for data in FILES.values()]
        assert_records(store.read_many(), images, LABELS)
        assert store.names == [*FILES]
        assert store.classes == CLASSES
        store.verify()
        if isinstance(store, EncodedStore):
            assert store.read_bytes() == [*FILES.values()]
    assert not [name for name in os.listdir(path.parent) if name.startswith(".")]


RGB_CHANGES = {
    "turned (orientation 6)": 1,
    "LA to RGB": 1,
    "P to RGB": 1,
    "several images to the first": 1,
    "1 to RGB": 1,
}
KEEP_CHANGES = {"P to RGB": 1, "several images to the first": 1, "1 to L": 1}


@pytest.mark.parametrize("kind", ["hdf5-encoded", "png"])
@pytest.mark.parametrize("parts", [1, 6])
@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, RGB_CHANGES), ({"image_mode": "keep", "orientation": "ignore"}, KEEP_CHANGES)],
)
def test_what_decoding_changes_is_counted(
    options: dict[str, str],
    expected: dict[str, int],
    kind: str,
    parts: int,
    photos: Path,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.conversion.plan.PART_IMAGES", 6 // parts)
    frames = saved(picture(), "GIF", save_all=True, append_images=[picture().rotate(90)])
    (photos / "kiwi" / "three.gif").write_bytes(frames)
    assert convert(photos, path, kind, **options).changed == expected  # type: ignore[arg-type]
    again = convert(path, path.parent / "again", "npy")
    assert again.changed == (expected if kind == "hdf5-encoded" else {})
    assert not convert(path, path.parent / "folder", "folder").changed


def test_an_image_that_was_stored_as_an_array_is_not_changed(path: Path) -> None:
    with Hdf5EncodedStore(path, "x", max_pixels=40) as store:
        store.store_many([np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8)], [0, 1])
        store.store_files([saved(picture("L", (5, 4)), "PNG")], [2])
    with open_store(path) as store:
        expected = store.read_many()
    for kind in ("npy", "lmdb-encoded"):
        done = convert(path, path.parent / kind, kind)
        assert done.changed == {"L to RGB": 1}
        with open_store(done.path) as store:
            assert_records(store.read_many(), *expected)


@pytest.mark.parametrize("kind", ["files-encoded", "lmdb-encoded", "hdf5-encoded"])
def test_a_folder_comes_back_from_an_encoded_store(kind: str, photos: Path, path: Path) -> None:
    convert(photos, path, kind)
    done = convert(path, path.parent / "again", "folder")
    assert (done.images, done.classes) == (6, CLASSES)
    assert held(path.parent / "again") == FILES


@pytest.mark.skipif(not OWN_IMAGES.exists(), reason="the shared pictures are not here")
def test_real_pictures_make_the_round_trip(tmp_path: Path) -> None:
    convert(OWN_IMAGES, tmp_path / "photos.lmdb", "lmdb-encoded")
    convert(tmp_path / "photos.lmdb", tmp_path / "photos.h5", "hdf5-encoded")
    convert(tmp_path / "photos.h5", tmp_path / "back", "folder")
    expected = {
        str(file.relative_to(OWN_IMAGES)): sha256(file.read_bytes()).hexdigest()
        for file in OWN_IMAGES.glob("*/*")
    }
    found = {name: sha256(data).hexdigest() for name, data in held(tmp_path / "back").items()}
    assert found == expected


@each_store
@pytest.mark.parametrize("target", ["hdf5", "png", "lmdb-encoded"])
def test_any_store_becomes_another(
    store_class: type[Store], target: str, path: Path, tmp_path: Path
) -> None:
    images = [*mixed_pictures(), *pictures(3)]
    labels, names = [*range(len(images))], [f"{i}.x" for i in range(len(images))]
    with store_class(path, "x", classes=["a", "b"]) as store:
        store.store_many(images[:4], labels[:4], names[:4])
        store.store_many(images[4:], labels[4:], names[4:])
    convert(path, tmp_path / "new", target)
    with open_store(tmp_path / "new") as new:
        assert new.format == target
        assert_records(new.read_many(), images, labels)
        assert (new.names, new.classes) == (names, ["a", "b"])
        assert raw.places(new.path) == [range(len(images))]
        new.verify()


def test_a_store_of_files_keeps_its_options(photos: Path, path: Path, tmp_path: Path) -> None:
    convert(photos, path, "lmdb-encoded", image_mode="keep", orientation="ignore", max_pixels=5000)
    made = {"image_mode": "keep", "orientation": "ignore", "max_pixels": 5000}
    convert(path, tmp_path / "same", "hdf5-encoded")
    convert(path, tmp_path / "other", "files-encoded", image_mode="rgb")
    with Hdf5EncodedStore(tmp_path / "same") as same:
        assert same.payload.options == made
        assert same[1][0].shape == (24, 40, 2)
    with open_store(tmp_path / "other") as other:
        assert other.payload.options == made | {"image_mode": "rgb"}
        assert other[1][0].shape == (24, 40, 3)


def test_other_options_count_also_where_files_become_images(
    photos: Path, path: Path, tmp_path: Path
) -> None:
    convert(photos, path)
    asked = {"image_mode": "keep", "orientation": "ignore"}
    convert(path, tmp_path / "out", "hdf5", **asked)  # type: ignore[arg-type]  # each is text
    convert(photos, tmp_path / "direct", "hdf5", **asked)  # type: ignore[arg-type]  # each is text
    with open_store(tmp_path / "out") as out, open_store(tmp_path / "direct") as direct:
        assert_records(out.read_many(), *direct.read_many())
    for kind in ("hdf5", "hdf5-encoded", "folder"):
        with pytest.raises(ImageFileError, match=r"^apple/1\.jpg: .* more than the limit of 5"):
            convert(path, tmp_path / "none", kind, max_pixels=5)


@pytest.mark.parametrize(
    ("classes", "labels", "folders"),
    [
        (["5"], [0, 5, 0], ["5", "label-5", "5"]),
        (["1", "a/b"], [0, 1, 1], ["1", "label-1", "label-1"]),
        (["a", "a", "0"], [0, 1, 2], ["label-0", "1", "0"]),
        ([".a", "__MACOSX", "b"], [0, 1, 2], ["0", "1", "b"]),
        ([], [7, 7, 7], ["7", "7", "7"]),
    ],
)
def test_each_label_has_a_folder_of_its_own(
    classes: list[str], labels: list[int], folders: list[str], path: Path, tmp_path: Path
) -> None:
    with LmdbStore(path, "x", classes=classes) as store:
        store.store_many(pictures(3), labels, ["x", ".x", "x" * 250])
    convert(path, tmp_path / "out", "folder")
    found = convert(tmp_path / "out", tmp_path / "again", "lmdb")
    assert found.images == 3
    with open_store(tmp_path / "again") as again:
        assert found.passed_over == {}
        assert sorted(found.classes[label] for label in again.labels) == sorted(folders)


def test_images_become_files_of_png(path: Path, tmp_path: Path) -> None:
    images = mixed_pictures()
    names = ["b/x.jpg", "b/x.jpg", "/etc/x", "../x", "", "a/y", "y", "b/x.jpg/z"]
    with LmdbStore(path, "x", classes=["a", "b"]) as store:
        store.store_many(images, [1, 1, 0, 0, 1, 0, 0, 7], names)
    convert(path, tmp_path / "out", "folder")
    assert tree(tmp_path / "out") == [
        "7",
        "7/b",
        "7/b/x.jpg",
        "7/b/x.jpg/z.png",
        "a",
        "a/000000000002.png",
        "a/000000000003.png",
        "a/000000000006-y.png",
        "a/y.png",
        "b",
        "b/000000000001-x.png",
        "b/000000000004.png",
        "b/x.png",
    ]
    found = decode((tmp_path / "out/b/x.png").read_bytes(), mode="keep")
    np.testing.assert_array_equal(found, images[0])


def test_a_flat_folder_comes_back_flat(path: Path, tmp_path: Path) -> None:
    files = {"1.jpg": FILES["apple/1.jpg"], "2.gif": FILES["kiwi/three.gif"]}
    convert(plant(tmp_path / "flat", files), path, "hdf5-encoded")
    convert(path, tmp_path / "again", "folder")
    assert held(tmp_path / "again") == files


def test_classes_without_images_stay(path: Path, tmp_path: Path) -> None:
    plant(tmp_path / "photos", FILES)
    (tmp_path / "photos" / "banana").mkdir()
    with pytest.raises(FolderError, match="banana"):
        convert(tmp_path / "photos", path)
    convert(tmp_path / "photos", path, allow_empty=True)
    with open_store(path) as store:
        assert store.classes == ["apple", "banana", "kiwi", "pear"]
        assert store.labels.tolist() == [0, 0, 2, 2, 3, 3]
    convert(path, tmp_path / "again", "folder")
    assert sorted(os.listdir(tmp_path / "again")) == ["apple", "banana", "kiwi", "pear"]


# ---- what is refused, or left out --------------------------------------------------------------

BAD = {
    "kiwi/2 cut.jpg": (saved(picture("RGB", (100, 100)), "JPEG")[:-300], "cut off"),
    "kiwi/2 page.jpg": (b"<html>", "not an image"),
    "kiwi/2 deep.png": (png_of_16_bits(2, 3), "16 bits"),
    "kiwi/2 large.png": (saved(picture("RGB", (300, 200)), "PNG"), "more than the limit of 50,000"),
}


def test_a_store_is_not_converted_to_a_place_inside_it(photos: Path, path: Path) -> None:
    convert(photos, path)
    before = tree(path)
    with pytest.raises(StoreExistsError, match="inside the store that is converted"):
        convert(path, path / "in", "lmdb")
    assert tree(path) == before


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("target", ["lmdb-encoded", "hdf5", "folder"])
def test_a_bad_file_stops_by_name_or_is_left_out(
    name: str, target: str, photos: Path, path: Path
) -> None:
    data, reason = BAD[name]
    plant(photos, {name: data})
    with pytest.raises(ImageFileError, match=f"{name}: .*{reason}"):
        convert(photos, path, target, max_pixels=50_000)
    assert tree(path.parent) == ["photos", *(f"photos/{each}" for each in tree(photos))]
    done = convert(photos, path, target, max_pixels=50_000, on_error="skip")
    assert [skipped.name for skipped in done.skipped] == [name]
    assert reason in done.skipped[0].reason
    assert done.images == 6
    if target == "folder":
        assert held(path) == FILES
        return
    with open_store(path) as store:
        assert_records(store.read_many(), [*map(decode, FILES.values())], LABELS)
        assert store.names == [*FILES]


def test_a_damaged_record_stops_or_is_left_out(path: Path, tmp_path: Path) -> None:
    images = pictures(5, (9, 8, 3))
    with Hdf5Store(path, "x") as store:
        store.store_many(images, range(5))
    (ids,) = raw.places(path)
    file = raw.folder_of(path, ids) / "images.h5"
    data = bytearray(file.read_bytes())
    data[-300] ^= 1  # of the record before the last
    file.write_bytes(data)
    for target in ("lmdb", "lmdb-encoded", "folder"):
        with pytest.raises(CorruptRecordError, match="image 3"):
            convert(path, tmp_path / target, target)
        done = convert(path, tmp_path / target, target, on_error="skip")
        assert (done.images, [each.name for each in done.skipped]) == (4, ["image 3"])
    with open_store(tmp_path / "lmdb") as new:
        assert_records(new.read_many(), images[[0, 1, 2, 4]], [0, 1, 2, 4])


def test_without_a_good_image_nothing_is_made(path: Path, tmp_path: Path) -> None:
    plant(tmp_path / "photos", {"a/1.jpg": b"no"})
    with pytest.raises(FormatError, match="no image in it can be converted"):
        convert(tmp_path / "photos", path, on_error="skip")
    assert sorted(os.listdir(tmp_path)) == ["photos"]


def test_wrong_arguments_are_refused(photos: Path, path: Path, tmp_path: Path) -> None:
    for wrong in ({"format": "zip"}, {"on_error": "ask"}, {"image_mode": "RGB"}, {"max_pixels": 0}):
        with pytest.raises(ValueError, match="; give "):
            convert(photos, path, **wrong)
    convert(photos, path, "hdf5")
    with pytest.raises(FormatError, match="no image_mode; leave it out"):
        convert(path, tmp_path / "new", image_mode="keep")
    assert sorted(os.listdir(tmp_path)) == ["photos", "store"]


@pytest.mark.parametrize("target", ["hdf5-encoded", "folder"])
def test_what_exists_is_never_replaced(target: str, photos: Path, path: Path) -> None:
    plant(path, {"mine": b"1"})
    with pytest.raises(StoreExistsError, match="exists and is not empty"):
        convert(photos, path, target)
    assert held(path) == {"mine": b"1"}
    (path / "mine").unlink()
    convert(photos, path, target)  # an empty folder may be there
    with pytest.raises(StoreExistsError):
        convert(photos, path, target)


# ---- interruptions -----------------------------------------------------------------------------


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("target", ["lmdb-encoded", "png", "folder"])
def test_an_exception_leaves_nothing(target: str, photos: Path, path: Path) -> None:
    def stopping(ids: range | list[int]) -> list[int]:
        class Stopping(list[int]):
            def __iter__(self):  # type: ignore[no-untyped-def]  # a generator of ids
                yield from ids[:4]
                raise StoppedError

        return Stopping()

    before = tree(path.parent)
    with pytest.raises(StoppedError):
        convert(photos, path, target, progress=stopping)
    assert tree(path.parent) == before
    convert(photos, path, target)


def test_a_second_conversion_to_the_same_name_is_refused(photos: Path, path: Path) -> None:
    with WorkFolder.held(path) as work:
        work.new.mkdir()
        with pytest.raises(BusyError, match="another conversion"):
            convert(photos, path)
    assert os.listdir(path.parent) == ["photos"]


def test_what_a_killed_conversion_left_is_removed(photos: Path, path: Path) -> None:
    plant(path.parent / f".tmp-{path.name}", {"new/000-000/images.h5": b"half"})
    convert(photos, path)
    assert sorted(os.listdir(path.parent)) == ["photos", path.name]


SLOW = """
import sys, time
from storage import __main__ as commands
from storage.images.survey import survey

def slow(ids):
    for i in ids:
        if i == 3:
            print("at work", flush=True)
            time.sleep(60)
        yield i

commands.survey = lambda folder, **options: survey(folder, **options | {"progress": iter})
commands._progress = lambda: slow
sys.exit(commands.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("target", ["hdf5-encoded", "folder"])
def test_signals_leave_nothing_under_the_final_name(
    number: signal.Signals, target: str, photos: Path, path: Path
) -> None:
    command = [sys.executable, "-c", SLOW, "convert", str(photos), str(path), "--format", target]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "at work\n"
        process.send_signal(number)
        code = process.wait(30)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    left = sorted(os.listdir(path.parent))
    assert left == ([".tmp-store", "photos"] if number == signal.SIGKILL else ["photos"])
    convert(photos, path, target)  # it can be run again
    assert sorted(os.listdir(path.parent)) == ["photos", "store"]


# ---- the command line --------------------------------------------------------------------------


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "storage", *arguments]
    every = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=every, capture_output=True, text=True)


def test_commands_give_one_line_and_an_exit_code(photos: Path, path: Path) -> None:
    plant(photos, {"kiwi/bad.jpg": b"<html>", "kiwi/notes.txt": b""})
    stopped = run("convert", photos, path, "--format", "lmdb-encoded")
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert stopped.stderr.splitlines()[-1].startswith("error: kiwi/bad.jpg: ")
    done = run("convert", photos, path, "--format", "lmdb-encoded", "--on-error", "skip")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert f"{path}: lmdb-encoded, 6 images of 3 classes" in done.stdout
    assert "1 skipped" in done.stdout
    first, *table, skipped = done.stderr.splitlines()  # and no progress bar
    assert first == "7 images"
    assert "passed over 1 no image by its suffix .txt" in table
    assert skipped.startswith("skipped kiwi/bad.jpg: ")
    again = run("convert", photos, path)
    assert again.returncode == 1
    (line,) = again.stderr.splitlines()  # before the folder is looked at
    assert "exists and is not empty" in line
    folder = run("info", photos, "--image-mode", "keep")
    assert folder.returncode == 0
    assert folder.stdout.splitlines()[:2] == [f"{photos}: a folder", "7 images"]


def test_info_verify_and_compact(photos: Path, path: Path) -> None:
    convert(photos, path, "hdf5-encoded", image_mode="keep")
    with Hdf5EncodedStore(path, "a") as store:
        store.store_files([photos / "kiwi/1.jpg"], [1])
    told = run("info", path)
    assert told.returncode == 0
    for line in (
        f"{path}: hdf5-encoded, 7 images",
        "image mode: keep",
        "names: 7, for example apple/1.jpg",
        "label 1, kiwi: 3",
    ):
        assert line in told.stdout.splitlines()
    compacted = run("compact", path)
    assert (compacted.returncode, compacted.stdout) == (0, f"{path}: 7 images in 1 parts\n")
    whole = run("verify", path)
    assert whole.returncode == 0
    assert whole.stdout == f"{path}: 7 images are as they were stored\n"
    (ids,) = raw.places(path)
    file = raw.folder_of(path, ids) / "images.h5"
    data = file.read_bytes()
    at = data.index(FILES["kiwi/1.jpg"]) + 100
    file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    damaged = run("verify", path)
    assert damaged.returncode == 1
    assert "image 2 is damaged" in damaged.stderr
    assert damaged.stdout == f"{path}: 1 problems\n"


def test_wrong_commands_end_with_2(photos: Path, path: Path) -> None:
    for arguments in ((), ("convert", photos), ("convert", photos, path, "--format", "zip")):
        assert run(*arguments).returncode == 2
    for nameless in (("info", ""), ("verify", ""), ("convert", photos, ""), ("compact", "")):
        assert run(*nameless).stderr.endswith("'' names nothing\n")
    assert run("info", path).returncode == 1
    for command in ("convert", "info", "verify", "compact"):
        assert run(command, "--help").returncode == 0
    assert set(STORES) < set(FORMATS)


def test_output_that_is_no_utf_8_is_no_error(photos: Path, path: Path) -> None:
    target = path.with_name("é")
    for arguments in (("info", photos), ("convert", photos, target), ("verify", target)):
        done = run(*arguments, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert "\\xd7" in done.stdout or "\\xe9" in done.stdout


def test_what_may_not_be_looked_at_is_named_in_one_line(photos: Path, path: Path) -> None:
    too_long = path.with_name("x" * 300)
    for arguments in (("info", too_long), ("convert", too_long, path), ("verify", too_long)):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"error: {too_long}: ")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a closed pipe", "a full disk"])
def test_output_that_cannot_be_written_is_told_in_a_line(photos: Path, kind: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") if kind == "a closed pipe" else Path("/dev/full").open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "storage", "info", str(photos)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
    told = "" if kind == "a closed pipe" else "error: the output cannot be written: No space"
    assert done.returncode == 1
    assert done.stderr[: len(told)] == told
    assert done.stderr.count("\n") == bool(told)


def test_a_terminal_alone_shows_progress(photos: Path, path: Path) -> None:
    reading, writing = os.openpty()
    termios.tcsetwinsize(writing, (24, 80))
    os.set_blocking(reading, False)
    for command in (
        ("convert", str(photos), str(path)),
        ("verify", str(path)),
        ("compact", str(path)),
    ):
        line = [sys.executable, "-m", "storage", *command]
        subprocess.run(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=writing, check=True)
        shown = os.read(reading, 100_000)  # while the other end is open
        assert b" images" in shown
        assert b"\n" not in shown.replace(b"\r\n", b"\n").rpartition(b" images")[2]  # it goes again
    os.close(writing)
    os.close(reading)
