"""Archives: read without extracting, whatever they hold."""

import contextlib
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import (
    ArchiveError,
    DatasetError,
    DatasetNotFoundError,
    UnsafeArchiveError,
    load_dataset,
)

from .test_batches import batch, rows_of, write_batches

FOLDER = "cifar-10-batches-py"
BATCH = batch(rows_of(3, seed=1), [1, 2, 3])


def member(name: str, content: bytes = BATCH, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/hostname" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info


def archive(*members: tuple[str, bytes]) -> bytes:
    """A .tar.gz of plain files."""
    return archive_of(*((member(name, content), content) for name, content in members))


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def load(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.tar.gz"
    file.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    try:
        load_dataset(str(file))
    finally:
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("folder", ["", "./", "cifar-10-batches-py/", "./other/"])
def test_an_archive_and_a_directory_of_the_same_batches_are_the_same_data(
    tmp_path: Path, folder: str
) -> None:
    write_batches(tmp_path / "mine", 1, 2)
    files = [
        (f"{folder}data_batch_{number}", (tmp_path / f"mine/data_batch_{number}").read_bytes())
        for number in (2, 1)
    ]
    (tmp_path / "mine.tar.gz").write_bytes(archive((f"{folder}readme.html", b"hello"), *files))
    packed = load_dataset(str(tmp_path / "mine.tar.gz"))
    plain = load_dataset(str(tmp_path / "mine"))
    assert packed.name == "mine.tar.gz"
    assert packed.identity == plain.identity
    np.testing.assert_array_equal(packed.images, plain.images)
    np.testing.assert_array_equal(packed.labels, plain.labels)


@pytest.mark.parametrize(
    "name",
    ["../x", "../data_batch_2", f"{FOLDER}/../../x", "/data_batch_2", "/etc/passwd", ".."],
)
def test_a_member_that_points_outside_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    content = archive((f"{FOLDER}/data_batch_1", BATCH), (name, BATCH))
    with pytest.raises(UnsafeArchiveError, match="points outside") as caught:
        load(tmp_path, content)
    assert repr(name) in str(caught.value)
    assert "mine.tar.gz" in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_a_batch_that_is_no_plain_file_is_an_error(tmp_path: Path, kind: bytes) -> None:
    info = member(f"{FOLDER}/data_batch_1", kind=kind)
    with pytest.raises(UnsafeArchiveError, match="data_batch_1"):
        load(tmp_path, archive_of((info, b"")))


def test_links_under_other_names_are_passed_over(tmp_path: Path) -> None:
    info = member(f"{FOLDER}/latest", kind=tarfile.SYMTYPE)
    load(tmp_path, archive_of((info, b""), (member("data_batch_1"), BATCH)))


def test_a_batch_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="more than one data_batch_1"):
        load(tmp_path, archive(("a/data_batch_1", BATCH), ("b/data_batch_1", BATCH)))


@pytest.mark.parametrize("name", ["a/b/data_batch_1", "my_data_batch_1", "data_batch_1.bak"])
def test_only_the_exact_name_at_most_one_folder_down_is_a_batch(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"mine\.tar\.gz"):
        load(tmp_path, archive((name, BATCH)))


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_an_error_that_names_it(tmp_path: Path, keep: float) -> None:
    whole = archive(*((f"{FOLDER}/data_batch_{i}", BATCH) for i in range(1, 6)))
    with pytest.raises(ArchiveError, match=r"mine\.tar\.gz") as caught:
        load(tmp_path, whole[: int(keep * len(whole))])
    assert isinstance(caught.value, OSError)


def test_an_archive_cut_inside_the_tar_is_an_error(tmp_path: Path) -> None:
    tar = gzip.decompress(archive(("data_batch_1", BATCH), ("data_batch_2", BATCH)))
    with pytest.raises(ArchiveError, match=r"mine\.tar\.gz"):
        load(tmp_path, gzip.compress(tar[: len(BATCH) + 1024 + 600 + len(BATCH) // 2]))


@pytest.mark.parametrize(
    "content",
    [
        b"not an archive",
        BATCH,
        gzip.compress(b"hello", mtime=0),
        gzip.compress(bytes(600), mtime=0),
    ],
)
def test_what_is_no_archive_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"mine\.tar\.gz"):
        load(tmp_path, content)


def test_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    whole = bytearray(archive((f"{FOLDER}/data_batch_1", BATCH)))
    whole[-6] ^= 1  # in gzip's own checksum: nothing but reading to the end finds it
    with pytest.raises(ArchiveError, match=r"mine\.tar\.gz"):
        load(tmp_path, bytes(whole))


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(format=tarfile.GNU_FORMAT)


def _huge(kind: bytes, name: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = 1 << 40
    return gzip.compress(_header(info) + bytes(1 << 20))


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: _huge(tarfile.REGTYPE, "data_batch_1"),
        lambda: _huge(tarfile.REGTYPE, "something_else"),
        lambda: _huge(tarfile.XHDTYPE, "pax header"),
        lambda: _huge(tarfile.GNUTYPE_LONGNAME, "long name"),
    ],
    ids=["batch", "other member", "pax header", "long name"],
)
def test_an_archive_that_claims_to_be_huge_is_refused(
    tmp_path: Path, bomb: Callable[[], bytes]
) -> None:
    with pytest.raises(ArchiveError, match=r"mine\.tar\.gz"):
        load(tmp_path, bomb())


def test_damage_anywhere_in_the_tar_is_an_error_of_ours_or_harmless(tmp_path: Path) -> None:
    tar = bytearray(gzip.decompress(archive((f"{FOLDER}/data_batch_1", BATCH), ("x", b"y"))))
    rng = np.random.default_rng(0)
    headers = [*range(512), *range(len(BATCH) // 512 * 512 + 1024, len(tar))]
    for _ in range(300):
        damaged = bytearray(tar)
        damaged[int(rng.choice(headers))] = int(rng.integers(256))
        # A header with a wrong checksum ends the archive; mend it, so that the change gets through.
        damaged[148:156] = b" " * 8
        damaged[148:156] = b"%06o\0 " % sum(damaged[:512])
        with contextlib.suppress(DatasetError):
            load(tmp_path, gzip.compress(bytes(damaged), 1))
