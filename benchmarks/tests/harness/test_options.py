"""The command line of the suite: what is understood, and what is refused in one line."""

import os
import re
import subprocess
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import (
    DEFAULT_PICTURE_ROWS,
    DEFAULT_ROWS,
    DEFAULT_STORES,
    FILE_ROWS,
    ROWS,
)
from benchmarks.datasets import PictureOptions
from benchmarks.harness.options import (
    CUTOFFS,
    SMALL_CUTOFFS,
    Options,
    add_options,
    choose_cutoffs,
    choose_picture_cutoffs,
    choose_picture_rows,
    choose_rows,
    read_options,
)

CIFAR_BYTES = 3072


@pytest.fixture(autouse=True)
def as_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may themselves be run in parallel."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


class Config:
    """As much of pytest.Config as `read_options` uses."""

    def __init__(self, *arguments: str) -> None:
        parser = pytest.Parser(_ispytest=True)  # the only way to have the options parsed alone
        add_options(parser)
        parser.addoption("--benchmark-disable", action="store_true")
        parser.addoption("--benchmark-storage", default="file://./.benchmarks")
        parser.addoption("--benchmark-compare", default=[])
        parser.addoption("--benchmark-enable", action="store_true")
        parser.addoption("--dist", default="no")
        parser.addoption("--collect-only", action="store_true", dest="collectonly")
        self._parsed = parser.parse(arguments)

    def getoption(self, name: str, default: object = None) -> object:
        return getattr(self._parsed, name, default)


def read(*arguments: str) -> Options:
    return read_options(cast(pytest.Config, Config(*arguments)))


