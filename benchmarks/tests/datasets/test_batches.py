"""Batches: written here byte by byte as Python 2 wrote CIFAR-10's, and read back."""

import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.datasets import (
    BatchError,
    DatasetError,
    DatasetNotFoundError,
    UnsafePickleError,
    load_dataset,
)


def py2_string(text: bytes) -> bytes:
    """What Python 2 wrote for a str."""
    if len(text) < 256:
        return pickle.SHORT_BINSTRING + bytes([len(text)]) + text
    return pickle.BINSTRING + struct.pack("<i", len(text)) + text


def py2_array(raw: bytes, shape: tuple[int, ...], dtype: bytes = b"u1") -> bytes:
    """What Python 2's numpy wrote for an array: protocol 2, the old module names."""
    sizes = b"".join(pickle.BININT + struct.pack("<i", n) for n in shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        + b"(K\x01(" + sizes + b"t"
        + b"cnumpy\ndtype\n(" + py2_string(dtype) + b"K\x00K\x01tR"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89" + py2_string(raw) + b"tb"
    )  # fmt: skip


def py2_list(numbers: list[int]) -> bytes:
    return b"](" + b"".join(pickle.BININT + struct.pack("<i", n) for n in numbers) + b"e"


def py2_dict(**values: bytes) -> bytes:
    """A protocol-2 pickle of a dictionary whose values are pickled already."""
    items = b"".join(py2_string(key.encode()) + value for key, value in values.items())
    return b"\x80\x02}(" + items + b"u."


def rows_of(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(rows: NDArray[np.uint8], labels: list[int]) -> bytes:
    """A batch file as CIFAR-10 has it."""
    return py2_dict(
        batch_label=py2_string(b"training batch"),
        labels=py2_list(labels),
        data=py2_array(rows.tobytes(), rows.shape),
        filenames=b"](" + b"".join(py2_string(b"x.png") for _ in labels) + b"e",
    )


def write_batches(folder: Path, *numbers: int, count: int = 7) -> dict[int, NDArray[np.uint8]]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for number in numbers:
        written[number] = rows_of(count, seed=number)
        labels = [(number + i) % 10 for i in range(count)]
        (folder / f"data_batch_{number}").write_bytes(batch(written[number], labels))
    return written


def test_pixels_and_labels_come_back_as_written(tmp_path: Path) -> None:
    rows = write_batches(tmp_path, 1)[1]
    loaded = load_dataset(str(tmp_path))
    assert loaded.images.shape == (7, 32, 32, 3)
    assert loaded.images.dtype == np.uint8
    assert loaded.labels.dtype == np.int64
    assert loaded.labels.tolist() == [1, 2, 3, 4, 5, 6, 7]
    for i, y, x, channel in ((0, 0, 0, 0), (3, 31, 5, 1), (6, 17, 31, 2)):
        assert loaded.images[i, y, x, channel] == rows[i, channel * 1024 + y * 32 + x]
    planes = [loaded.images[..., channel].reshape(7, 1024) for channel in range(3)]
    np.testing.assert_array_equal(np.concatenate(planes, axis=1), rows)


def test_batches_come_in_numeric_order_and_the_test_batch_is_left_out(tmp_path: Path) -> None:
    written = write_batches(tmp_path, 5, 2, 3)
    (tmp_path / "test_batch").write_bytes(batch(rows_of(1, 9), [0]))
    loaded = load_dataset(str(tmp_path))
    assert len(loaded.images) == 21
    for block, number in enumerate((2, 3, 5)):
        np.testing.assert_array_equal(
            loaded.images[block * 7 : block * 7 + 7, :, :, 0].reshape(7, 1024),
            written[number][:, :1024],
        )


def test_a_directory_may_hold_the_official_folder(tmp_path: Path) -> None:
    write_batches(tmp_path / "cifar-10-batches-py", 1)
    write_batches(tmp_path / "elsewhere", 1)
    inside = load_dataset(str(tmp_path))
    assert inside.name == tmp_path.name
    assert inside.identity == load_dataset(str(tmp_path / "elsewhere")).identity


def test_identity_changes_with_any_byte_of_a_batch(tmp_path: Path) -> None:
    write_batches(tmp_path, 1, 2)
    before = load_dataset(str(tmp_path)).identity
    changed = bytearray((tmp_path / "data_batch_2").read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "data_batch_2").write_bytes(changed)
    assert before.startswith("sha256:")
    assert load_dataset(str(tmp_path)).identity != before


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_python_3_pickles_is_read_too(tmp_path: Path, protocol: int, order: str) -> None:
    rows = rows_of(4, seed=1)
    data = np.asfortranarray(rows) if order == "F" else rows
    (tmp_path / "data_batch_1").write_bytes(
        pickle.dumps({"data": data, "labels": [0, 9, 1, 2]}, protocol)
    )
    loaded = load_dataset(str(tmp_path))
    np.testing.assert_array_equal(loaded.images[..., 1].reshape(4, 1024), rows[:, 1024:2048])
    assert loaded.labels.tolist() == [0, 9, 1, 2]


@pytest.mark.parametrize("fix_imports", [True, False])
def test_what_python_3_pickles_for_python_2_is_read_too(tmp_path: Path, fix_imports: bool) -> None:
    rows = rows_of(3, seed=2)
    content = {
        b"batch_label": b"training batch 1 of 5",
        b"labels": [0, 9, 1],
        b"data": rows,
        b"filenames": [b"\xe4.png", b"", b"x.png"],
        b"none": b"",
    }
    pickled = pickle.dumps(content, 2, fix_imports=fix_imports)
    assert b"_codecs" in pickled
    (tmp_path / "data_batch_1").write_bytes(pickled)
    loaded = load_dataset(str(tmp_path))
    np.testing.assert_array_equal(loaded.images[..., 0].reshape(3, 1024), rows[:, :1024])
    assert loaded.labels.tolist() == [0, 9, 1]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"labels": [*np.array([1, 2])]}, "'labels' is not a list of integers"),
        ({"labels": np.array([1, 2])}, "its array has dtype i8"),
        ({"data": np.uint8(3)}, "an array in a form that no CIFAR batch uses"),
        ({"data": bytearray(6144)}, "an array in a form|'data' is a bytearray"),
        ({"data": b"\xff" * 6144}, "'data' is a bytes"),
        ({"data": b""}, "'data' is a bytes"),
    ],
)
def test_what_python_3_pickles_and_is_no_batch_is_refused_for_what_it_is(
    tmp_path: Path, protocol: int, changed: dict[str, object], complaint: str
) -> None:
    content = {"data": rows_of(2, seed=0), "labels": [1, 2]} | changed
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(BatchError, match=complaint) as caught:
        load_dataset(str(tmp_path))
    assert not isinstance(caught.value, UnsafePickleError)


