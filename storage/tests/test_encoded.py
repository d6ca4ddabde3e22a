"""Stores of the user's own files: the bytes stay, reading decodes, bad files are refused."""

import os
import resource
from collections.abc import Iterator
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .. import (
    STORES,
    CorruptRecordError,
    CorruptStoreError,
    DTypeError,
    EncodedStore,
    FormatError,
    Hdf5EncodedStore,
    ImageFileError,
    ImageIdError,
    LengthError,
    ReadOnlyError,
    ShapeError,
    convert,
    open_store,
)
from .._header import Header
from .._part import LARGE_IMAGE
from ..images.decoding import decode
from ..images.folder import read_folder
from ..images.survey import survey
from ..payloads.encoded import EncodedPayload
from . import raw
from .children import in_child
from .damage import SPARE_MEMORY, limit_memory
from .images.files import ODD_IMAGES, OWN_IMAGES, picture, png_of_16_bits, saved
from .samples import assert_image, assert_records, pictures, tree

ENCODED = {name: kind for name, kind in STORES.items() if issubclass(kind, EncodedStore)}
each_encoded = pytest.mark.parametrize("kind", ENCODED.values(), ids=ENCODED)

FILES = [
    saved(picture(), "JPEG"),
    saved(picture(), "JPEG", orientation=6),
    saved(picture("L"), "JPEG"),
    saved(picture("LA"), "PNG"),
    saved(picture("RGBA"), "PNG"),
    saved(picture("P"), "PNG"),
    saved(picture("CMYK"), "JPEG"),
    saved(picture("1"), "PNG"),
    saved(picture("RGB", (3, 5)), "GIF"),
    saved(picture("RGB", (5, 3)), "WEBP", lossless=True),
    saved(picture("RGB", (5, 3)), "TIFF"),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"image_mode": "keep"},
    {"orientation": "ignore"},
    {"image_mode": "keep", "orientation": "ignore"},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
N = len(FILES)


def expected(options: dict[str, Any]) -> list[np.ndarray]:
    mode, orientation = options.get("image_mode", "rgb"), options.get("orientation", "apply")
    return [decode(file, mode=mode, orientation=orientation) for file in FILES]


def make(kind: type[EncodedStore], path: Path) -> None:
    with kind(path, "x", durable=False) as store:
        store.store_files(FILES[:4], range(4))
        store.store_files(FILES[4:], range(4, N))