def refusal(*arguments: str) -> str:
    """The message with which the options are refused: one line that names the option."""
    with pytest.raises(pytest.UsageError) as caught:
        read(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{arguments[0]}: ")
    return message


# ---- what is understood ----------------------------------------------------------------------


def test_without_options_the_default_rows_are_measured_durably_with_a_warm_cache() -> None:
    assert read() == Options(
        dataset="cifar10",
        offline=False,
        image_size=32,
        rows=DEFAULT_ROWS,
        cutoffs=None,
        store_dir=None,
        round_budget=0.2,
        sweeps=20,
        cache="both",
        durable=True,
        timed=True,
    )


@pytest.mark.parametrize(
    ("cache", "operation", "states"),
    [
        ("both", "read_many", "10 100 1000 1000-cold 10000"),
        ("both", "epoch", "10 100 1000 10000"),
        ("warm", "read_many", "10 100 1000 10000"),
        ("cold", "read_many", "10-cold 100-cold 1000-cold 10000-cold"),
        ("cold", "epoch", "10-cold 100-cold 1000-cold 10000-cold"),
    ],
)
def test_by_default_three_operations_are_cold_too_at_one_cutoff(
    cache: str, operation: str, states: str
) -> None:
    found = read("--cache", cache).states(operation, (10, 100, 1000, 10_000))
    assert " ".join(f"{n}" + ("-cold" if cold else "") for n, cold in found) == states


@pytest.mark.parametrize(("cutoffs", "n"), [((2000, 5000), 2000), ((1, 20, 500), 500), ((7,), 7)])
def test_that_cutoff_is_the_largest_up_to_a_thousand(cutoffs: tuple[int, ...], n: int) -> None:
    assert read().cold_at("read_batch", cutoffs) == {n}


def test_every_option_is_read(tmp_path: Path) -> None:
    found = read(
        *("--dataset", "standin", "--offline", "--backend", "hdf5", "--cutoff", "7"),
        *("--image-size", "64"),
        *("--store-dir", str(tmp_path), "--round-budget", "1.5"),
        *("--cache", "cold", "--durability", "buffered", "--sweeps", "7"),
        *("--image-mode", "keep", "--orientation", "ignore", "--max-pixels", "1000"),
        *("--on-error", "skip", "--allow-empty"),
    )
    assert found == Options(
        dataset="standin",
        offline=True,
        image_size=64,
        rows=("hdf5",),
        cutoffs=(7,),
        store_dir=tmp_path.resolve(),
        round_budget=1.5,
        sweeps=7,
        cache="cold",
        durable=False,
        timed=True,
        pictures=PictureOptions("keep", "ignore", 1000, skip=True, allow_empty=True),
    )


def test_of_larger_images_fewer_are_measured() -> None:
    assert read("--image-size", "32").usual_cutoffs == CUTOFFS
    assert read("--image-size", "33").usual_cutoffs == (10, 100, 1_000, 10_000)
    assert read("--image-size", "224").usual_cutoffs == (10, 100, 1_000)
    assert read("--image-size", "4096").usual_cutoffs == (10,)


def test_a_folder_of_pictures_has_fewer_sweeps(tmp_path: Path) -> None:
    """It has many more rows, and a run is to end within ten minutes."""
    (tmp_path / "a.jpg").touch()
    folder = f"--dataset={tmp_path}"
    assert read(folder).sweeps == 12
    assert read(folder, "--sweeps=20").sweeps == 20
    assert read("--dataset=standin").sweeps == 20


@pytest.mark.parametrize("text", ["0", "-1", "a", "2.5", "601", ""])
def test_sweeps_are_counted(text: str) -> None:
    assert "a whole number from 1 to 600" in refusal("--sweeps", text)


def test_without_the_timer_there_is_one_sweep() -> None:
    assert read("--benchmark-disable", "--sweeps=7").sweeps == 1
    assert read("--dist=load").sweeps == 1


@pytest.mark.parametrize("text", ["0", "a", "3.5", "4097", ""])
def test_a_size_of_images_is_a_number_of_pixels(text: str) -> None:
    assert "a whole number of pixels" in refusal("--image-size", text)


@pytest.mark.parametrize("names", ["png,limit,lmdb", "limit,lmdb,png", "lmdb,png,lmdb,limit,png"])
def test_back_ends_come_once_each_in_the_order_of_the_tables(names: str) -> None:
    assert read("--backend", names).rows == ("png", "lmdb", "limit")


def test_a_store_may_be_measured_twice() -> None:
    assert read("--backend=hdf5", "--twin=hdf5").rows == ("hdf5", "hdf5-twin")
    assert read("--backend=hdf5", "--twin=png,hdf5").rows == ("hdf5", "png-twin", "hdf5-twin")
    assert "there is no store 'limit'" in refusal("--twin", "limit")


def test_by_default_the_stores_are_those_of_the_tutorial() -> None:
    articles = ("article-png", "article-lmdb", "article-hdf5")
    assert read().rows == ("png", "lmdb", "hdf5", "limit", *articles)
    assert read("--backend", "lmdb-png,npy").rows == ("npy", "lmdb-png")


@pytest.mark.parametrize(
    "numbers", ["10,100,1000", "1000,10,100", "100,10,100,1000,10", "0010,100,1000"]
)
def test_cutoffs_come_once_each_in_ascending_order(numbers: str) -> None:
    assert read("--cutoff", numbers).cutoffs == (10, 100, 1000)


def test_without_timing_nothing_is_downloaded() -> None:
    disabled = read("--benchmark-disable")
    assert (disabled.timed, disabled.offline) == (False, True)


def test_under_xdist_nothing_is_timed_nor_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--dist=load"], ["--dist=load", "--benchmark-enable"]):
        distributing = read(*arguments)
        assert (distributing.timed, distributing.offline) == (False, True)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert not read().timed
    assert read().usual_cutoffs == SMALL_CUTOFFS


def test_spaces_between_names_and_numbers_say_nothing() -> None:
    read_options = read("--backend", "png, lmdb", "--cutoff", " 10, 100")
    assert (read_options.rows, read_options.cutoffs) == (("png", "lmdb"), (10, 100))


def test_enabling_benchmarks_overrides_disabling_as_in_pytest_benchmark() -> None:
    both = read("--benchmark-disable", "--benchmark-enable")
    assert (both.timed, both.offline) == (True, False)


def test_peers_come_after_all_other_rows() -> None:
    chosen = read("--backend", "peer-tar,article-hdf5,peer-npy").rows
    assert chosen == ("article-hdf5", "peer-npy", "peer-tar")


def test_the_usual_cutoffs_are_those_that_the_data_set_allows() -> None:
    assert choose_cutoffs(read(), "cifar10", 100_000) == CUTOFFS
    assert choose_cutoffs(read(), "sample", 2_000) == (10, 100, 1_000)
    assert choose_cutoffs(read(), "seven", 7) == (7,)


def test_without_timing_the_usual_cutoffs_are_small() -> None:
    assert choose_cutoffs(read("--benchmark-disable"), "cifar10", 100_000) == SMALL_CUTOFFS


def test_a_cutoff_may_be_all_that_the_data_set_gives() -> None:
    assert choose_cutoffs(read("--cutoff", "2000,3"), "sample", 2_000) == (3, 2_000)


def test_default_rows_that_cannot_hold_the_images_are_left_out() -> None:
    several = np.empty(2, object)
    assert choose_rows(DEFAULT_ROWS, several) == DEFAULT_STORES
    gray, colour = np.zeros((2, 4, 5), np.uint8), np.zeros((2, 4, 5, 3), np.uint8)
    assert choose_rows(DEFAULT_ROWS, gray) == (*DEFAULT_STORES, "limit")
    assert choose_rows(DEFAULT_ROWS, colour) == DEFAULT_ROWS
    assert choose_rows(("lmdb",), several) == ("lmdb",)


def test_of_a_folder_all_pictures_that_are_taken_are_the_last_cutoff() -> None:
    assert choose_picture_cutoffs(read(), 426) == (100, 426)
    assert choose_picture_cutoffs(read(), 1_005) == (100, 1_005)
    assert choose_picture_cutoffs(read(), 30) == (30,)
    assert choose_picture_cutoffs(read(), 100_000) == (100, 1_000, 10_000, 100_000)
    assert choose_picture_cutoffs(read("--cutoff=7,20"), 20) == (7, 20)
    assert choose_picture_cutoffs(read("--benchmark-disable"), 426) == SMALL_CUTOFFS
    with pytest.raises(pytest.UsageError, match="the folder gives 20 images at most, each once"):
        choose_picture_cutoffs(read("--cutoff=21"), 20)


def test_a_folder_has_its_own_rows_by_default() -> None:
    options = PictureOptions()
    assert choose_picture_rows(DEFAULT_ROWS, options) == DEFAULT_PICTURE_ROWS
    assert choose_picture_rows((*DEFAULT_ROWS, "hdf5-twin"), options)[-1] == "hdf5-twin"
    assert choose_picture_rows(("lmdb", "files"), options) == ("lmdb", "files")
    with pytest.raises(pytest.UsageError, match="article-png cannot hold a folder of pictures"):
        choose_picture_rows(("lmdb", "article-png"), options)


def test_rows_of_files_need_a_folder() -> None:
    with pytest.raises(pytest.UsageError, match=r"files cannot hold .* need a folder of pictures"):
        choose_rows(("lmdb", "files"), np.zeros((2, 4, 5, 3), np.uint8))


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["zarr", "png,zarr", "PNG", "png lmdb", "png,", ""])
def test_an_unknown_back_end_is_refused_with_those_there_are(names: str) -> None:
    message = refusal("--backend", names)
    assert all(name in message for name in (*ROWS, *FILE_ROWS, *PEERS))


