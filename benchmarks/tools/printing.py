"""Prints what a tool measures in a temporary directory of its own."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from benchmarks.harness.interruption import (
    exit_interrupted,
    heed_termination,
    temporary_directory,
)
from benchmarks.harness.options import parse_store_dir
from benchmarks.harness.output import say
from storage import StorageError


def tool_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that all such tools have."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.tools.{name}")
    parser.description = description
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cutoff", type=int, default=100_000, metavar="N", help="images (100000)")
    parser.add_argument("--store-dir", metavar="DIR", help="where to make the stores")
    return parser


def print_lines(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    lines: Callable[[int, Path], Iterable[str]],
) -> None:
    """Print each of `lines`, given the cutoff and a directory, as soon as it is measured.

    A wrong option, an error of a store or a signal ends the program.
    """
    if arguments.cutoff < 1:
        parser.error(f"--cutoff: {arguments.cutoff}; give at least one image")
    try:
        store_dir = parse_store_dir(arguments.store_dir)
    except pytest.UsageError as error:
        parser.error(str(error))
    heed_termination()
    try:
        with temporary_directory("image-stores-", store_dir) as folder:
            for line in lines(arguments.cutoff, folder):
                say([line])
    except EOFError:
        sys.exit("a process ended before it had finished: what it said is above")
    except (OSError, StorageError) as error:
        sys.exit(f"--store-dir: {error}")
    except KeyboardInterrupt:
        exit_interrupted()
