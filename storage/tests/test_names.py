"""Names of images and of classes, in every store."""

import os
from pathlib import Path

import pytest

from .. import CorruptStoreError, DTypeError, FormatError, LengthError, Store, open_store
from . import raw
from .samples import each_store, labels_for, mixed_pictures, pictures, tree

pytestmark = each_store

NAMES = ["apple/1.jpg", "", "naïve.png", os.fsdecode(b"\xff\n.tif"), "5", "6"]


def test_names_are_kept(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        assert store.names == []
        store.store_many(pictures(6), labels_for(6), NAMES)
        store.store_many(mixed_pictures()[:2], [1, 2])
        store.store_many(pictures(2), [1, 2], [os.fsencode(NAMES[3]), Path("a/b")])
        assert store.names == [*NAMES, "", "", NAMES[3], "a/b"]
        store.verify()
    with open_store(path) as opened:
        assert opened.names == [*NAMES, "", "", NAMES[3], "a/b"]
        opened.verify()


def test_the_line_of_the_docstring_reads_them(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        store.store_many(pictures(6), labels_for(6), NAMES)
    (ids,) = raw.places(path)
    data = (raw.folder_of(path, ids) / "names.bin").read_bytes()
    assert data[:-8].split(b"\0")[:-1] == [*map(os.fsencode, NAMES)]


def test_folds_and_compaction_keep_names(store_class: type[Store], path: Path) -> None:
    images, expected = pictures(40), [f"{i}.png" if i % 5 else "" for i in range(40)]
    with store_class(path, "x", durable=False) as store, store_class(path) as reader:
        for i, name in enumerate(expected):
            store.store_many(images[i : i + 1], [i], [name])
        assert len(raw.places(path)) < 16
        assert store.names == expected
        store.compact()
        assert raw.places(path) == [range(40)]
        assert store.names == expected
        assert reader.names == []  # it sees what there was
        store.verify()
    with store_class(path) as store:
        assert store.names == expected


def test_without_names_there_is_no_file_of_them(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        store.store_many(pictures(2), [1, 2], ["", ""])
        store.store_many(pictures(2), [1, 2])
        store.compact()
        assert store.names == [""] * 4
    assert not any(name.endswith("names.bin") for name in tree(path))


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["a"], LengthError),
        (["a", "b", "c"], LengthError),
        ("ab", DTypeError),
        (dict.fromkeys("ab"), DTypeError),
        (["a", 1], DTypeError),
        (["a", "b\0"], DTypeError),
        (["a", "\ud800"], DTypeError),
    ],
    ids=str,
)
def test_other_names_are_refused(
    store_class: type[Store], path: Path, names: list[str], error: type[Exception]
) -> None:
    with store_class(path, "x") as store:
        before = tree(path)
        with pytest.raises(error, match=r"; "):
            store.store_many(pictures(2), [1, 2], names)
        assert tree(path) == before


@pytest.mark.parametrize("how", ["bit", "short", "lost", "of another part"])
def test_damaged_names_are_found(store_class: type[Store], path: Path, how: str) -> None:
    with store_class(path, "x") as store:
        store.store_many(pictures(2), [1, 2], ["a", "b"])
        store.store_many(pictures(2), [1, 2], ["c", "d"])
    one, other = (raw.folder_of(path, ids) / "names.bin" for ids in raw.places(path))
    if how == "bit":
        one.write_bytes(b"b" + one.read_bytes()[1:])
    elif how == "short":
        one.write_bytes(one.read_bytes()[:-1])
    elif how == "lost":
        one.unlink()
    else:
        one.write_bytes(other.read_bytes())
    with store_class(path) as store:
        with pytest.raises(CorruptStoreError, match=r"names\.bin"):
            _ = store.names
        with pytest.raises(CorruptStoreError, match=r"names\.bin"):
            store.verify()
        assert len(store.read_many()[0]) == 4  # the images do not need them


def test_classes_are_kept(store_class: type[Store], path: Path) -> None:
    classes = ["apple", "Äpfel", os.fsdecode(b"\xff")]
    with store_class(path, "x", classes=classes) as store:
        assert store.classes == classes
        store.store_many(pictures(2), [0, 1])
    with open_store(path) as opened:
        assert opened.classes == classes
    with store_class(path, "a", classes=classes) as store:
        store.compact()
        assert store.classes == classes
    with pytest.raises(FormatError, match="was made with other classes"):
        store_class(path, "a", classes=classes[:2])


def test_thousands_of_classes_are_kept(store_class: type[Store], path: Path) -> None:
    classes = [f"class number {i}" for i in range(22_000)]
    with store_class(path, "x", classes=classes) as store:
        assert store.classes == classes
    with store_class(path) as store:
        assert store.classes == classes


def test_a_store_without_classes_has_none(store_class: type[Store], path: Path) -> None:
    with store_class(path, "x") as store:
        assert store.classes == []


@pytest.mark.parametrize("classes", ["abc", [1, 2], {"a"}], ids=str)
def test_other_classes_are_refused(
    store_class: type[Store], path: Path, classes: list[str]
) -> None:
    with pytest.raises(DTypeError, match="give a list of names"):
        store_class(path, "x", classes=classes)
    assert not path.exists()


def test_a_changed_letter_of_a_class_is_found(store_class: type[Store], path: Path) -> None:
    store_class(path, "x", classes=["apple", "pear"]).close()
    header = path / "store.json"
    header.write_text(header.read_text().replace("pear", "bear"))
    with pytest.raises(CorruptStoreError, match=r"store\.json"):
        store_class(path)
