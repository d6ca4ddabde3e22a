"""Each error of the contract in each store: its type, its message, and that nothing was written."""

# Arguments of wrong types are what this module is about.
# mypy: disable-error-code="arg-type, list-item, call-overload"

import errno
import gc
import os
import pickle
import resource
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import storage

from .. import (
    STORES,
    BusyError,
    ClosedError,
    CorruptRecordError,
    CorruptStoreError,
    DiskFullError,
    DTypeError,
    ExecutorError,
    FolderError,
    FormatError,
    ImageFileError,
    ImageIdError,
    ImageIdTypeError,
    LabelError,
    LengthError,
    ReadOnlyError,
    ShapeError,
    StorageError,
    Store,
    StoreExistsError,
    StoreIOError,
    StoreNotFoundError,
)
from .._errors import os_errors
from .._ids import check_ids, check_labels
from .._registry import NpyStore
from ..containers.npy import NpyContainer
from ..payloads.raw import RawPayload
from .children import in_child
from .samples import Image, assert_records, contents, each_store, make, pictures, tree
from .trials import Trials

IMAGE = pictures(1)[0]
TWO = pictures(2)

BUILT_INS: dict[type[StorageError], type[Exception]] = {
    ImageIdError: IndexError,
    ImageIdTypeError: TypeError,
    DTypeError: TypeError,
    ShapeError: ValueError,
    LabelError: ValueError,
    LengthError: ValueError,
    StoreExistsError: FileExistsError,
    StoreNotFoundError: FileNotFoundError,
    FormatError: ValueError,
    ImageFileError: ValueError,
    FolderError: ValueError,
    ReadOnlyError: PermissionError,
    ClosedError: ValueError,
    BusyError: BlockingIOError,
    StoreIOError: OSError,
    DiskFullError: OSError,
    CorruptStoreError: OSError,
    CorruptRecordError: OSError,
    ExecutorError: RuntimeError,
}
"""What a caller who does not know this package would already catch."""


def test_every_error_is_listed_here_and_derives_from_its_built_in() -> None:
    exported = [getattr(storage, name) for name in dir(storage)]
    errors = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Exception)}
    assert errors == {*BUILT_INS, StorageError}
    for kind, built_in in BUILT_INS.items():
        assert issubclass(kind, StorageError)
        assert issubclass(kind, built_in)


def test_a_translated_error_keeps_nothing_alive() -> None:
    """What was open when it was raised is closed with it: a removed file takes room until then."""

    class Opened:
        pass

    def fail() -> weakref.ref[Opened]:
        opened = Opened()
        try:
            with os_errors("a store"):
                raise OSError(errno.ENOSPC, "full")
        except DiskFullError:
            return weakref.ref(opened)
        raise AssertionError("no error")

    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", BUILT_INS)
def test_an_error_survives_the_way_from_a_worker_process(kind: type[StorageError]) -> None:
    error = pickle.loads(pickle.dumps(kind("store: what is wrong")))
    assert type(error) is kind
    assert str(error) == "store: what is wrong"


def check_message(error: BaseException, path: Path, *mentions: object) -> None:
    """One line that begins with the store's path."""
    assert isinstance(error, StorageError)
    assert isinstance(error, BUILT_INS[type(error)])
    text = str(error)
    assert "\n" not in text
    assert text.startswith(str(path)), text
    assert len(text) > len(str(path)) + 10
    for mention in mentions:
        assert str(mention) in text


# ---- what cannot be stored ---------------------------------------------------------------------

NO_INTEGERS = ["f2", "f4", "f8", "?", "O", "c8", "S1", "U1", "M8[s]", "m8[s]"]
DTYPES = ["i1", "u2", ">u2", "i8", *NO_INTEGERS]

NO_IMAGES: dict[str, tuple[object, type[StorageError]]] = {
    **{f"dtype {dtype}": (np.zeros((4, 5, 3), dtype), DTypeError) for dtype in DTYPES},
    "a list": ([[1, 2], [3, 4]], DTypeError),
    "bytes": (b"1234", DTypeError),
    "None": (None, DTypeError),
    "an integer": (7, DTypeError),
    "no dimension": (np.zeros((), np.uint8), ShapeError),
    "one dimension": (np.zeros(5, np.uint8), ShapeError),
    "four dimensions": (np.zeros((1, 4, 5, 3), np.uint8), ShapeError),
    "no lines": (np.zeros((0, 5), np.uint8), ShapeError),
    "no columns": (np.zeros((5, 0, 3), np.uint8), ShapeError),
    "no channels": (np.zeros((5, 4, 0), np.uint8), ShapeError),
    "five channels": (np.zeros((5, 4, 5), np.uint8), ShapeError),
    "channels first": (np.zeros((3, 32, 32), np.uint8), ShapeError),
}