@pytest.mark.parametrize("numbers", ["0", "-1", "x", "", "10,", "10,0", "1e3", "1_000", "1.5", "²"])
def test_a_cutoff_that_is_no_number_of_images_is_refused(numbers: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        read(f"--cutoff={numbers}")
    assert str(caught.value).startswith(f"--cutoff: {numbers.split(',')[-1]!r} is not a number")
    assert "\n" not in str(caught.value)


def test_a_cutoff_beyond_the_data_is_refused_with_what_there_is() -> None:
    with pytest.raises(pytest.UsageError, match=r"^--cutoff: sample .*2000.*2001.*$") as caught:
        choose_cutoffs(read("--cutoff", "10,2001"), "sample", 2_000)
    assert "\n" not in str(caught.value)


def test_a_chosen_row_that_cannot_hold_the_images_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match="--backend: limit cannot hold images of these"):
        choose_rows(("lmdb", "limit"), np.empty(2, object))


def test_a_limit_on_pixels_that_is_no_number_is_refused() -> None:
    for text in ("0", "-1", "many", ""):
        with pytest.raises(pytest.UsageError, match=r"--max-pixels: .*give a whole number"):
            read(f"--max-pixels={text}")


@pytest.mark.parametrize("seconds", ["0", "0.0", "nan", "inf", "soon", ""])
def test_a_round_budget_that_is_no_positive_number_is_refused(seconds: str) -> None:
    assert repr(seconds) in refusal("--round-budget", seconds)


def test_a_negative_round_budget_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match=r"^--round-budget: '-1'"):
        read("--round-budget=-1")


def test_a_store_directory_that_is_missing_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("missing", "file"):
        message = refusal("--store-dir", str(tmp_path / name))
        assert str(tmp_path / name) in message
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("option", ["--store-dir", "--dataset", "--cutoff", "--backend"])
@pytest.mark.parametrize("form", ["{}", "{}="])
def test_an_empty_value_is_refused_and_not_the_current_directory(option: str, form: str) -> None:
    arguments = [form.format(option), *([""] if form == "{}" else [])]
    with pytest.raises(pytest.UsageError, match=f"^{option}: .*''"):
        read(*arguments)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--benchmark-storage", ""),
        ("--benchmark-storage", "file://"),
        ("--benchmark-storage", "s3://bucket"),
        ("--benchmark-compare", ""),
    ],
)
def test_a_value_that_pytest_benchmark_would_take_for_another_is_refused(
    option: str, value: str
) -> None:
    assert refusal(option, value)


@pytest.mark.parametrize(
    "storage", ["saved", "file://saved", "file:///saved", "elasticsearch+http://x"]
)
def test_any_other_storage_is_its_own(storage: str) -> None:
    read("--benchmark-storage", storage)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("~nosuch/x", "home directory"),
        ("x" * 5_000, "File name too long"),
        ("loop", "loop"),
        ("two\nlines", r"two\\nlines is not a directory"),
    ],
    ids=["user", "long", "loop", "lines"],
)
def test_a_store_directory_that_cannot_be_found_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert re.search(why, refusal("--store-dir", value), re.IGNORECASE)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--cutoff", "9" * 5_000), ("--image-size", "9" * 5_000), ("--round-budget", "1e308")],
)
def test_a_number_beyond_all_reason_is_refused(option: str, value: str) -> None:
    assert refusal(option, value)


# ---- what the disk refuses -------------------------------------------------------------------


def test_a_store_directory_that_is_not_writable_is_refused(tmpfs: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)  # this binds root too
    assert "not writable" in refusal("--store-dir", str(tmpfs))


def test_a_store_directory_whose_permissions_forbid_writing_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root")
    tmp_path.chmod(0o500)
    assert "not writable" in refusal("--store-dir", str(tmp_path))
