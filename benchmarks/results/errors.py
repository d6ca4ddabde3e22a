"""What the user can mend."""

from benchmarks.harness.text import one_line


class ResultsError(Exception):
    """Why a saved run cannot be shown or compared, in one line, whatever the files and values in it are called."""

    def __init__(self, why: str) -> None:
        super().__init__(one_line(why))
