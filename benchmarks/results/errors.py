"""Errors that the user can fix."""

from benchmarks.harness.text import one_line


class ResultsError(Exception):
    """A saved run cannot be shown or compared; the message is made one line, whatever it names."""

    def __init__(self, why: str) -> None:
        super().__init__(one_line(why))
