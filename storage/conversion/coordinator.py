"""What users call: it plans a conversion, and publishes the parts that tasks write."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from uuid import uuid4

from .._catalog import LOCK, count_name
from .._encoded import EncodedStore
from .._errors import (
    ExecutorError,
    FormatError,
    ImageFileError,
    StoreExistsError,
    os_errors,
    printable,
)
from .._files import TEMPORARY, Folder, StrPath
from .._header import HEADER, VERSION, Header
from .._part import PartName, renumber_part
from .._progress import Progress
from .._store import STORES
from .engine import here, there
from .plan import Plan, Span, is_of, write_plan
from .sources import Source, find_source, is_store
from .task import Order, Tick
from .to_folder import write_folder
from .work import (
    Receipt,
    Skipped,
    WorkFolder,
    chosen,
    is_part,
    read_receipt,
    refuse_existing,
)

FOLDER = "folder"
FORMATS = (*STORES, FOLDER)
DEFAULT_FORMAT = "hdf5-encoded"
ON_ERROR = ("stop", "skip")


@dataclass(frozen=True)
class Converted:
    """What a conversion has made.

    skipped: what it has left out
    passed_over: see `ImageFolder`
    changed: of how many files decoding changes what, such as "P to RGB" or "turned (orientation 6)";
        of a store that keeps files, what is changed whenever they are read; of a folder, nothing
    """

    path: Path
    format: str
    images: int
    classes: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)


def convert(
    src: StrPath,
    dst: StrPath,
    format: str = DEFAULT_FORMAT,  # noqa: A002  # what it is called everywhere
    *,
    executor: Executor | None = None,
    image_mode: str | None = None,
    orientation: str | None = None,
    max_pixels: int | None = None,
    on_error: str = "stop",
    allow_empty: bool = False,
    progress: Progress = iter,
) -> Converted:
    """Convert a folder of images or a store to the new store or folder `dst`.

    src: a folder as `read_folder` takes it, or any store
    format: a name in `STORES`, or "folder": one folder for each class, files under their names
    executor: writes the parts of a store of about 1 GiB of source each, for example a
        `ProcessPoolExecutor` or `dask.distributed`'s `Client.get_executor()`; it stays open. All its
        workers see `src` and the folder of `dst` under the same paths. Without one, this process
        writes them one after the other.
    image_mode, orientation, max_pixels: see `EncodedStore`; a store of files has its own
    on_error: "stop" raises at the first image that is damaged or cannot be stored; "skip" leaves such
        images out, and raises for what may be no fault of theirs, such as too many open files
    allow_empty: whether class folders may be without images
    progress: wraps the numbers of the images that are converted, to show how far it is

    Every file of a folder is decoded once, also where it is kept as it is: a damaged one is refused.
    The same call made again after an exception or a kill keeps the parts that are finished, and
    comes to the same result, byte for byte; see `ExecutorError.__notes__` for where they are.
    Raises `StoreExistsError` if `dst` exists and is no empty folder to replace; `FolderError`, `ImageFileError`
    and other `StorageError`s; `ExecutorError` if the executor gives up on a part; ValueError for
    other arguments.
    """
    if format not in FORMATS:
        raise ValueError(f"format {format!r}; give one of {', '.join(FORMATS)}")
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error {on_error!r}; give one of {', '.join(ON_ERROR)}")
    if executor is not None and format == FOLDER:
        raise ValueError("a folder is written by one process; give no executor")
    every = {"image_mode": image_mode, "orientation": orientation, "max_pixels": max_pixels}
    asked = {name: value for name, value in every.items() if value is not None}
    target = Path(os.path.abspath(os.fspath(dst)))  # noqa: PTH100  # links in it stay
    skip = on_error == "skip"
    if Path(os.path.abspath(os.fspath(src))) in target.parents and is_store(src):  # noqa: PTH100
        text = "lies inside the store that is converted; choose a place outside"
        raise StoreExistsError(f"{printable(str(target))}: {text}")
    with os_errors(printable(str(target))), WorkFolder.held(target) as work:
        source = find_source(src, asked, allow_empty)
        if format == FOLDER:
            return _to_folder(source, work, skip, progress)
        as_files = source.payload is not None and issubclass(STORES[format], EncodedStore)
        return Coordinator(work, source, format, as_files).run(executor, skip, progress)


def _to_folder(source: Source, work: WorkFolder, skip: bool, progress: Progress) -> Converted:
    work.empty()
    refuse_existing(work.target)
    images, skipped = write_folder(source, work.new, skip, progress)
    _refuse_none(source.path, images)
    work.publish()
    return Converted(work.target, FOLDER, images, source.classes, skipped, source.passed_over)


def _refuse_none(path: str, images: int) -> None:
    if not images:
        raise FormatError(f"{printable(path)}: no image in it can be converted")


class Coordinator:
    """One run of a conversion to a store, which goes on with what an earlier one has left."""

    def __init__(self, work: WorkFolder, source: Source, format: str, as_files: bool) -> None:  # noqa: A002
        self._work, self._receipts = work, dict[int, Receipt]()
        self._published = self._images = 0  # parts that are in place, and their images
        plan = work.planned()
        if plan is None or not is_of(plan, source, format, as_files):
            work.refuse_published()
            write = partial(write_plan, source=source, format=format, as_files=as_files)
            plan = work.write_plan(write)
        self._plan: Plan = plan
        self._kind = plan.kind
        self._contents = {part: plan.content_of(part) for part in range(len(plan.parts))}

    def run(self, executor: Executor | None, skip: bool, progress: Progress) -> Converted:
        if self._work.is_published:
            self._keep_published(self._work.target)
            if self._published < len(self._plan.parts):  # another store has taken its place
                self._work.refuse_published()
            self._refuse_skipped(skip)
        else:
            self._take_stock()
            self._refuse_skipped(skip)
            ticks = iter(progress(range(self._plan.images)))
            self._write(executor, skip, partial(next, ticks, None))
            self._finish()
        ordered = sorted(self._receipts.values(), key=attrgetter("part"))
        skipped = [each for receipt in ordered for each in receipt.skipped]
        changed = sum((Counter(receipt.changed) for receipt in ordered), Counter[str]())
        plan, target = self._plan, self._work.target
        noted = skipped, plan.passed_over, changed
        return Converted(target, plan.format, self._images, plan.classes, *noted)

    # ---- what an earlier run has left ----------------------------------------------------------

    def _counting(self) -> dict[int, Receipt]:
        """The receipts that count, by part."""
        return {part: each for name, (part, each) in self._handed_in() if name == chosen(part)}

    def _handed_in(self) -> Iterator[tuple[str, tuple[int, Receipt]]]:
        with suppress(FileNotFoundError):  # killed while it cleaned up
            for name in os.listdir(self._work.receipts):
                if name.startswith(TEMPORARY):
                    continue
                receipt = read_receipt(self._work.receipts / name)
                if receipt and receipt.content == self._contents.get(receipt.part):
                    yield name, (receipt.part, receipt)

    def _keep_published(self, folder: Path) -> set[str]:
        """Keep the parts that are in place in a folder, up to the first that is not; their names."""
        counting, kept = self._counting(), set[str]()
        for part in range(len(self._plan.parts)):
            receipt = counting.get(part)
            if receipt is None:
                break
            name = self._name(receipt)
            if not is_part(folder / name.folder, receipt, name, self._kind):
                break
            kept.add(name.folder)
            self._receipts[part] = receipt
            self._published, self._images = part + 1, name.stop
        return kept

    def _take_stock(self) -> None:
        """Keep what is there by its receipt, and remove what else there is."""
        work = self._work
        work.make_folders()
        in_place = self._keep_published(work.new)
        tries, receipts = set[str](), {chosen(part) for part in self._receipts}
        for name, (part, receipt) in self._handed_in():
            if part not in self._receipts and work.is_written(receipt, self._kind):
                self._receipts[part] = receipt
                tries.add(receipt.attempt)
                receipts.add(name)
        work.clear(work.new, lambda name: name not in in_place)
        work.clear(work.attempts, lambda name: name not in tries)
        work.clear(work.receipts, lambda name: name not in receipts)

    def _refuse_skipped(self, skip: bool) -> None:
        for _, receipt in sorted(self._receipts.items()):
            if receipt.skipped and not skip:
                raise ImageFileError("{}: {}".format(*receipt.skipped[0]))

    def _name(self, receipt: Receipt) -> PartName:
        """The name of the next part in place."""
        return PartName(self._images, self._images + receipt.records)

    # ---- what this run adds ------------------------------------------------------------------

    def _write(self, executor: Executor | None, skip: bool, tick: Tick) -> None:
        spans = self._plan.parts
        for part in self._receipts:
            _repeat(tick, spans[part])
        left = [part for part in range(len(spans)) if part not in self._receipts]
        fixed, run = (os.fspath(self._work.path), self._plan.identity), uuid4().hex
        orders = (Order(*fixed, part, skip, run) for part in left)
        receipts = here(orders, tick) if executor is None else there(executor, orders)
        self._publish()
        with closing(receipts):
            for receipt in receipts:
                if not self._work.is_written(receipt, self._kind):
                    text = f"part {receipt.part} is not there; do all workers see this folder?"
                    raise ExecutorError(f"{printable(str(self._work.path))}: {text}")
                self._receipts[receipt.part] = receipt
                if executor is not None:
                    _repeat(tick, spans[receipt.part])
                self._publish()

    def _publish(self) -> None:
        """Put into place the parts that are next in order."""
        while receipt := self._receipts.get(self._published):
            self._work.choose(receipt)
            if receipt.records:
                name, path = self._name(receipt), self._work.attempts / receipt.attempt
                if receipt.first != name.first:  # images were left out before it
                    folder = Folder(os.fspath(path))
                    renumber_part(folder, self._kind, receipt.name, name.first)
                path.rename(self._work.new / name.folder)
            self._published, self._images = self._published + 1, self._images + receipt.records

    def _finish(self) -> None:
        """Make a store of the parts, and give it its name."""
        plan = self._plan
        if not self._images:
            self._work.empty()
        _refuse_none(plan.path, self._images)
        folder = Folder(os.fspath(self._work.new))
        header = Header(plan.format, VERSION, plan.store_options, tuple(plan.classes))
        files = {LOCK: b"", count_name(self._images): b"", HEADER: header.written()}
        for name, data in files.items():
            folder.write(name, data)
        folder.sync([*files])
        self._work.publish()


def _repeat(tick: Tick, span: Span) -> None:
    for _ in range(span.first, span.stop):
        tick()