NO_LABELS: dict[str, tuple[object, type[StorageError]]] = {
    "float": (1.0, DTypeError),
    "float64": (np.float64(1), DTypeError),
    "text": ("1", DTypeError),
    "None": (None, DTypeError),
    "True": (True, DTypeError),
    "np.True_": (np.True_, DTypeError),
    "time span": (np.timedelta64(1, "s"), DTypeError),
    "array": (np.array([1]), DTypeError),
    "list": ([1], DTypeError),
    "2**63": (2**63, LabelError),
    "-2**63-1": (-(2**63) - 1, LabelError),
    "2**100": (2**100, LabelError),
    "uint64": (np.uint64(2**63), LabelError),
}

NO_LABEL_ARRAYS: dict[str, tuple[object, type[StorageError]]] = {
    **{f"dtype {dtype}": (np.ones(2, dtype), DTypeError) for dtype in NO_INTEGERS},
    "too large": (np.array([1, 2**63], np.uint64), LabelError),
    "two dimensions": (np.ones((2, 1), np.int64), LengthError),
    "no dimension": (np.int64(1), DTypeError),
    "one too few": ([1], LengthError),
    "one too many": ([1, 2, 3], LengthError),
    "none": ([], LengthError),
    "text": ("12", DTypeError),
    "bytes": (b"12", DTypeError),
    "iterator": (iter([1, 2]), DTypeError),
    "set": ({1, 2}, DTypeError),
    "None": (None, DTypeError),
    "one integer": (1, DTypeError),
}

NO_BATCHES: dict[str, tuple[object, object, type[StorageError]]] = {
    **{f"dtype {dtype}": (np.zeros((2, 4, 5), dtype), [1, 2], DTypeError) for dtype in DTYPES},
    "two dimensions": (np.zeros((2, 4), np.uint8), [1, 2], ShapeError),
    "five dimensions": (np.zeros((2, 4, 5, 3, 1), np.uint8), [1, 2], ShapeError),
    "no lines": (np.zeros((2, 0, 4), np.uint8), [1, 2], ShapeError),
    "no columns": (np.zeros((2, 4, 0), np.uint8), [1, 2], ShapeError),
    "no channels": (np.zeros((2, 4, 4, 0), np.uint8), [1, 2], ShapeError),
    "five channels": (np.zeros((2, 4, 4, 5), np.uint8), [1, 2], ShapeError),
    "empty array": (np.zeros((0, 4, 5), np.uint8), [], LengthError),
    "empty list": ([], [], LengthError),
    "empty iterator": (iter([]), [], LengthError),
    "images without labels": (TWO, [], LengthError),
    "labels without images": ([], [1, 2], LengthError),
    "an array shorter": (TWO, [1, 2, 3], LengthError),
    "an array longer": (TWO, [1], LengthError),
    "a list shorter": ([*TWO], [1, 2, 3], LengthError),
    "a list longer": ([*TWO], [1], LengthError),
    "text": ("12", [1, 2], DTypeError),
    "bytes": (b"12", [1, 2], DTypeError),
    "None": (None, [1, 2], DTypeError),
    "one integer": (5, [1, 2], DTypeError),
    "a list of lists": ([[[1, 2]], [[3, 4]]], [1, 2], DTypeError),
}


def assert_refused(
    store_class: type[Store],
    path: Path,
    calls: Mapping[str, Callable[[Store], object]],
    kind: type[StorageError],
    trials: Trials,
    mentions: Mapping[str, object] | None = None,
) -> None:
    """Each call raises exactly `kind`, changes no byte, and the store goes on.

    mentions: what the message of a call names besides the store
    """
    images, labels = make(store_class, path)
    with store_class(path, "a") as store:
        before = contents(path)
        for how, call in calls.items():
            with pytest.raises(StorageError) as caught:
                call(store)
            assert type(caught.value) is kind, how
            check_message(caught.value, path, *([mentions[how]] if mentions else []))
            assert contents(path) == before, how
            assert len(store) == 6
            trials.count("wrong arguments", store_class.format, "refused")
        assert store.store_single(IMAGE, 5) == 6
        assert_records(store.read_many(), [*images, IMAGE], [*labels, 5])