def written(folder: Path, files: list[bytes]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"picture {i}.dat" for i in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    return paths


# ---- files come back ---------------------------------------------------------------------------


def test_there_are_three() -> None:
    assert [*ENCODED] == ["files-encoded", "lmdb-encoded", "hdf5-encoded"]


@each_encoded
def test_files_come_back_as_they_were(kind: type[EncodedStore], path: Path, tmp_path: Path) -> None:
    paths = written(tmp_path / "given", FILES)
    with kind(path, "x") as store:
        assert store.store_files(paths[:5], range(5)) == range(5)
        assert store.store_files(map(str, paths[5:7]), [5, 6]) == range(5, 7)
        assert store.store_files(iter(FILES[7:]), range(7, N)) == range(7, N)
    with open_store(path) as opened:
        assert type(opened) is kind
        assert opened.read_bytes() == FILES
        assert opened.read_bytes([3, 0, 3]) == [FILES[3], FILES[0], FILES[3]]
        assert opened.read_bytes([]) == []
        assert opened.labels.tolist() == [*range(N)]
        assert opened.names == [*(file.name for file in paths[:7]), *[""] * (N - 7)]
        opened.verify()
        with pytest.raises(ImageIdError):
            opened.read_bytes([N])


@each_encoded
@each_option
def test_reading_decodes_as_the_store_was_made(
    kind: type[EncodedStore], path: Path, options: dict[str, Any]
) -> None:
    with kind(path, "x", durable=False, **options) as store:
        store.store_files(FILES, range(N))
    images = expected(options)
    with kind(path) as store:
        assert_records(store.read_many(), images, range(N))
        assert_records(
            store.read_many([2, 2, 0] * 5), [images[i] for i in [2, 2, 0] * 5], [2, 2, 0] * 5
        )
        for i, (image, label) in enumerate(store):
            assert_image(image, images[i])
            assert label == i
        for image, (found, _) in zip(images[5:1:-1], store.__getitems__([5, 4, 3, 2]), strict=True):
            assert_image(found, image)
        batches = [image for some, _ in store.iter_batches(4) for image in some]
        for image, found in zip(images, batches, strict=True):
            assert_image(found, image)


@each_encoded
def test_images_of_one_shape_are_one_array(kind: type[EncodedStore], path: Path) -> None:
    with kind(path, "x", durable=False) as store:
        store.store_files([FILES[0]] * 40, range(40))
        image = decode(FILES[0])
        assert_records(store.read_many(), np.stack([image] * 40), range(40))
        assert_records(store.read_many([39, 0] * 10), np.stack([image] * 20), [39, 0] * 10)


@each_option
def test_the_index_knows_the_shape_of_every_file(options: dict[str, Any]) -> None:
    """The header alone tells it, except where a palette must be read."""
    payload = EncodedPayload().with_options(options)
    every = [*FILES]
    for folder in (ODD_IMAGES, OWN_IMAGES):
        every += [file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()]
    if not OWN_IMAGES.exists():
        assert every == FILES  # the real pictures are not here
    for file in every:
        try:
            shape = decode(file, mode=payload.image_mode, orientation=payload.orientation).shape
        except ImageFileError:
            continue  # a cut file's header may be whole
        info = payload.info_of(file)
        for whole in (False, True):
            assert payload.shape_of(file, info, whole) == shape


@pytest.mark.skipif(not OWN_IMAGES.exists(), reason="the shared pictures are not here")
@each_encoded
def test_real_pictures_come_back(kind: type[EncodedStore], path: Path) -> None:
    paths = sorted(OWN_IMAGES.glob("*/*"))
    with kind(path, "x", durable=False) as store:
        store.store_files(paths, range(len(paths)))
        payload = sum(file.stat().st_size for file in paths)
        assert store.disk_usage().apparent_bytes <= payload * (
            1.03 if "lmdb" in kind.format else 1.005
        )
    with kind(path) as store:
        for i, file in enumerate(paths):
            (data,) = store.read_bytes([i])
            assert sha256(data).digest() == sha256(file.read_bytes()).digest()
            assert_image(store[i][0], decode(data))
        assert store.names == [file.name for file in paths]


@each_encoded
def test_folding_and_compaction_keep_the_files(kind: type[EncodedStore], path: Path) -> None:
    with kind(path, "x", durable=False) as store:
        for i in range(40):
            store.store_files([FILES[i % N]], [i], [f"file {i}"] if i % 3 else None)
        store.compact()
        assert raw.places(path) == [range(40)]
        assert store.read_bytes() == [FILES[i % N] for i in range(40)]
        assert store.names == [f"file {i}" if i % 3 else "" for i in range(40)]
        store.verify()


@each_encoded
def test_an_array_is_kept_as_a_png_and_read_as_it_was(kind: type[EncodedStore], path: Path) -> None:
    grey, both = pictures(1, (4, 5))[0], pictures(1, (4, 5, 2))[0]
    with kind(path, "x", durable=False) as store:
        store.store_files(FILES[:1], [7])
        store.store_many([grey, both], [1, 2], ["grey", "both"])
        assert_records(store.read_many([1, 2]), [grey, both], [1, 2])
        assert [data[:4] for data in store.read_bytes([1, 2])] == [b"\x89PNG"] * 2
        assert store.names == ["", "grey", "both"]
        with pytest.raises(ShapeError):
            store.store_single(np.zeros((1, 1, 5), np.uint8), 0)


# ---- options -----------------------------------------------------------------------------------


@each_encoded
def test_a_store_keeps_its_options(kind: type[EncodedStore], path: Path) -> None:
    options = {"image_mode": "keep", "orientation": "ignore", "max_pixels": 100}
    kind(path, "x", image_mode="keep", orientation="ignore", max_pixels=100).close()
    with open_store(path, "a") as store:
        assert store.payload.options == options
    kind(path, "a", image_mode="keep", max_pixels=100).close()
    for other in ({"image_mode": "rgb"}, {"orientation": "apply"}, {"max_pixels": 101}):
        for mode in ("r", "a"):
            with pytest.raises(FormatError, match=f"was made with {next(iter(other))}="):
                kind(path, mode, **other)
    kind(path, "a").close()  # no refused one has kept its lock


@pytest.mark.parametrize(
    "options", [{"image_mode": "RGB"}, {"orientation": ""}, {"max_pixels": 0}, {"max_pixels": 1.5}]
)
def test_other_options_are_refused(path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} .*; give "):
        ENCODED["files-encoded"](path, "x", **options)  # type: ignore[arg-type]  # as tried
    assert not path.exists()


def test_options_of_a_later_release_are_refused(path: Path) -> None:
    kind = ENCODED["hdf5-encoded"]
    kind(path, "x").close()
    header = path / "store.json"
    header.write_bytes(Header(kind.format, options={"gamma": 2}).written())
    with pytest.raises(FormatError, match=r"was made with options {'gamma': 2}.*another release"):
        kind(path)
    header.write_text(header.read_text().replace("2}", "3}"))
    with pytest.raises(CorruptStoreError, match=r"store\.json"):  # its digest does not match
        kind(path)


# ---- what is refused ---------------------------------------------------------------------------

BAD = {
    "no image": (b"<html>", "not an image|web page"),
    "empty": (b"", "empty"),
    "16 bits": (png_of_16_bits(2, 3), "16 bits"),
    "too large": (saved(picture("RGB", (200, 100)), "PNG"), "more than the limit of 10,000"),
}


@each_encoded
@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_by_name_and_nothing_is_stored(
    kind: type[EncodedStore], path: Path, tmp_path: Path, what: str
) -> None:
    data, reason = BAD[what]
    bad = tmp_path / "bad one.jpg"
    bad.write_bytes(data)
    with kind(path, "x", durable=False, max_pixels=10_000) as store:
        store.store_files(FILES[:2], [0, 1])
        before = tree(path)
        with pytest.raises(ImageFileError, match=f"bad one.jpg: .*({reason})") as error:
            store.store_files([*FILES[:3], bad], range(4))
        assert "\n" not in str(error.value)
        with pytest.raises(ImageFileError, match=f"file 1: .*({reason})"):
            store.store_files([FILES[0], data], range(2))
        assert tree(path) == before
        assert store.store_files(FILES[2:4], [2, 3]) == range(2, 4)
        store.verify()


@each_encoded
def test_a_cut_file_is_refused_when_decoded_and_never_read_half(
    kind: type[EncodedStore], path: Path
) -> None:
    cut = saved(picture("RGB", (100, 100)), "JPEG")[:-300]
    with kind(path, "x", durable=False) as store:
        with pytest.raises(ImageFileError, match=r"file 1: .*cut off"):
            store.store_files([FILES[0], cut], [0, 1], decode=True)
        assert len(store) == 0
        store.store_files([FILES[0], cut], [0, 1])  # its header is whole
    for verify in (True, False):
        with kind(path, verify=verify) as store:
            refused = pytest.raises(ImageFileError, match=r"image 1: .*cut off.*read_bytes")
            with refused:
                store.read_single(1)
            with refused:
                store.read_many()
            assert store.read_bytes() == [FILES[0], cut]
            store.verify()  # it is as it was stored
            assert_image(store[0][0], decode(FILES[0]))


@each_encoded
def test_only_regular_files_are_read(kind: type[EncodedStore], path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "real").write_bytes(FILES[0])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with kind(path, "x", durable=False) as store:
        for name, reason in {
            "pipe": "not a regular file",
            "lost": "No such file",
            ".": "Is a directory",
            "missing": "No such file",
        }.items():
            with pytest.raises(ImageFileError, match=reason):
                store.store_files([tmp_path / "real", tmp_path / name], [1, 2])
        store.store_files([tmp_path / "link"], [3])
        assert store.read_bytes() == FILES[:1]
        assert store.names == ["link"]


@each_encoded
def test_wrong_arguments_are_refused(kind: type[EncodedStore], path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield FILES[0]
        raise FileNotFoundError(2, "gone", "elsewhere")

    with kind(path, "x", durable=False) as store:
        for files in ("name.jpg", FILES[0], 3, None):
            with pytest.raises(DTypeError, match="give a list of paths"):
                store.store_files(files, [1])  # type: ignore[arg-type]  # as tried
        with pytest.raises(DTypeError, match="file 1 is a int"):
            store.store_files([FILES[0], 1], [1, 2])  # type: ignore[list-item]  # as tried
        for labels in ([1], [1, 2, 3], []):
            with pytest.raises(LengthError):
                store.store_files(iter(FILES[:2]), labels)
        for names in (["a"], ["a", "b", "c"]):
            with pytest.raises(LengthError, match="give one name per image"):
                store.store_files(FILES[:2], [1, 2], names)
        with pytest.raises(FileNotFoundError) as raised:
            store.store_files(failing(), [1, 2])
        assert raised.value.filename == "elsewhere"  # the caller's own, unchanged
        assert len(store) == 0
    with kind(path) as store, pytest.raises(ReadOnlyError):
        store.store_files(FILES[:1], [1])


# ---- damage ------------------------------------------------------------------------------------


@each_encoded
def test_a_changed_bit_is_found_before_anything_is_decoded(
    kind: type[EncodedStore], path: Path
) -> None:
    make(kind, path)
    (first, *_) = raw.places(path)
    for file in sorted(raw.folder_of(path, first).iterdir()):
        data = file.read_bytes()
        if (at := data.find(FILES[1])) >= 0:
            at += len(FILES[1]) // 2
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with kind(path) as store:
        damaged = pytest.raises(CorruptRecordError, match="image 1 is damaged")
        with damaged:
            store.read_single(1)
        with damaged:
            store.read_many([1, 0])
        with damaged:
            store.read_bytes([1])
        with pytest.raises(CorruptStoreError, match="image 1 is damaged"):
            store.verify()
        assert store.read_bytes([0, 2]) == [FILES[0], FILES[2]]


# ---- memory ------------------------------------------------------------------------------------

MIB = 2**20


@each_encoded
def test_upright_jpegs_are_decoded_into_blocks_of_memory(
    kind: type[EncodedStore], path: Path
) -> None:
    """Only those: what was turned, or comes from Pillow, has memory already."""
    sizes = [(40, 24), (24, 40), (31, 17), (8, 8)]
    files = [saved(picture("RGB", size), "JPEG") for size in sizes]
    files += [saved(picture("RGB", (9, 8)), "JPEG", orientation=6), saved(picture(), "PNG")]
    with kind(path, "x", durable=False) as store:
        store.store_files(files, range(len(files)))
        images, _ = store.read_many([3, 1, 5, 0, 2, 4, 1])
        assert [image.shape[0] for image in images] == [8, 40, 24, 24, 17, 9, 40]
        upright = [images[i] for i in (0, 1, 3, 4, 6)]
        assert len({id(image.base) for image in upright}) == 1
        assert upright[0].base is not None
        assert all(images[i].base is not upright[0].base for i in (2, 5))
        for image, i in zip(images, [3, 1, 5, 0, 2, 4, 1], strict=True):
            np.testing.assert_array_equal(image, decode(files[i]), strict=True)


@each_encoded
def test_what_shapes_claim_is_no_memory(kind: type[EncodedStore], path: Path) -> None:
    """Of each image less than `LARGE_IMAGE`, of all far more than there is; digests fit."""
    n = 40
    files = [saved(picture("RGB", (10 + i, 10)), "JPEG") for i in range(n)]
    with kind(path, "x", durable=False) as store:
        store.store_files(files, range(n))
    (ids,) = raw.places(path)
    index = raw.read_index(part := raw.folder_of(path, ids))
    index.table["height"], index.table["width"] = 5000 + np.arange(n), 4400
    raw.write_index(part, raw.refit(part, index))
    assert LARGE_IMAGE > prod((5000 + n, 4400, 3)) > SPARE_MEMORY / n

    def read() -> list[str]:
        limit_memory()
        found = []
        with kind(path) as store:
            for order in (None, range(n - 1, -1, -1)):
                with pytest.raises(CorruptRecordError, match=r"image \d+ is damaged") as raised:
                    store.read_many(order)
                found.append(str(raised.value))
        return found

    assert len(in_child(read)) == 2


@each_encoded
def test_memory_does_not_grow_with_the_number_of_files(
    kind: type[EncodedStore], path: Path
) -> None:
    """600 MB of files, each with as many bytes behind its image."""

    def store() -> None:
        file = FILES[0].ljust(3 * MIB, b"\0")
        with kind(path, "x", durable=False) as opened:
            opened.store_files([file], [0])
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            opened.store_files((file[:-1] + bytes([i]) for i in range(200)), range(200))
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert after - before < 100 * 1024  # KiB

    in_child(store)
    with kind(path) as opened:
        assert len(opened) == 201
        assert opened.read_bytes([200])[0].endswith(b"\0\xc7")


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"no image", "not an image"),
        (saved(picture(size=(40, 30)), "PNG")[:40], "more than the limit of 100"),
        (saved(picture(size=(40, 30)), "JPEG"), "more than the limit of 100"),
    ],
)
def test_a_large_file_that_cannot_be_stored_is_not_read_whole(
    start: bytes, reason: str, tmp_path: Path
) -> None:
    """Its first bytes tell; a file of many gigabytes would end the process."""
    file = tmp_path / "photos" / "large.png"
    file.parent.mkdir()
    with file.open("wb") as made:
        made.write(start)
        made.truncate(2**40)
    with Hdf5EncodedStore(tmp_path / "store", "x", max_pixels=100) as store:
        with pytest.raises(ImageFileError, match=reason):
            store.store_files([file], [0])
        assert len(store) == 0
    with pytest.raises(ImageFileError, match=reason):
        convert(file.parent, tmp_path / "converted", max_pixels=100)
    found = survey(read_folder(file.parent), max_pixels=100)
    assert [(name, reason in why) for name, why in found.refused] == [("large.png", True)]
