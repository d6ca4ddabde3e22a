"""Choosing the data set from what the user asked for."""

from pathlib import Path

from .cifar10 import OFFICIAL, Download, NotAvailableError, default_cache, load_cifar10, load_path
from .dataset import Dataset
from .errors import DatasetNotFoundError, DatasetOptionError
from .standin import make_standin

CIFAR_SIZE = (32, 32)


def load_dataset(
    spec: str = "cifar10",
    *,
    limit: int | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: bool = False,
    image_size: tuple[int, int] = CIFAR_SIZE,
    download: Download = OFFICIAL,
) -> Dataset:
    """The data set to measure on.

    Args:
        spec: "cifar10": from the cache, else downloaded, else replaced by the stand-in with a note;
            "standin"; or the path of a directory of CIFAR batches or of an archive (.tar.gz).
        limit: how many images will be taken at most. The stand-in makes no more than that; every
            other set is loaded whole.
        offline: never download.
        cache_dir: where the archive is kept; by default the operating system's cache folder.
        progress: show progress bars on standard error.
        image_size: height and width in pixels of the stand-in's images.
        download: where CIFAR-10 is fetched from.

    Returns:
        Images (N, height, width, 3) uint8 and labels (N,) int64 in 0..9.

    Raises:
        DatasetError: as one of its types; the message names the file and says what to do.

    """
    if limit is not None and limit < 1:
        raise DatasetOptionError(f"limit {limit}: at least one image must be asked for")
    if spec == "standin":
        return make_standin(limit, image_size, progress=progress)
    if tuple(image_size) != CIFAR_SIZE:
        raise DatasetOptionError(
            f"{spec}: an image size can be chosen for the stand-in only; use --dataset standin"
        )
    if spec != "cifar10":
        return load_path(_user_path(spec))
    try:
        return load_cifar10(
            cache_dir or default_cache(), offline=offline, progress=progress, download=download
        )
    except NotAvailableError as reason:
        note = f"the stand-in replaces CIFAR-10: {reason}"
        return make_standin(limit, image_size, note=note, progress=progress)


def _user_path(spec: str) -> Path:
    if not spec:  # as a variable of the shell that is not set
        raise DatasetNotFoundError(
            "no data set is named by nothing; use cifar10, standin or a path"
        )
    try:
        return Path(spec).expanduser()
    except RuntimeError as error:
        raise DatasetNotFoundError(f"{spec}: there is no such user, or no home of his") from error
