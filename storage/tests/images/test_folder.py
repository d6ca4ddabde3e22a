"""Folders of images: the files of odd trees, their order, labels and classes."""

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ... import FolderError, StorageError
from ...images.folder import SUFFIXES, ImageFolder, read_folder
from .files import ODD_IMAGES, OWN_IMAGES, picture, rows, saved

JPEG = saved(picture(), "JPEG")
Build = Callable[[Path], None]


def put(root: Path, *names: str | bytes) -> None:
    """Write an image, or a text, under each name; a name that ends in / is a folder."""
    for name in map(os.fsdecode, names):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG if has_image_suffix(path) else b"text")


def has_image_suffix(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def found(root: Path, **options: bool) -> dict[bytes, str]:
    """The class of each file."""
    folder = read_folder(root, **options)
    names = [folder.classes[label] for label in folder.labels.tolist()]
    return dict(zip(folder.files, names, strict=True))


def torchvision_classes(root: Path) -> list[str]:
    """The rule of `torchvision.datasets.folder.find_classes`."""
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir())


def torchvision_samples(root: Path) -> list[tuple[bytes, int]]:
    """The rule of `torchvision.datasets.folder.make_dataset`, with the suffixes of this project."""
    samples = []
    for label, name in enumerate(torchvision_classes(root)):
        for folder, _, files in sorted(os.walk(root / name, followlinks=True)):
            paths = [Path(folder, file) for file in sorted(files)]
            samples += [
                (os.fsencode(path.relative_to(root)), label)
                for path in paths
                if has_image_suffix(path)
            ]
    return samples


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes with an image each."""
    root = tmp_path / "tree"
    put(root, "cat/0.jpg", "dog/1.jpg")
    return root


BASE = {b"cat/0.jpg": "cat", b"dog/1.jpg": "dog"}


# ---- each entry of TREE.tsv ----------------------------------------------------------------


def hidden(root: Path) -> None:
    put(root, "cat/._0.jpg", "cat/.hidden.jpg", "cat/.DS_Store", "cat/.ipynb_checkpoints/1.jpg")
    put(root, ".hiddenclass/2.jpg")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"hidden": 5}
    assert read_folder(root).classes == ["cat", "dog"]


def left_behind(root: Path) -> None:
    put(root, "cat/__MACOSX/cat/0.jpg", "__pycache__/module.pyc", "__pycache__/3.jpg")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"left by another program": 2}


def no_image_suffix(root: Path) -> None:
    put(root, "cat/Thumbs.db", "cat/desktop.ini", "cat/noextension", "README.md")
    put(root, "onlytext/readme.txt")
    folder = read_folder(root, allow_empty=True)
    assert [*folder.files] == [*BASE]
    assert folder.passed_over == {
        "left by another program": 2,
        "no suffix": 1,
        "no image by its suffix .md": 1,
        "no image by its suffix .txt": 1,
    }


def same_stem(root: Path) -> None:
    put(root, "cat/2.jpg", "cat/2.JPG", "cat/2.png")
    assert [*found(root)][:4] == [b"cat/0.jpg", b"cat/2.JPG", b"cat/2.jpg", b"cat/2.png"]


def order_of_bytes(root: Path) -> None:
    put(root, "cat/10.jpg", "cat/2.jpg")
    assert [*found(root)][:3] == [b"cat/0.jpg", b"cat/10.jpg", b"cat/2.jpg"]


def two_suffixes(root: Path) -> None:
    put(root, "cat/a.jpg.png")
    assert found(root) == BASE | {b"cat/a.jpg.png": "cat"}


def nested(root: Path) -> None:
    put(root, "dog/puppy/0.jpg", "dog/puppy/deep/1.jpg")
    below = {b"dog/puppy/0.jpg": "dog", b"dog/puppy/deep/1.jpg": "dog"}
    assert found(root) == BASE | below
    assert [*found(root)] == sorted(BASE | below)


def differs_by_case(root: Path) -> None:
    put(root, "Dog/5.jpg")
    assert read_folder(root).classes == ["Dog", "cat", "dog"]
    assert found(root) == BASE | {b"Dog/5.jpg": "Dog"}


def beside_classes(root: Path) -> None:
    put(root, "root.jpg")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"beside the class folders": 1}


def empty_classes(root: Path) -> None:
    put(root, "empty/", "onlytext/readme.txt")
    with pytest.raises(FolderError, match="without images: empty, onlytext; remove them"):
        read_folder(root)
    folder = read_folder(root, allow_empty=True)
    assert folder.classes == ["cat", "dog", "empty", "onlytext"]
    assert folder.labels.tolist() == [0, 1]


def linked_class(root: Path) -> None:
    (root / "linkedclass").symlink_to("cat")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"a link to a folder": 1}


def linked_file(root: Path) -> None:
    (root / "dog" / "link.jpg").symlink_to("../cat/0.jpg")
    assert found(root) == BASE | {b"dog/link.jpg": "dog"}
    assert read_folder(root).read(2) == JPEG


def dangling_link(root: Path) -> None:
    for target in ("nowhere.jpg", "broken.jpg"):  # itself
        (root / "dog" / "broken.jpg").unlink(missing_ok=True)
        (root / "dog" / "broken.jpg").symlink_to(target)
        with pytest.raises(FolderError, match=r"dog/broken\.jpg: a link to nowhere"):
            read_folder(root)


def no_permission(root: Path) -> None:
    put(root, "dog/noperm.jpg")
    (root / "dog" / "noperm.jpg").chmod(0)
    folder = read_folder(root)
    assert folder.files[2] == b"dog/noperm.jpg"
    if os.geteuid() == 0:
        assert folder.read(2) == JPEG  # root reads it
    else:
        with pytest.raises(PermissionError, match=r"dog/noperm\.jpg: may not be"):
            folder.read(2)


def not_utf_8(root: Path) -> None:
    put(root, b"dog/latin-\xfc.jpg")
    assert found(root) == BASE | {b"dog/latin-\xfc.jpg": "dog"}
    folder = read_folder(root)
    assert folder.read(2) == JPEG
    assert folder.name(2) == "dog/latin-\\xfc.jpg"


def two_forms_of_a_name(root: Path) -> None:
    names = [f"dog/{unicodedata.normalize(form, 'ü')}.jpg" for form in ("NFC", "NFD")]
    put(root, *names)
    assert found(root) == BASE | {os.fsencode(name): "dog" for name in names}


def loop(root: Path) -> None:
    (root / "dog" / "loop").symlink_to("..")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"a link to a folder": 1}


def pipe(root: Path) -> None:
    os.mkfifo(root / "dog" / "pipe.jpg")
    (root / "dog" / "linked-pipe.jpg").symlink_to("pipe.jpg")
    assert found(root) == BASE
    assert read_folder(root).passed_over == {"not a regular file": 2}


TREES: dict[str, Build] = {
    "cat/._0.jpg cat/.hidden.jpg cat/.DS_Store cat/.ipynb_checkpoints/ .hiddenclass/": hidden,
    "cat/__MACOSX/ __pycache__/": left_behind,
    "cat/Thumbs.db cat/desktop.ini cat/noextension README.md onlytext/readme.txt": no_image_suffix,
    "cat/2.jpg cat/2.JPG cat/2.png": same_stem,
    "cat/10.jpg": order_of_bytes,
    "cat/a.jpg.png": two_suffixes,
    "dog/puppy/0.jpg dog/puppy/deep/1.jpg": nested,
    "Dog/5.jpg": differs_by_case,
    "root.jpg": beside_classes,
    "empty/ onlytext/": empty_classes,
    "linkedclass -> cat": linked_class,
    "dog/link.jpg -> ../cat/0.jpg": linked_file,
    "dog/broken.jpg -> nowhere.jpg": dangling_link,
    "dog/noperm.jpg": no_permission,
    "dog/latin-\\xfc.jpg": not_utf_8,
    "dog/ü.jpg (twice)": two_forms_of_a_name,
    "(not kept here) dog/loop -> ..": loop,
    "(not kept here) dog/pipe.jpg": pipe,
}


@pytest.mark.parametrize("check", TREES.values(), ids=lambda check: check.__name__)
def test_an_odd_tree_gives_what_the_table_says(check: Build, tree: Path) -> None:
    check(tree)


@pytest.mark.skipif(not ODD_IMAGES.is_dir(), reason="no ../shared/odd-images beside the repository")
def test_each_entry_of_the_table_of_trees_has_a_test() -> None:
    assert [row[0] for row in rows(ODD_IMAGES / "TREE.tsv")] == [*TREES]


# ---- classes as torchvision numbers them ---------------------------------------------------


def test_classes_files_and_labels_of_the_whole_tree_are_torchvision_s(tree: Path) -> None:
    put(tree, "cat/2.jpg", "cat/2.JPG", "cat/2.png", "cat/10.jpg", "cat/a.jpg.png", "Dog/5.jpg")
    put(tree, "dog/puppy/0.jpg", "dog/puppy/deep/1.jpg", "cat-x/0.jpg", "ü/0.jpg", b"\xff/1.png")
    put(tree, "README.md", "cat/Thumbs.db", "\U0001d4b3/2.webp", "ﬀ/a b\n.gif")
    (tree / "dog" / "link.jpg").symlink_to("../cat/0.jpg")
    folder = read_folder(tree)
    assert folder.classes == torchvision_classes(tree)
    samples = zip(folder.files, folder.labels.tolist(), strict=True)
    assert dict(samples) == dict(torchvision_samples(tree))
    assert folder.files == sorted(folder.files)
    assert folder.labels.dtype == np.int64


def test_the_tree_of_the_table_has_torchvision_s_classes_but_those_passed_over(tree: Path) -> None:
    """All entries of `TREE.tsv` that are no error; torchvision also takes hidden and linked folders."""
    put(tree, "cat/._0.jpg", "cat/.hidden.jpg", "cat/.DS_Store", "cat/.ipynb_checkpoints/9.jpg")
    put(tree, ".hiddenclass/0.jpg", "cat/__MACOSX/0.jpg", "__pycache__/0.jpg", "cat/Thumbs.db")
    put(tree, "cat/desktop.ini", "cat/noextension", "README.md", "onlytext/readme.txt")
    put(tree, "cat/2.jpg", "cat/2.JPG", "cat/2.png", "cat/10.jpg", "cat/a.jpg.png", "Dog/5.jpg")
    put(tree, "dog/puppy/0.jpg", "dog/puppy/deep/1.jpg", "root.jpg", b"dog/latin-\xfc.jpg")
    put(tree, "dog/\u00fc.jpg", "dog/u\u0308.jpg")
    (tree / "empty").mkdir()
    (tree / "linkedclass").symlink_to("cat")
    (tree / "dog" / "link.jpg").symlink_to("../cat/0.jpg")
    (tree / "dog" / "loop").symlink_to("..")
    os.mkfifo(tree / "dog" / "pipe.jpg")
    passed_over = {".hiddenclass", "__pycache__", "linkedclass"}
    theirs = torchvision_classes(tree)
    assert passed_over <= {*theirs}
    folder = read_folder(tree, allow_empty=True)
    assert folder.classes == [name for name in theirs if name not in passed_over]
    assert folder.classes == ["Dog", "cat", "dog", "empty", "onlytext"]
    own = [folder.classes[label] for label in folder.labels.tolist()]
    assert own == [os.fsdecode(name).split("/")[0] for name in folder.files]
    assert folder.files == sorted(folder.files)
    assert {*folder.files} == {
        *(b"Dog/5.jpg", b"cat/0.jpg", b"cat/10.jpg", b"cat/2.JPG", b"cat/2.jpg", b"cat/2.png"),
        *(b"cat/a.jpg.png", b"dog/1.jpg", b"dog/latin-\xfc.jpg", b"dog/link.jpg"),
        *(b"dog/puppy/0.jpg", b"dog/puppy/deep/1.jpg", b"dog/u\xcc\x88.jpg", b"dog/\xc3\xbc.jpg"),
    }


@pytest.mark.skipif(not OWN_IMAGES.is_dir(), reason="no ../shared/own-images beside the repository")
def test_a_real_folder_has_torchvision_s_samples() -> None:
    folder = read_folder(OWN_IMAGES)
    samples = [*zip(folder.files, folder.labels.tolist(), strict=True)]
    assert len(samples) == 426
    assert samples == sorted(torchvision_samples(OWN_IMAGES))
    assert folder.classes == torchvision_classes(OWN_IMAGES)
    assert len(folder.classes) == 12


# ---- flat folders, splits, and what is no folder of images ---------------------------------


def test_a_flat_folder_has_label_0_and_no_classes(tmp_path: Path) -> None:
    put(tmp_path, "b.jpg", "a.PNG", "notes/readme.txt", "README")
    folder = read_folder(tmp_path)
    assert folder.files == [b"a.PNG", b"b.jpg"]
    assert folder.labels.tolist() == [0, 0]
    assert folder.classes == []
    assert folder.passed_over == {
        "no suffix": 1,
        "no image by its suffix .txt": 1,
        "a folder without images": 1,
    }


@pytest.mark.parametrize(
    "names",
    [
        ["train/cat/0.jpg", "val/cat/1.jpg"],
        ["Train/cat/0.jpg", "TEST/cat/1.jpg", "labels/a.txt"],
        ["train/0.jpg"],
        ["train/cat/0.jpg", "extras/1.jpg"],
    ],
)
def test_splits_at_the_top_are_refused(names: list[str], tmp_path: Path) -> None:
    put(tmp_path, *names)
    first = names[0].split("/")[0]
    with pytest.raises(FolderError, match=f"give {tmp_path}/(TEST|{first})"):
        read_folder(tmp_path)


def test_a_class_of_trains_is_a_class(tmp_path: Path) -> None:
    put(tmp_path, "train/0.jpg", "bus/1.jpg", "car/2.jpg")
    assert read_folder(tmp_path).classes == ["bus", "car", "train"]


def test_what_is_no_folder_of_images_is_refused_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, "none/readme.txt", "store/store.json", "store/a/0.jpg", "a.jpg")
    for name, reason in {
        "none": "no images in it; passed over: 1 × no image by its suffix .txt",
        "store": "a store, not a folder",
        "a.jpg": "Not a directory",
        "missing": "No such file",
    }.items():
        with pytest.raises(StorageError, match=reason) as raised:
            read_folder(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tree: Path) -> None:
    put(tree, "dog/closed/1.jpg")
    (tree / "dog" / "closed").chmod(0)
    with pytest.raises(PermissionError, match="dog/closed"):
        read_folder(tree)


def test_a_file_that_became_a_pipe_is_not_waited_for(tree: Path) -> None:
    folder = read_folder(tree)
    (tree / "cat" / "0.jpg").unlink()
    os.mkfifo(tree / "cat" / "0.jpg")
    with pytest.raises(FolderError, match=r"cat/0\.jpg: not a regular file"):
        folder.read(0)


def test_the_beginning_of_a_file_can_be_read(tree: Path) -> None:
    assert read_folder(tree).read(0, 10) == JPEG[:10]


# ---- Hugging Face's metadata ---------------------------------------------------------------


def write_metadata(root: Path, kind: str, table: list[dict[str, object]]) -> None:
    path = root / f"metadata.{kind}"
    if kind == "csv":
        lines = [",".join(table[0]), *(",".join(map(str, row.values())) for row in table)]
        path.write_text("\n".join(lines))
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in table))
    else:
        pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(table), path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_give_labels_by_name_or_number(kind: str, tmp_path: Path) -> None:
    put(tmp_path, "b.jpg", "sub/a.jpg", "c.jpg", "d.jpg")
    names = ["c.jpg", "sub/a.jpg", "./b.jpg"]
    write_metadata(
        tmp_path,
        kind,
        [{"file_name": n, "text": "x", "label": v} for n, v in zip(names, "yxy", strict=True)],
    )
    folder = read_folder(tmp_path)
    assert folder.files == [b"b.jpg", b"c.jpg", b"sub/a.jpg"]
    assert folder.classes == ["x", "y"]
    assert folder.labels.tolist() == [1, 1, 0]
    assert folder.passed_over == {"not in the metadata": 1}
    numbers = [7, -1, 2**40]
    write_metadata(
        tmp_path,
        kind,
        [{"file_name": n, "label": v} for n, v in zip(names, numbers, strict=True)],
    )
    folder = read_folder(tmp_path)
    assert folder.classes == []
    assert folder.labels.tolist() == [2**40, 7, -1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file_name,label\nmissing.jpg,1\n", "names what is no image here: missing.jpg"),
        ("file_name,label\n../outside.jpg,1\n", r"names what is no image here: \.\./outside.jpg"),
        ("file_name,label\n.hidden.jpg,1\n", "names what is no image here"),
        ("file_name,label\na.jpg,1\n./a.jpg,2\n", r"row 2 names \./a.jpg again"),
        ("file_name,label\na.jpg,\n", "row 1 has no label"),
        ("file_name,text\na.jpg,1\n", "row 1 has no label"),
        ("name,label\na.jpg,1\n", "row 1 has no file_name"),
        ("file_name,label\n", "names no images"),
        ('file_name,label\n"a.jpg,1\n', "not a table of its kind"),
    ],
)
def test_bad_metadata_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    put(root, "a.jpg", ".hidden.jpg", "../outside.jpg")
    (root / "metadata.csv").write_text(text)
    with pytest.raises(FolderError, match=reason):
        read_folder(root)


@pytest.mark.parametrize(
    "line", ["[1]", "{", "[" * 100_000, '{"file_name": "a.jpg", "label": 1.5}']
)
def test_bad_lines_of_json_are_refused(line: str, tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(FolderError, match=r"metadata\.jsonl"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_table_that_is_no_regular_file_is_refused(name: str, tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / name)
    with pytest.raises(FolderError, match=rf"{name}: not a regular file"):
        read_folder(tmp_path)


def test_two_tables_of_metadata_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "metadata.csv", "metadata.jsonl")
    with pytest.raises(FolderError, match=r"metadata\.csv and metadata\.jsonl; keep one"):
        read_folder(tmp_path)


def test_parquet_without_pyarrow_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg", "metadata.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FolderError, match=r"needs pyarrow; install it, or write metadata\.csv"):
        read_folder(tmp_path)


def test_importing_the_library_does_not_import_pyarrow() -> None:
    code = "import sys, storage.images.folder; sys.exit('pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_image_folder_tells_its_length(tree: Path) -> None:
    folder = read_folder(tree)
    assert isinstance(folder, ImageFolder)
    assert len(folder) == 2