@pytest.mark.parametrize(
    "call",
    [
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00base64\x86R",
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R",
        b"c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80X\x06\x00\x00\x00latin1\x86R",
        b"c_codecs\nencode\n]X\x06\x00\x00\x00latin1\x86R",
        b"c_codecs\nencode\n)R",
        b"c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb",
        b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R",
        b"c__builtin__\nbytes\n)R}X\x01\x00\x00\x00aK\x01sb",
    ],
)
def test_bytes_are_made_in_no_other_way(tmp_path: Path, call: bytes) -> None:
    (tmp_path / "data_batch_1").write_bytes(py2_dict(data=call, labels=py2_list([1])))
    with pytest.raises(BatchError, match="broken"):
        load_dataset(str(tmp_path))


def test_a_text_that_is_encoded_again_and_again_takes_memory_once(tmp_path: Path) -> None:
    text, times = 1 << 20, 100
    pickled = (
        b"\x80\x02c_codecs\nencode\nq\x00"
        + b"X" + struct.pack("<i", text) + b"a" * text
        + b"X\x06\x00\x00\x00latin1\x86q\x01R"
        + b"](" + b"h\x00h\x01R" * times + b"e\x86."
    )  # fmt: skip
    (tmp_path / "data_batch_1").write_bytes(pickled)
    tracemalloc.start()
    with pytest.raises(BatchError, match="no dictionary"):
        load_dataset(str(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * text


ROWS = rows_of(2, seed=0)
DATA = py2_array(ROWS.tobytes(), (2, 3072))
LABELS = py2_list([3, 4])
DAMAGED = {
    "no data": (py2_dict(labels=LABELS), "no 'data'"),
    "no labels": (py2_dict(data=DATA), "no 'labels'"),
    "fewer labels than rows": (py2_dict(data=DATA, labels=py2_list([3])), "2 rows but 1 labels"),
    "more labels than rows": (py2_dict(data=DATA, labels=py2_list([3] * 5)), "2 rows but 5"),
    "label 10": (py2_dict(data=DATA, labels=py2_list([3, 10])), "label 10"),
    "label -1": (py2_dict(data=DATA, labels=py2_list([-1, 3])), "label -1"),
    "labels not integers": (py2_dict(data=DATA, labels=b"](\x88\x89e"), "list of integers"),
    "labels no list": (py2_dict(data=DATA, labels=py2_string(b"ab")), "list of integers"),
    "data no array": (py2_dict(data=py2_string(b"ab"), labels=LABELS), "not an array"),
    "wrong row length": (
        py2_dict(data=py2_array(bytes(2 * 3071), (2, 3071)), labels=LABELS),
        r"shape \(2, 3071\)",
    ),
    "one dimension": (
        py2_dict(data=py2_array(bytes(3072), (3072,)), labels=LABELS),
        r"shape \(3072,\)",
    ),
    "wrong dtype": (
        py2_dict(data=py2_array(bytes(4 * 6144), (2, 3072), b"f4"), labels=LABELS),
        "dtype f4, not uint8",
    ),
    "object dtype": (
        py2_dict(data=py2_array(bytes(8 * 6144), (2, 3072), b"O8"), labels=LABELS),
        "dtype O8, not uint8",
    ),
    "shape larger than its bytes": (
        py2_dict(data=py2_array(bytes(3072), (2_000_000_000, 3072)), labels=LABELS),
        "has 3072 bytes",
    ),
    "negative shape": (
        py2_dict(data=py2_array(bytes(6144), (-2, -3072)), labels=LABELS),
        "no shape",
    ),
    "no dictionary": (b"\x80\x02]q\x00.", "no dictionary"),
    "key not text": (b"\x80\x02}K\x01K\x02s.", "key"),
    "empty file": (b"", "not a pickle"),
    "not a pickle": (b"GIF89a, surely not a pickle", "not a pickle"),
    "a pickle of protocol 0": (pickle.dumps({"data": 1}, 0), "not a pickle of protocol 2"),
    "truncated": (batch(ROWS, [3, 4])[:4000], "not a whole pickle"),
    "without its end": (batch(ROWS, [3, 4])[:-1], "not a whole pickle"),
    "bytes after its end": (batch(ROWS, [3, 4]) + b"more", "4 bytes follow"),
    "stack underflow": (b"\x80\x02\x85.", "broken"),
    "memo never filled": (b"\x80\x02h\x07.", "broken"),
    "state for what takes none": (b"\x80\x02]K\x01b.", "broken"),
    "string longer than the file": (b"\x80\x02T\xff\xff\xff\x7fabc.", "not a whole pickle"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_batch_is_an_error_that_names_the_file(tmp_path: Path, damage: str) -> None:
    content, complaint = DAMAGED[damage]
    write_batches(tmp_path, 1)
    (tmp_path / "data_batch_2").write_bytes(content)
    with pytest.raises(BatchError, match=complaint) as caught:
        load_dataset(str(tmp_path))
    assert isinstance(caught.value, ValueError)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


class _Reduces:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def _hostile(marker: str) -> dict[str, bytes]:
    """Pickles that would leave a file at `marker`, or do other harm, if they were run."""
    name = marker.encode()
    touch = f"open({marker!r}, 'w').close()"
    return {
        "posix.mkdir": pickle.dumps({"data": _Reduces(os.mkdir, marker)}, 2),
        "posix.system": pickle.dumps({"data": _Reduces(os.system, f"touch {marker}")}, 4),
        "builtins.eval": pickle.dumps({"data": _Reduces(eval, touch)}, 5),
        "__builtin__.eval": b"\x80\x02c__builtin__\neval\n"
        + py2_string(touch.encode())
        + b"\x85R.",
        "numpy.fromfile": b"\x80\x02cnumpy\nfromfile\n" + py2_string(name) + b"\x85R.",
        "numpy.core.multiarray.array": b"\x80\x02cnumpy.core.multiarray\narray\nK\x01\x85R.",
        "numpy.ndarray.tofile": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "INST": b"\x80\x02(U\x01xios\nmkdir\n.",
        "OBJ": b"\x80\x02(cnumpy\nndarray\nK\x01o.",
        "NEWOBJ": b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.",
        "PERSID": b"\x80\x02Pname\n.",
        "BINPERSID": b"\x80\x02U\x01xQ.",
        "EXT1": b"\x80\x02\x82\x01.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    }


@pytest.mark.parametrize("harm", list(_hostile("")))
def test_nothing_that_a_pickle_asks_for_is_run(tmp_path: Path, harm: str) -> None:
    marker = tmp_path / "harmed"
    (tmp_path / "data_batch_1").write_bytes(_hostile(str(marker))[harm])
    with pytest.raises(UnsafePickleError) as caught:
        load_dataset(str(tmp_path))
    assert harm in str(caught.value)
    assert str(tmp_path / "data_batch_1") in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        b"cnumpy\ndtype\n}U\x04nameU\x01xsb.",
        b"cnumpy\nndarray\nN}U\x0c__call__U\x01xs\x86b.",
        b"cnumpy.core.multiarray\n_reconstruct\n}U\x0c__defaults__K\x01\x85sb.",
    ],
)
def test_a_pickle_cannot_change_what_its_names_stand_for(tmp_path: Path, change: bytes) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data_batch_1").write_bytes(b"\x80\x02" + change)
    write_batches(tmp_path / "good", 1)
    before = load_dataset(str(tmp_path / "good"))
    with pytest.raises(BatchError):
        load_dataset(str(tmp_path / "bad"))
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "good")).images, before.images)


