"""The circumstances of a run: the machine, its disk, the versions of libraries, the data."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any  # for JSON

import psutil

from benchmarks.harness.text import one_line

LIBRARIES = ("numpy", "pillow", "deflate", "isal", "lmdb", "h5py", "xxhash", "pytest-benchmark")

PEER_LIBRARIES = "peer_libraries"
"""The key of the versions of the peers' libraries, by name."""

DIGEST_SHOWN = len("sha256:") + 18
"""Characters of a digest that are enough to identify a data set."""


@dataclass(frozen=True)
class Circumstances:
    """What the suite knows about its run. Figures depend on the data set and on the disk.

    dataset: its identity
    cache: cold if every store that is read is evicted, else warm; cold rows may be among its rows
    durability: durable or buffered
    """

    dataset: str
    dataset_name: str
    dataset_note: str
    file_system: str
    cache: str
    durability: str


COMPARABLE = {
    "cpu_model": "CPU",
    "cores": "number of cores",
    "memory_gib": "memory in GiB",
    "file_system": "file system",
    "dataset": "data set",
    "cache": "--cache",
    "durability": "--durability",
}
"""Runs that differ in one of these cannot be compared: its key in a saved run, and its name."""


def file_system(path: Path) -> str:
    """The type of the file system that `path` is on, such as ext4."""
    mounts = {Path(disk.mountpoint): disk.fstype for disk in psutil.disk_partitions(all=True)}
    folders = (path.resolve(), *path.resolve().parents)
    return next((mounts[folder] for folder in folders if folder in mounts), "unknown")


def describe(
    machine_info: Mapping[str, Any], run: Circumstances, **more: object
) -> dict[str, object]:
    """The description of the circumstances that is saved with a run.

    machine_info: pytest-benchmark's own description; values that differ between two runs on one
        machine (the momentary clock rate, a container's host name) are left out
    more: further values to save
    """
    kept = {key: value for key, value in machine_info.items() if key not in ("cpu", "node")}
    return {
        **kept,
        "cpu_model": machine_info.get("cpu", {}).get("brand_raw", "unknown"),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "libraries": {name: version(name) for name in LIBRARIES},
        **asdict(run),
        **more,
    }


def differences(now: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """The reasons why two runs cannot be compared, one phrase each."""
    return [
        f"{name} ({one_line(saved.get(key, 'not recorded'))}, now {one_line(now.get(key))})"
        for key, name in COMPARABLE.items()
        if saved.get(key) != now.get(key)
    ]


def in_words(machine_info: Mapping[str, Any], cache: str) -> list[str]:
    """The circumstances of a run as two lines of text; `cache` is that of its rows, as text."""
    state = ", ".join(filter(None, (cache, machine_info["durability"])))
    identity = machine_info["dataset"]
    shown = identity[:DIGEST_SHOWN] + "…" if identity.startswith("sha256:") else identity
    return [
        f"{machine_info['dataset_name']} ({shown}) on {machine_info['file_system']}; {state}",
        f"{machine_info['cpu_model']}, {machine_info['cores']} cores,"
        f" {machine_info['memory_gib']} GiB",
    ]
