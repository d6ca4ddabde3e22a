"""What keeping the files of pictures costs, beside one plain file, `cp -r`, and raw pixels.

    python -m benchmarks.tools.own_images DIR [--cutoff N] [--rounds N] [--store-dir DIR]
    python -m benchmarks.tools.own_images --paint 300

prints a Markdown table: each figure with its target, in bold if it misses it. Each round measures all
ways of a comparison once, in a drawn order, and a ratio is the median of those within rounds. The
second line paints pictures of about 31 KB with the stand-in's brush, and measures those. Pictures are
taken until their pixels have 384 MiB. The last row lists a folder of empty files.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image as Pillow

from benchmarks.contenders.encoded import Undecoded
from benchmarks.contenders.folder import plain_image
from benchmarks.contenders.limit import EncodedLimit
from benchmarks.contenders.stores import StoreContender
from benchmarks.datasets import Dataset, DatasetError, PictureOptions, decoded
from benchmarks.datasets.pictures import load_pictures
from benchmarks.datasets.standin import make_standin
from benchmarks.harness.cache import evict
from storage import (
    Hdf5EncodedStore,
    Hdf5Store,
    LmdbEncodedStore,
    LmdbStore,
    disk_usage,
)
from storage.images.folder import read_folder
from storage.payloads.base import cores, in_threads

from .printing import print_lines, tool_parser
from .targets import AtLeast, AtMost

SEED = 0
SIDE, LEAST_SIDE, QUALITY = 512, 400, 75
"""Of painted pictures: they are cut to sides of LEAST_SIDE to SIDE, and saved as JPEG."""
BATCH = 64
FINER = 10
"""Batches are so short, and their target is so close to 1, that they have this many times the rounds."""
OPTIONS = PictureOptions(skip=True)
ENCODED = {"lmdb": LmdbEncodedStore, "hdf5": Hdf5EncodedStore}
RAW = {"lmdb": LmdbStore, "hdf5": Hdf5Store}
MOST_ON_DISK = {"lmdb": 1.03, "hdf5": 1.005}
CLASSES, PRIME = 10, 7919
"""Folders of what is listed, and what keeps the order of names from being that of making them."""
TORCHVISION = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""The suffixes that it takes for images."""

Timed = Callable[[], float]
"""Does something once; returns the seconds it took."""


def paint(n: int, folder: Path) -> None:
    """Paint `n` pictures of several sizes into a new folder."""
    folder.mkdir()
    chance = np.random.default_rng(SEED)
    for i, image in enumerate(make_standin(n, (SIDE, SIDE)).images):
        height, width = chance.integers(LEAST_SIDE, SIDE + 1, 2)
        Pillow.fromarray(image[:height, :width]).save(folder / f"{i:06}.jpg", quality=QUALITY)