@each_store
@pytest.mark.parametrize("case", NO_IMAGES)
def test_an_image_that_cannot_be_stored_is_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    image, kind = NO_IMAGES[case]
    calls: dict[str, Callable[[Store], object]] = {
        "single": lambda store: store.store_single(image, 1),
        "first": lambda store: store.store_many([image, IMAGE], [1, 2]),
        "last": lambda store: store.store_many([IMAGE, image], [1, 2]),
    }
    named = {"single": "image 0", "first": "image 0", "last": "image 1"}
    assert_refused(store_class, path, calls, kind, trials, named)


@each_store
@pytest.mark.parametrize("case", NO_LABELS)
def test_a_label_that_cannot_be_stored_is_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    label, kind = NO_LABELS[case]
    calls: dict[str, Callable[[Store], object]] = {
        "single": lambda store: store.store_single(IMAGE, label),
        "many": lambda store: store.store_many(TWO, [1, label]),
    }
    assert_refused(store_class, path, calls, kind, trials)


@each_store
@pytest.mark.parametrize("case", NO_LABEL_ARRAYS)
def test_labels_that_cannot_be_stored_are_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    labels, kind = NO_LABEL_ARRAYS[case]
    calls = {"": lambda store: store.store_many(TWO, labels)}
    assert_refused(store_class, path, calls, kind, trials)


@each_store
@pytest.mark.parametrize("case", NO_BATCHES)
def test_images_that_cannot_be_stored_are_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    images, labels, kind = NO_BATCHES[case]
    calls = {"": lambda store: store.store_many(images, labels)}
    assert_refused(store_class, path, calls, kind, trials)


# ---- ids that are none -------------------------------------------------------------------------

NO_ID: dict[str, tuple[object, type[StorageError]]] = {
    "-1": (-1, ImageIdError),
    "-length-1": (-7, ImageIdError),
    "the length": (6, ImageIdError),
    "2**63": (2**63, ImageIdError),
    "-2**70": (-(2**70), ImageIdError),
    "uint64": (np.uint64(2**64 - 1), ImageIdError),
    "int8": (np.int8(-128), ImageIdError),
    "float": (1.0, ImageIdTypeError),
    "float64": (np.float64(1), ImageIdTypeError),
    "nan": (float("nan"), ImageIdTypeError),
    "True": (True, ImageIdTypeError),
    "np.False_": (np.False_, ImageIdTypeError),
    "text": ("1", ImageIdTypeError),
    "bytes": (b"1", ImageIdTypeError),
    "None": (None, ImageIdTypeError),
    "tuple": ((1,), ImageIdTypeError),
    "time span": (np.timedelta64(1, "s"), ImageIdTypeError),
}

NO_IDS: dict[str, tuple[object, type[StorageError]]] = {
    "one integer": (1, ImageIdTypeError),
    "a NumPy integer": (np.int64(1), ImageIdTypeError),
    "text": ("12", ImageIdTypeError),
    "bytes": (b"\0\1", ImageIdTypeError),
    "iterator": (iter([1, 2]), ImageIdTypeError),
    "set": ({1, 2}, ImageIdTypeError),
    "dictionary": ({1: 2}, ImageIdTypeError),
    "Boolean mask": (np.array([True] * 6), ImageIdTypeError),
    "list of Booleans": ([True, False], ImageIdTypeError),
    "floats": (np.array([1.0, 2.0]), ImageIdTypeError),
    "no floats": (np.empty(0), ImageIdTypeError),
    "objects": (np.array([1, 2], object), ImageIdTypeError),
    "time spans": (np.array([1, 2], "m8[s]"), ImageIdTypeError),
    "two dimensions": (np.array([[1, 2]]), ImageIdTypeError),
    "list of lists": ([[1], [2]], ImageIdTypeError),
    "ragged": ([[1], [1, 2]], ImageIdTypeError),
    "range below": (range(-1, 3), ImageIdError),
    "range beyond": (range(4, 8), ImageIdError),
    "endless range": (range(2**70), ImageIdError),
    "beyond int64 either way": ([2**63, -1], ImageIdError),
    "unsigned": (np.array([1, 2**64 - 1], np.uint64), ImageIdError),
}


