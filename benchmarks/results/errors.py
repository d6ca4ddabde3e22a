"""What the user can mend."""

from benchmarks.harness.text import one_line


class ReportError(Exception):
    """Why there is no report, in one line, whatever the files and values in it are called."""

    def __init__(self, why: str) -> None:
        super().__init__(one_line(why))