def ratios(rounds: int, ways: Mapping[str, Timed], reference: str) -> dict[str, float]:
    """How many times as long as `reference` each way takes, after one round that does not count."""
    chance, seconds = np.random.default_rng(SEED), {name: list[float]() for name in ways}
    for _ in range(rounds + 1):
        for name in chance.permutation([*ways]).tolist():
            seconds[name].append(ways[name]())
    pairs = {
        name: zip(took[1:], seconds[reference][1:], strict=True) for name, took in seconds.items()
    }
    return {name: median(one / other for one, other in both) for name, both in pairs.items()}


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Comparisons:
    """The comparisons for one folder; stores are made in `work`."""

    def __init__(self, data: Dataset, work: Path, rounds: int) -> None:
        self.pictures, self.labels = data.images, data.labels
        self._work, self._rounds = work, rounds
        self.rows = {name: StoreContender(kind) for name, kind in ENCODED.items()}
        self.file_bytes = sum(picture.file_bytes for picture in self.pictures)

    def _storing(self, name: str, store: Callable[[Path], object]) -> Timed:
        def once() -> float:
            path = self._work / name
            os.sync()
            took = timed(lambda: store(path))
            shutil.rmtree(path)
            return took

        return once

    def reading(self) -> Iterator[str]:
        """Batches beside one plain file of files, and what the stores take on the disk."""
        rows: dict[str, StoreContender | EncodedLimit] = {
            **self.rows,
            "limit-encoded": EncodedLimit("limit-encoded"),
        }
        chance = np.random.default_rng(SEED)
        for name, row in rows.items():
            row.store_many(self._work / name, self.pictures, self.labels, durable=False)
        usage = {name: disk_usage(self._work / name).apparent_bytes for name in ENCODED}
        opened = {name: row.open(self._work / name, ()) for name, row in rows.items()}
        files = {name: Undecoded(row).open(self._work / name) for name, row in rows.items()}
        for what, readers in (("images", opened), ("the bytes", files)):
            rounds = FINER * self._rounds
            ids = chance.integers(0, len(self.labels), (rounds + 1, BATCH))

            def batch(name: str) -> Timed:
                drawn, reader = iter(ids), readers[name]  # noqa: B023  # used at once
                return lambda: timed(lambda: reader.read_many(next(drawn)))

            found = ratios(rounds, {name: batch(name) for name in rows}, "limit-encoded")
            for name in ENCODED:
                shown = (
                    AtMost(found[name], " × limit-encoded", 1.05)
                    if what == "images"
                    else (f"{found[name]:.2f} × limit-encoded")
                )
                yield f"| batch of {BATCH}, {what}, {name}-encoded | {shown} |"
        for name in ENCODED:
            opened[name].close()
            files[name].close()
            over = AtMost(usage[name] / self.file_bytes, " × the files", MOST_ON_DISK[name])
            yield f"| bytes on disk, {name}-encoded | {over} |"

    def storing(self) -> Iterator[str]:
        """Storing files beside storing pixels that are decoded already, and beside `cp -r`."""
        images = [*decoded(self.pictures)]
        for name, row in self.rows.items():
            raw = StoreContender(RAW[name])

            def store_pixels(path: Path, raw: StoreContender = raw) -> None:
                with raw.new(path, durable=True) as store:
                    store.store_many(images, self.labels)

            def store_files(path: Path, row: StoreContender = row) -> None:
                row.store_many(path, self.pictures, self.labels, durable=True)

            def copy(path: Path) -> None:
                subprocess.run(["cp", "-r", self._copied(), path], check=True)  # noqa: S603, S607  # our own command
                os.sync()

            ways = {
                "pixels": self._storing("pixels", store_pixels),
                "files": self._storing("files", store_files),
                "cp": self._storing("cp", copy),
            }
            of_pixels = ratios(self._rounds, ways, "pixels")
            of_files = ratios(self._rounds, ways, "files")
            yield (
                f"| storing, {name}-encoded |"
                f" {AtMost(of_pixels['files'], f' × {name} of pixels', 0.07)} |"
            )
            yield (
                f"| storing, {name}-encoded, as fast as `cp -r` and sync |"
                f" {AtLeast(of_files['cp'], ' ×', 0.8)} |"
            )

    def _copied(self) -> Path:
        """A folder of just the files that are stored."""
        folder = self._work / "source"
        if not folder.exists():
            folder.mkdir()
            for i, picture in enumerate(self.pictures):
                shutil.copy(picture.path, folder / f"{i:06}{Path(picture.path).suffix}")
        return folder

    def cold(self) -> Iterator[str]:
        """A whole pass in order over HDF5, in batches, with nothing in the page cache."""
        rows = {"files": self.rows["hdf5"], "pixels": StoreContender(Hdf5Store)}
        for name, row in rows.items():
            row.store_many(self._work / f"cold-{name}", self.pictures, self.labels, durable=True)

        def whole_pass(name: str) -> Timed:
            def read() -> None:
                with rows[name].open(self._work / f"cold-{name}") as store:
                    for start in range(0, len(store), BATCH):
                        store.read_many(range(start, min(start + BATCH, len(store))))

            def once() -> float:
                evict(self._work / f"cold-{name}")
                return timed(read)

            return once

        found = ratios(self._rounds, {name: whole_pass(name) for name in rows}, "pixels")
        shown = AtMost(found["files"], " × hdf5 of pixels", 0.5)
        yield f"| cold pass, hdf5-encoded | {shown} |"

    def decoding(self) -> Iterator[str]:
        """The default decoder beside Pillow, in one thread, and in one for each core."""
        some = self.pictures[:BATCH].tolist()
        files = [picture.read() for picture in some]
        ways = {
            "default": lambda: timed(lambda: [picture.decode() for picture in some]),
            "pillow": lambda: timed(lambda: [plain_image(one.path, OPTIONS) for one in some]),
        }
        shown = AtMost(ratios(self._rounds, ways, "pillow")["default"], " × Pillow", 0.7)
        yield f"| decoding {len(some)} pictures, default decoder | {shown} |"
        ways = {
            "one": lambda: timed(lambda: [OPTIONS.decode(data) for data in files]),
            "all": lambda: timed(lambda: in_threads(OPTIONS.decode, files)),
        }
        more = AtLeast(ratios(self._rounds, ways, "all")["one"], " × one thread", 1.7)
        yield f"| the same in {cores()} threads | {more} |"


