"""The command line: `python -m storage convert|info|verify|compact`."""

import argparse
import os
import signal
import sys
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

from . import CorruptStoreError, StorageError, disk_usage, open_store
from ._errors import printable
from ._progress import Progress
from .conversion import DEFAULT_FORMAT, FOLDER, FORMATS, ON_ERROR, convert, is_store
from .conversion.engine import WINDOW
from .conversion.executors import dask, processes
from .conversion.work import refuse_taken
from .images.decoding import IMAGE_MODES, MAX_PIXELS, ORIENTATIONS
from .images.folder import read_folder
from .images.survey import counted, survey
from .payloads.encoded import EncodedPayload

FAILED, INTERRUPTED = 1, 128
"""Exit codes: of an error; to which the number of a signal is added. argparse's is 2."""

MOST_WORKERS = WINDOW
"""More would have nothing to do."""


class OutputError(Exception):
    """What was to be printed could not be, with the reason."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # as it is for stderr: no name or sign is an error
        sys.stdout.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` asks
            signal.signal(number, _interrupted)
    try:
        return int(given.command(given))
    except (StorageError, ValueError) as error:
        say(f"error: {error}", to=sys.stderr)
        _say_notes(error)
        return FAILED
    except OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last try
        if not isinstance(error.__cause__, BrokenPipeError):
            say(f"error: the output cannot be written: {error}", to=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        say("interrupted", to=sys.stderr)
        _say_notes(error)
        return INTERRUPTED + signal.SIGINT
    except SystemExit as error:
        _say_notes(error)
        raise


def _say_notes(error: BaseException) -> None:
    """Tell where an interrupted conversion has left what it had finished."""
    for note in getattr(error, "__notes__", ()):
        say(note, to=sys.stderr)


def _interrupted(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # the work of removing what was begun is not interrupted
    sys.exit(INTERRUPTED + number)


def parser() -> argparse.ArgumentParser:
    every = argparse.ArgumentParser(
        prog="python -m storage", description="Stores for lots of images."
    )
    commands = every.add_subparsers(title="commands", required=True)

    one = commands.add_parser(
        "convert", help="make a store of a folder or a store, or a folder of a store"
    )
    one.add_argument("src", type=_named, metavar="SRC", help="a folder of images, or a store")
    one.add_argument("dst", type=_named, metavar="DST", help="the new store or folder")
    one.add_argument(
        "--format", choices=FORMATS, default=DEFAULT_FORMAT, help="of DST (%(default)s)"
    )
    one.add_argument(
        "--on-error", choices=ON_ERROR, default="stop", help="what a bad image does (stop)"
    )
    _add_options(one)
    where = one.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_workers, metavar="N", help="processes that convert")
    where.add_argument(
        "--dask", type=_named, metavar="ADDRESS", help="of a Dask scheduler whose workers convert"
    )
    one.set_defaults(command=_convert)

    one = commands.add_parser("info", help="tell what a store or a folder of images holds")
    one.add_argument("src", type=_named, metavar="SRC", help="a folder of images, or a store")
    _add_options(one)
    one.set_defaults(command=_info)

    for name, command, text in (
        ("verify", _verify, "read and check everything in a store"),
        ("compact", _compact, "rewrite many small commits as few"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("store", type=_named, metavar="STORE")
        one.set_defaults(command=command)
    return every


def _add_options(one: argparse.ArgumentParser) -> None:
    """Add the options on how a folder's files are read."""
    one.add_argument("--image-mode", choices=IMAGE_MODES, help="what files are decoded to (rgb)")
    one.add_argument("--orientation", choices=ORIENTATIONS, help="of EXIF and TIFF (apply)")
    most = f"refuse larger images ({MAX_PIXELS:,})"
    one.add_argument("--max-pixels", type=_positive, metavar="N", help=most)
    one.add_argument("--allow-empty", action="store_true", help="take class folders without images")


def _named(text: str) -> str:
    if not text:  # an unset variable, which would be the current directory
        raise argparse.ArgumentTypeError("'' names nothing")
    return text


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}; give a positive number")
    return int(text)


def _workers(text: str) -> int:
    if (n := _positive(text)) > MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r}; give 1 to {MOST_WORKERS}")
    return n


