"""The paths that the user told pytest to run, with symbolic links resolved.

pytest does not follow links: it takes a module named through one for another module, in another
package, which neither the hooks of `conftest.py` nor other modules know.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from os.path import realpath
from pathlib import Path


class Project:
    """The directory of the project.

    folder: its path as pytest has it, which may be a link or below one
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real = folder.resolve()

    def own_name(self, path: Path) -> Path | None:
        """The path in `folder` that `path` leads to; None if it leads elsewhere or nowhere."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):  # no such file, or a link to itself
            return None
        return self.folder / real.relative_to(self.real) if real.is_relative_to(self.real) else None

    def without_links(self, argument: str, start: Path) -> str:
        """An argument of pytest with its path given in `folder`; names of tests after it stay.

        start: the directory in which pytest was started
        """
        named, separator, tests = argument.partition("::")
        own = self.own_name(start / named)
        if own is None or own == start / named:
            return argument
        return f"{own}{separator}{tests}"

    def is_second_name(self, path: Path) -> bool:
        """Whether a path is a link to something else in the project, which is collected there."""
        return self.own_name(path) not in (None, path)


def named_paths(arguments: Iterable[str], start: Path, pyargs: bool) -> list[Path]:
    """The files and directories that pytest's arguments name, without links.

    pyargs: whether arguments may be names of modules, as with pytest's `--pyargs`
    """
    names = [argument.split("::")[0] for argument in arguments]
    # Unlike Path.resolve, realpath accepts a link to itself.
    return [(pyargs and _of_module(name)) or Path(realpath(start / name)) for name in names]


def _of_module(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except (AttributeError, ImportError, ValueError):  # as pytest does
        return None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).resolve()
    return file.parent if spec.submodule_search_locations else file