def listed_by_torchvision(root: Path) -> list[tuple[str, int]]:
    """What torchvision's ImageFolder does to list a folder, by its documentation: paths and labels."""
    found = []
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    for label, name in enumerate(classes):
        for folder, _, files in sorted(os.walk(root / name, followlinks=True)):
            for file in sorted(files):
                path = os.path.join(folder, file)  # noqa: PTH118  # as it does
                if path.lower().endswith(TORCHVISION):
                    found.append((path, label))
    return found


def listing(work: Path, rounds: int, files: int) -> Iterator[str]:
    """Listing a folder of empty files beside torchvision's way."""
    root = work / "listed"
    for label in range(CLASSES):
        (root / f"class {label}").mkdir(parents=True)
        for i in range(label, files, CLASSES):
            (root / f"class {label}" / f"{i * PRIME % files:06}.jpg").touch()
    ways: dict[str, Timed] = {
        "here": lambda: timed(lambda: read_folder(root)),
        "torchvision": lambda: timed(lambda: listed_by_torchvision(root)),
    }
    shown = AtMost(ratios(3 * rounds, ways, "torchvision")["here"], " × torchvision's way", 0.4)
    yield f"| listing {files:,} files in {CLASSES} folders | {shown} |"


def lines(
    source: Path | None, painted: int, rounds: int, files: int, n: int, work: Path
) -> Iterator[str]:
    """The table, a line as soon as it is measured."""
    if source is None:
        source = work / "painted"
        paint(painted, source)
    try:
        data = load_pictures(source, OPTIONS, limit=n)
    except DatasetError as error:  # which may be an OSError, but none of the store directory
        sys.exit(str(error))
    measured = Comparisons(data, work, rounds)
    count, pixels = len(data.images), sum(picture.nbytes for picture in data.images)
    yield (
        f"{count:,} pictures ({data.identity[:25]}…), {measured.file_bytes / count:,.0f} bytes of file"
        f" and {pixels / count:,.0f} of pixels each"
    )
    yield ""
    yield "| | measured, target |"
    yield "|---|---|"
    for part in (measured.reading, measured.storing, measured.cold, measured.decoding):
        yield from part()
    yield from listing(work, rounds, files)


def main() -> None:
    """Measure and print."""
    parser = tool_parser("own_images", __doc__)
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a folder of pictures")
    parser.add_argument("--paint", type=int, default=0, metavar="N", help="paint N instead")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="of each comparison (7)")
    parser.add_argument(
        "--listed", type=int, default=100_000, metavar="N", help="empty files to list (100,000)"
    )
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.paint < 1) or arguments.rounds < 1:
        parser.error("give a folder, or --paint with a number, and at least one round")
    chosen = arguments.folder, arguments.paint, arguments.rounds, max(1, arguments.listed)
    print_lines(parser, arguments, lambda n, work: lines(*chosen, n, work))


if __name__ == "__main__":
    main()
