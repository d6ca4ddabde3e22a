"""Loading the data set that the user's options name."""

from os.path import expanduser, isdir, lexists
from pathlib import Path

from .batches import BATCH_NAMES, FOLDER
from .cifar10 import load_cifar10, load_path
from .dataset import Dataset
from .errors import DatasetNotFoundError, DatasetOptionError, NotAvailableError
from .pictures import MOST_BYTES, PictureOptions, load_pictures
from .sources import OFFICIAL, Download
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
    pictures: PictureOptions | None = None,
    most_bytes: float = MOST_BYTES,
) -> Dataset:
    """The data set to measure: images (N, height, width, 3) uint8, labels (N,) int64 in 0..9.

    Pictures of a folder have any shapes and labels, and stay in their files.

    Raises a type of DatasetError; the message names the file and says what to do.

    spec: "cifar10": from the cache, else downloaded, else replaced by the stand-in with a note;
        "standin"; or the path of a directory of CIFAR batches or of pictures, or of an archive
        (.tar.gz)
    limit: the most images that will be taken. No more pictures or images of the stand-in are loaded
        or made than that; every other set is loaded whole
    offline: whether never to download
    cache_dir: the folder for the archive; by default the operating system's cache folder
    progress: whether to show progress bars on standard error
    image_size: height and width in pixels of the stand-in's images
    download: the sources of CIFAR-10
    pictures: how a directory of pictures is read; None: only batches are
    most_bytes: no more pictures are taken than have this many bytes of pixels
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
        path = _user_path(spec)
        if is_folder_of_pictures(spec):
            if pictures is None:
                raise DatasetNotFoundError(
                    f"{spec}: no CIFAR batch in it, and pictures cannot be measured here; give the"
                    " Python version of CIFAR-10, a directory of batches or a .tar.gz"
                )
            return load_pictures(
                path, pictures, limit=limit, most_bytes=most_bytes, progress=progress
            )
        return load_path(path)
    try:
        return load_cifar10(cache_dir, offline=offline, progress=progress, download=download)
    except NotAvailableError as reason:
        note = f"the stand-in replaces CIFAR-10: {reason}"
        return make_standin(limit, image_size, note=note, progress=progress)


def is_folder_of_pictures(spec: str) -> bool:
    """Whether it names a directory without batches: then only pictures can be in it."""
    path = Path(expanduser(spec))  # noqa: PTH111  # `Path.expanduser` raises if there is no such user
    if spec in ("", "cifar10", "standin") or not isdir(path):  # noqa: PTH112  # a name may be too long
        return False
    return not any(lexists(path / name) for name in (FOLDER, *BATCH_NAMES))


def _user_path(spec: str) -> Path:
    if not spec:  # from an unset shell variable
        raise DatasetNotFoundError(
            "the name of the data set is empty; use cifar10, standin or a path"
        )
    try:
        return Path(spec).expanduser()
    except RuntimeError as error:
        raise DatasetNotFoundError(f"{spec}: no such user, or one without a home") from error