def test_damage_anywhere_is_an_error_of_ours_or_other_pixels(tmp_path: Path) -> None:
    """A few hundred random changes: whatever they break, no other exception comes out."""
    whole = bytearray(batch(rows_of(1, seed=0), [3]))
    structure = [i for i in range(len(whole)) if i < 260 or i > len(whole) - 40]
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(600):
        damaged = bytearray(whole)
        damaged[int(rng.choice(structure))] = int(rng.integers(256))
        (tmp_path / "data_batch_1").write_bytes(damaged)
        try:
            assert load_dataset(str(tmp_path)).images.shape == (1, 32, 32, 3)
        except DatasetError:
            errors += 1
    assert 200 < errors < 600


def test_batches_without_a_single_image_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "data_batch_3").write_bytes(py2_dict(data=py2_array(b"", (0, 3072)), labels=b"]"))
    with pytest.raises(BatchError, match="no images") as caught:
        load_dataset(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_batch_name_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").mkdir()
    with pytest.raises(BatchError, match="data_batch_1"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("target", ["nowhere", "data_batch_2"], ids=["dangling", "loop"])
def test_a_batch_that_is_a_link_to_nowhere_is_an_error(tmp_path: Path, target: str) -> None:
    write_batches(tmp_path, 1)
    (tmp_path / "data_batch_2").symlink_to(target)
    with pytest.raises(BatchError, match="data_batch_2: a broken link"):
        load_dataset(str(tmp_path))


def test_a_batch_that_is_a_link_to_another_file_is_read(tmp_path: Path) -> None:
    write_batches(tmp_path / "elsewhere", 2)
    write_batches(tmp_path / "here", 1)
    (tmp_path / "here" / "data_batch_2").symlink_to("../elsewhere/data_batch_2")
    assert len(load_dataset(str(tmp_path / "here")).images) == 14


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_of_batches_that_is_none_is_an_error(tmp_path: Path, kind: str) -> None:
    write_batches(tmp_path, 1)
    folder = tmp_path / "cifar-10-batches-py"
    folder.symlink_to("nowhere") if kind == "link" else folder.touch()
    with pytest.raises(BatchError, match="cifar-10-batches-py: not a folder"):
        load_dataset(str(tmp_path))


def test_an_implausibly_large_batch_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "data_batch_1").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BatchError, match="larger than"):
        load_dataset(str(tmp_path))


def test_a_directory_without_batches_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "data_batch_6").write_bytes(b"")
    with pytest.raises(DatasetNotFoundError, match="no CIFAR batch") as caught:
        load_dataset(str(tmp_path))
    assert isinstance(caught.value, FileNotFoundError)
    assert str(tmp_path) in str(caught.value)


def test_a_path_with_nothing_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="name 'cifar10', 'standin'") as caught:
        load_dataset(str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in str(caught.value)
