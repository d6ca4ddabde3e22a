"""What a saved run says of its circumstances, and which of them must be equal to compare two."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.results.machine import (
    COMPARABLE,
    LIBRARIES,
    Circumstances,
    describe,
    differences,
    file_system,
    in_words,
)

FROM_PYTEST_BENCHMARK = {
    "node": "a1b2c3d4",
    "processor": "x86_64",
    "machine": "x86_64",
    "python_version": "3.11.7",
    "release": "6.1.0",
    "cpu": {"brand_raw": "Some CPU 9000", "hz_actual_friendly": "2.9 GHz", "hz_actual": [29, 0]},
}
RUN = Circumstances(
    dataset="standin-v1-seed2020-32x32",
    dataset_name="standin",
    dataset_note="",
    file_system="ext4",
    cache="warm",
    durability="durable",
)


def test_a_run_is_described_by_machine_versions_and_data() -> None:
    described = describe(FROM_PYTEST_BENCHMARK, RUN)
    assert described["cpu_model"] == "Some CPU 9000"
    assert described["memory_gib"] == round(psutil.virtual_memory().total / 2**30)
    assert isinstance(described["cores"], int)
    assert isinstance(described["kernel"], str)
    assert described["python_version"] == "3.11.7"
    assert isinstance(described["libraries"], dict)
    assert set(described["libraries"]) == set(LIBRARIES)
    assert asdict(RUN).items() <= described.items()


def test_what_changes_from_run_to_run_is_left_out() -> None:
    described = describe(FROM_PYTEST_BENCHMARK, RUN)
    assert "node" not in described
    assert "cpu" not in described
    assert "GHz" not in str(described)
    elsewhere = FROM_PYTEST_BENCHMARK | {
        "node": "e5f6a7b8",
        "cpu": {"brand_raw": "Some CPU 9000", "hz_actual_friendly": "1.2 GHz"},
    }
    assert describe(elsewhere, RUN) == described


def test_a_cpu_without_a_name_is_unknown() -> None:
    assert describe({}, RUN)["cpu_model"] == "unknown"


def test_runs_in_the_same_circumstances_do_not_differ() -> None:
    described = describe(FROM_PYTEST_BENCHMARK, RUN)
    other_version = described | {"libraries": {}, "kernel": "7.0", "python_version": "3.14.0"}
    assert differences(described, described) == []
    assert differences(described, other_version) == []


@pytest.mark.parametrize("key", COMPARABLE)
def test_each_difference_is_named_with_both_values(key: str) -> None:
    now = describe(FROM_PYTEST_BENCHMARK, RUN)
    (phrase,) = differences(now, now | {key: "something else"})
    assert phrase == f"{COMPARABLE[key]} (something else, now {now[key]})"


def test_a_value_of_two_lines_does_not_break_the_phrase() -> None:
    now = describe(FROM_PYTEST_BENCHMARK, RUN)
    (phrase,) = differences(now | {"cpu_model": "\x1b[2J"}, now | {"cpu_model": "two\nlines"})
    assert phrase == r"CPU (two\nlines, now \x1b[2J)"


def test_what_a_saved_run_does_not_say_differs() -> None:
    now = describe(FROM_PYTEST_BENCHMARK, RUN)
    phrases = differences(now, {})
    assert len(phrases) == len(COMPARABLE)
    assert "file system (not recorded, now ext4)" in phrases


def test_all_that_an_issue_asks_to_be_equal_is_compared() -> None:
    hardware = {"cpu_model", "cores", "memory_gib", "file_system"}
    assert hardware | {"dataset", "cache", "durability"} <= set(COMPARABLE)


def mounted(monkeypatch: pytest.MonkeyPatch, mounts: Sequence[tuple[Path, str]]) -> None:
    partitions = [SimpleNamespace(mountpoint=str(path), fstype=kind) for path, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: partitions)


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path.resolve() / "disk"
    (disk / "usb" / "deep").mkdir(parents=True)
    (disk / "usbish").mkdir()
    mounted(monkeypatch, [(Path("/"), "ext4"), (disk / "usb", "vfat"), (disk, "xfs")])
    assert file_system(tmp_path) == "ext4"
    assert file_system(disk) == "xfs"
    assert file_system(disk / "usbish") == "xfs"
    assert file_system(disk / "usb" / "deep") == "vfat"
    assert file_system(disk / "usb" / "not there yet") == "vfat"


def test_a_link_is_on_the_file_system_that_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path.resolve() / "disk"
    disk.mkdir()
    (tmp_path / "link").symlink_to(disk)
    mounted(monkeypatch, [(Path("/"), "ext4"), (disk, "xfs")])
    assert file_system(tmp_path / "link") == "xfs"


def test_of_two_mounts_on_one_place_the_later_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path.resolve()
    mounted(monkeypatch, [(place, "autofs"), (place, "nfs4")])
    assert file_system(place) == "nfs4"


def test_where_no_mount_is_known_the_file_system_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(monkeypatch, [])
    assert file_system(tmp_path) == "unknown"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_real_mount_is_recognised() -> None:
    assert file_system(Path("/proc/self")) == "proc"


def test_two_lines_name_data_disk_machine_and_state() -> None:
    described = describe(FROM_PYTEST_BENCHMARK, RUN) | {"cores": 2, "memory_gib": 24}
    assert in_words(described, "warm cache") == [
        "standin (standin-v1-seed2020-32x32) on ext4; warm cache, durable",
        "Some CPU 9000, 2 cores, 24 GiB",
    ]
    assert in_words(described, "")[0].endswith(" on ext4; durable")
    larger = described | {"dataset": "standin-v1-seed2020-4096x4096"}
    assert "(standin-v1-seed2020-4096x4096)" in in_words(larger, "warm cache")[0]
    hashed = described | {"dataset_name": "mine", "dataset": "sha256:" + 64 * "a"}
    assert in_words(hashed, "warm cache")[0].startswith("mine (sha256:" + 18 * "a" + "…) on ext4;")


def test_the_lines_fit_100_columns_with_a_long_name_of_a_cpu() -> None:
    described = describe(FROM_PYTEST_BENCHMARK, RUN) | {"cpu_model": 48 * "x", "cores": 192}
    assert max(map(len, in_words(described, "warm and cold cache"))) <= 100