@each_store
@pytest.mark.parametrize("case", NO_ID)
def test_an_id_that_is_none_is_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    image_id, kind = NO_ID[case]
    calls: dict[str, Callable[[Store], object]] = {
        "read_single": lambda store: store.read_single(image_id),
        "[]": lambda store: store[image_id],
        "batch": lambda store: store.read_many([1, image_id]),
        "large batch": lambda store: store.read_many([5, 1, 3] * 9 + [image_id]),
        "__getitems__": lambda store: store.__getitems__([image_id, 2]),
    }
    if case == "-1":  # the last image
        del calls["[]"]
    mentions = dict.fromkeys(calls, int(image_id)) if kind is ImageIdError else None
    assert_refused(store_class, path, calls, kind, trials, mentions)


@each_store
@pytest.mark.parametrize("case", NO_IDS)
def test_ids_that_are_none_are_refused(
    store_class: type[Store], path: Path, trials: Trials, case: str
) -> None:
    ids, kind = NO_IDS[case]
    calls = {"": lambda store: store.read_many(ids)}
    assert_refused(store_class, path, calls, kind, trials)


@each_store
def test_an_empty_store_has_no_id(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        for call in (lambda: store.read_single(0), lambda: store[0], lambda: store.read_many([0])):
            with pytest.raises(ImageIdError, match="empty") as caught:
                call()
            check_message(caught.value, path, "image 0")


# ---- the store itself --------------------------------------------------------------------------


@each_store
def test_errors_about_the_store_name_it_and_the_way_out(
    store_class: type[Store], path: Path, tmp_path: Path
) -> None:
    make(store_class, path)
    missing = tmp_path / "missing"
    closed = store_class(path)
    closed.close()
    with store_class(path) as reader, store_class(path, "a"):
        cases: list[tuple[Callable[[], object], type[StorageError], Path, str]] = [
            (lambda: store_class(path, "x"), StoreExistsError, path, "mode='a'"),
            (lambda: store_class(missing), StoreNotFoundError, missing, "mode='x'"),
            (lambda: reader.store_single(IMAGE, 1), ReadOnlyError, path, "mode='a'"),
            (reader.compact, ReadOnlyError, path, "mode='a'"),
            (lambda: store_class(path, "a"), BusyError, path, "mode='r'"),
            (closed.read_many, ClosedError, path, "open it again"),
        ]
        for call, kind, named, way_out in cases:
            with pytest.raises(kind) as caught:
                call()
            assert type(caught.value) is kind
            check_message(caught.value, named, way_out)


@each_store
def test_a_reader_says_so_before_it_looks_at_the_images(
    store_class: type[Store], path: Path
) -> None:
    make(store_class, path)
    with store_class(path) as store, pytest.raises(ReadOnlyError):
        store.store_single(np.zeros(3), 1)
    with pytest.raises(ClosedError):
        store.store_single(np.zeros(3), 1)


# ---- the operating system ----------------------------------------------------------------------


@each_store
@pytest.mark.parametrize("how", ["array", "list", "iterator"])
def test_a_write_that_is_refused_leaves_every_earlier_commit(
    store_class: type[Store], path: Path, how: str
) -> None:
    """A limit on the size of files, in a process of its own: a write in the middle fails."""
    images, labels = make(store_class, path)
    large = pictures(40, (128, 128, 3))
    forms: dict[str, Callable[[], Iterable[Image]]] = {
        "array": lambda: large,
        "list": lambda: [*large],
        "iterator": lambda: iter(large),
    }

    def exceed() -> None:
        with store_class(path, "a") as store:
            before = tree(path)
            largest = max(file.stat().st_size for file in path.iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 40_000, resource.RLIM_INFINITY))
            with pytest.raises(StoreIOError) as caught:
                store.store_many(forms[how](), range(40))
            check_message(caught.value, path)
            assert tree(path) == before
            assert_records(store.read_many(), images, labels)
            store.verify()
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            assert store.store_many(large, range(40)) == range(6, 46)

    in_child(exceed)
    with store_class(path) as store:
        assert_records(store.read_many(range(6)), images, labels)
        assert_records(store.read_many(range(6, 46)), large, range(40))
        store.verify()


@each_store
@pytest.mark.usefixtures("unfolded")
def test_more_commits_than_files_may_be_open_can_be_read_and_compacted(
    store_class: type[Store], path: Path
) -> None:
    images = pictures(300, (2, 2))
    with store_class(path, "x", durable=False) as store:
        for label, image in enumerate(images):
            store.store_single(image, label)

    def use_few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))  # half of what is usual
        order = np.random.default_rng(3).permutation(300)
        with store_class(path, "a", durable=False) as store:
            for _ in range(2):
                assert_records(store.read_many(), images, range(300))
                assert_records(store.read_many(order), images[order], order)
                store.verify()
                store.compact()

    in_child(use_few_files)


