"""Peers: formats that a user would pick instead of this project's stores.

A line of `PEERS` adds one. Its module is imported when the peer is asked for, and no sooner: it
imports the library, which may not be installed, and which may start threads.
"""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .base import Peer


class Entry(NamedTuple):
    """Where a peer is found.

    module: that of this package which has it
    package: on PyPI, which it needs; None if it is in the standard library
    keeps_files: whether it can keep the files of pictures
    requirements: the file that installs the package
    """

    module: str
    package: str | None
    keeps_files: bool = False
    requirements: str = "requirements.txt"


PEERS = {
    "peer-npy": Entry("npy", "numpy"),
    "peer-safetensors": Entry("safetensors", "safetensors"),
    "peer-arrow": Entry("arrow", "pyarrow", keeps_files=True),
    "peer-parquet": Entry("parquet", "pyarrow", keeps_files=True),
    "peer-parquet-default": Entry("parquet", "pyarrow"),
    "peer-lance": Entry("lance", "pylance", keeps_files=True),
    "peer-vortex": Entry("vortex", "vortex-data"),
    "peer-zarr": Entry("zarr", "zarr"),
    "peer-zarr-default": Entry("zarr", "zarr"),
    "peer-tensorstore": Entry("tensorstore", "tensorstore"),
    "peer-sqlite": Entry("sqlite", None),
    "peer-h5py": Entry("h5py", "h5py"),
    "peer-h5py-default": Entry("h5py", "h5py"),
    "peer-lmdb": Entry("lmdb", "lmdb"),
    "peer-hf-datasets": Entry("hf_datasets", "datasets", keeps_files=True),
    "peer-webdataset": Entry("webdataset", "webdataset", keeps_files=True),
    "peer-array-record": Entry("array_record", "array_record"),
    "peer-litdata": Entry("litdata", "litdata", keeps_files=True),
    "peer-mds": Entry("mds", "mosaicml-streaming", True, "mds-requirements.txt"),
    "peer-tar": Entry("tar", None, keeps_files=True),
    "peer-zip": Entry("zip", None, keeps_files=True),
}
"""The peers by name, in the order of the tables."""


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the packages that the peers among `names` need and that are installed."""
    found = {}
    for package in (PEERS[name].package for name in names if name in PEERS):
        with suppress(PackageNotFoundError):
            if package is not None:
                found[package] = version(package)
    return found


def lacks(name: str) -> str:
    """What a peer lacks, and how to install it; "" if its package is installed."""
    entry = PEERS[name]
    if entry.package is None or versions([name]):
        return ""
    return (
        f"{name} needs {entry.package}, which is not installed;"
        f" `pip install -r benchmarks/contenders/peers/{entry.requirements}`"
    )


def load(name: str) -> "Peer":
    """The peer `name` of `PEERS`; raises ImportError if its library cannot be imported."""
    if lacking := lacks(name):
        raise ModuleNotFoundError(lacking)
    peers: tuple[Peer, ...] = import_module(f".{PEERS[name].module}", __name__).ROWS
    return next(peer for peer in peers if peer.name == name)