def _convert(given: argparse.Namespace) -> int:
    with _executor(given) as executor:
        has_table = executor is None and not is_store(given.src)
        if has_table:
            refuse_taken(given.dst)  # at once: the table takes long
            say("\n".join(_table(given)), to=sys.stderr)
        made = convert(
            given.src,
            given.dst,
            given.format,
            executor=executor,
            **asked_of(given),  # type: ignore[arg-type]  # each has its option's type
            on_error=given.on_error,
            allow_empty=given.allow_empty,
            progress=_progress(),
        )
    if not has_table:
        for what, counts in (("changed", made.changed), ("passed over", made.passed_over)):
            if counts:
                say(f"{what}: {counted(counts)}", to=sys.stderr)
    for name, reason in made.skipped:
        say(f"skipped {name}: {reason}", to=sys.stderr)
    size = disk_usage(made.path).apparent_bytes
    left_out = f", {len(made.skipped):,} skipped" if made.skipped else ""
    classes = f" of {len(made.classes):,} classes" if made.classes else ""
    shown = printable(os.fspath(made.path))
    say(f"{shown}: {made.format}, {made.images:,} images{classes}, {_bytes(size)}{left_out}")
    return 0


def _executor(given: argparse.Namespace) -> AbstractContextManager[Executor | None]:
    if given.workers:
        return processes(given.workers)
    return nullcontext() if given.dask is None else dask(given.dask)


def _table(given: argparse.Namespace) -> list[str]:
    """What a folder holds, and what will become of it."""
    options = EncodedPayload().with_options(asked_of(given))
    found = survey(
        read_folder(given.src, allow_empty=given.allow_empty),
        mode=options.image_mode,
        orientation=options.orientation,
        max_pixels=options.max_pixels,
        progress=_progress(),
    )
    if getattr(given, "format", "") == FOLDER:
        found.changed.clear()  # its files stay as they are
    return found.lines()


def asked_of(given: argparse.Namespace) -> dict[str, str | int]:
    """The options of files that were given."""
    every = {name: getattr(given, name) for name in ("image_mode", "orientation", "max_pixels")}
    return {name: value for name, value in every.items() if value is not None}


def _progress() -> Progress:
    """A progress bar, on a terminal alone."""
    if sys.stderr is None or not sys.stderr.isatty():
        return iter
    return partial(tqdm, unit=" images", leave=False)


def _info(given: argparse.Namespace) -> int:
    if not is_store(given.src):
        say("\n".join([f"{printable(given.src)}: a folder", *_table(given)]))
        return 0
    with open_store(given.src) as store:
        usage, names = store.disk_usage(), store.names
        named = sum(map(bool, names))
        say(f"{printable(os.fspath(store.path))}: {store.format}, {len(store):,} images")
        say(f"on disk: {_bytes(usage.apparent_bytes)} in {usage.files:,} files")
        for name, value in store.payload.options.items():
            say(f"{name.replace('_', ' ')}: {value}")
        say(f"names: {named:,}, for example {printable(names[0])}" if named else "names: none")
        counts = dict[int, int]()
        for label in store.labels.tolist():
            counts[label] = counts.get(label, 0) + 1
        for label, n in sorted(counts.items()):
            known = 0 <= label < len(store.classes)
            say(f"label {label}{f', {printable(store.classes[label])}' if known else ''}: {n:,}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    with open_store(given.store) as store:
        try:
            store.verify(progress=_progress())
        except CorruptStoreError as error:
            say("\n".join(error.problems), to=sys.stderr)
            say(f"{printable(given.store)}: {len(error.problems):,} problems")
            return FAILED
        say(f"{printable(given.store)}: {len(store):,} images are as they were stored")
    return 0


def _compact(given: argparse.Namespace) -> int:
    with open_store(given.store, "a") as store:
        store.compact(progress=_progress())
        parts = sum(entry.is_dir() for entry in Path(given.store).iterdir())
        say(f"{printable(given.store)}: {len(store):,} images in {parts:,} parts")
    return 0


def say(text: str, to: TextIO | None = None) -> None:
    try:
        print(text, file=to, flush=True)  # an error shows here, not as Python ends
    except OSError as error:
        raise OutputError(error.strerror) from error


def _bytes(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