@each_store
def test_small_parts_that_cannot_be_joined_are_no_error_of_the_call(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(32)
    genuine = os.mkdir

    def mkdir(name: str, *arguments: int, **options: int) -> None:
        if name.endswith("000000000000-000000000016"):
            raise OSError(errno.EIO, "Input/output error")
        genuine(name, *arguments, **options)

    with store_class(path, "x", durable=False) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", mkdir)
            for i in range(16):
                assert store.store_single(images[i], i) == i
        assert len([*path.glob("0*")]) == 16
        store.store_many(images[16:], range(16, 32))
        assert_records(store.read_many(), images, range(32))
        store.verify()
    with store_class(path, "a") as store:
        store.compact()
        assert_records(store.read_many(), images, range(32))


def sync_that_fails(at: int) -> Callable[[int], None]:
    """`os.fsync`, except that its call number `at` fails."""
    calls = count(1)
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if next(calls) == at:
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    return sync


@each_store
def test_a_sync_that_fails_is_an_error_and_the_call_is_undone(
    store_class: type[Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync in turn, where the store leaves them to Python; the store then goes on."""
    images, labels = make(store_class, path)
    for failing in count(1):
        with store_class(path, "a") as store, monkeypatch.context() as patch:
            patch.setattr(os, "fsync", sync_that_fails(failing))
            before = tree(path)
            failed = False
            with suppress(StoreIOError):
                failed = True
                store.store_many(images, labels)
                failed = False
            if not failed:
                break
            assert tree(path) == before
            assert_records(store.read_many(), images, labels)
            store.verify()
    with store_class(path) as store:
        assert_records(store.read_many(), [*images, *images], [*labels, *labels])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may reach; pytest's own are closed to all but their owner."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@each_store
def test_a_directory_that_may_not_be_written_can_be_read(
    store_class: type[Store], open_folder: Path
) -> None:
    path = open_folder / "store"
    images, labels = make(store_class, path)
    for entry in (*path.rglob("*"), path, open_folder):
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    before = contents(path)

    def use_read_only() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write anywhere
        with pytest.raises(ReadOnlyError) as caught:
            store_class(path, "a")
        check_message(caught.value, path, "permission")
        with pytest.raises(ReadOnlyError):
            store_class(open_folder / "another", "x")
        with store_class(path) as store:
            assert_records(store.read_many(), images, labels)
            assert_records(
                store.read_many([5, 0, 1] * 5), images[[5, 0, 1] * 5], labels[[5, 0, 1] * 5]
            )
            store.verify()

    try:
        in_child(use_read_only)
        assert contents(path) == before
    finally:
        for folder in (open_folder, path, *(entry for entry in path.rglob("*") if entry.is_dir())):
            folder.chmod(0o755)


@each_store
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_a_store_that_may_not_be_read_says_so(store_class: type[Store], open_folder: Path) -> None:
    path = open_folder / "store"
    make(store_class, path)
    path.chmod(0)

    def use_unreadable() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        with pytest.raises(ReadOnlyError) as caught:
            store_class(path)
        check_message(caught.value, path, "permissions")

    try:
        in_child(use_unreadable)
    finally:
        path.chmod(0o755)


@pytest.mark.parametrize(
    "given",
    [{"container": NpyContainer()}, {"payload": RawPayload()}, {"name": "half"}],
    ids=lambda given: next(iter(given)),
)
def test_a_class_of_stores_that_is_half_described_is_refused(given: dict[str, Any]) -> None:
    before = [*STORES]
    with pytest.raises(TypeError, match="give a name, a container and a payload"):
        type("HalfStore", (Store,), {}, **given)
    assert [*STORES] == before


def test_ids_and_labels_are_read_once() -> None:
    """What is checked is what is used, although another thread changes them meanwhile."""
    given = np.arange(5)
    assert not np.shares_memory(check_ids(given, 5, "store"), given)
    assert not np.shares_memory(check_labels(given), given)


def test_no_ids_are_none_wherever_they_begin(path: Path) -> None:
    make(NpyStore, path)
    with NpyStore(path) as store:
        images, labels = store.read_many(range(2**70, 0))
    assert len(images) == len(labels) == 0
