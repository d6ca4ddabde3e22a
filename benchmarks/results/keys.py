"""What identifies a row of a run, and the rows that a run could not measure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import TextWrapper
from typing import Any, NamedTuple, Self  # Any: for JSON

from .recorded import Recorded, require_count

SKIPPED = "skipped"
"""The key of the list of skipped rows in a saved run."""

WIDTH = 100
"""Characters of a line on a terminal."""
MOST_NAMED = 9
"""Of more rows that were skipped for one reason, the operations are named."""


class Key(NamedTuple):
    """What identifies a row.

    variant: the variant of the operation, "" if there is only one
    backend: the row's name, as in `--backend`
    cold: whether its store was evicted from the page cache before each round
    """

    operation: str
    variant: str
    backend: str
    n: int
    cold: bool = False

    @classmethod
    def of(cls, recorded: Recorded) -> Self:
        return cls(
            recorded.operation, recorded.variant, recorded.backend, recorded.n, recorded.is_cold
        )


def in_words(key: Key) -> str:
    """A row's name as text."""
    cold = " cold" if key.cold else ""
    return f"{key.operation} {key.backend} {key.variant}".strip() + f" n={key.n:,}{cold}"


@dataclass(frozen=True)
class SkippedRow:
    """A row that could not be measured, and why: a sentence that does not name it."""

    key: Key
    reason: str

    def written(self) -> dict[str, object]:
        """The row as it is saved with the run."""
        return {**self.key._asdict(), "reason": self.reason}

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Self:
        """A saved row; raises KeyError, TypeError or ValueError if it is damaged."""
        key = Key(**{name: saved[name] for name in Key._fields})
        texts = (key.operation, key.variant, key.backend, saved["reason"])
        if not all(isinstance(text, str) for text in texts) or type(key.cold) is not bool:
            raise TypeError(f"skipped row {saved}")
        require_count(key.n)
        return cls(key, saved["reason"])


def reasons(skipped: Iterable[SkippedRow]) -> list[str]:
    """A phrase for each reason, with the rows that it is for."""
    rows: dict[str, list[Key]] = {}
    for one in sorted(skipped, key=lambda one: one.key):
        rows.setdefault(one.reason, []).append(one.key)
    return [f"not measured: {reason}: {_named(keys)}" for reason, keys in rows.items()]


def _named(keys: list[Key]) -> str:
    if len(keys) <= MOST_NAMED:
        return ", ".join(map(in_words, keys))
    counts = Counter(key.operation for key in keys)
    return ", ".join(f"{n} rows of {operation}" for operation, n in counts.items())


def in_lines(skipped: Iterable[SkippedRow]) -> list[str]:
    """The reasons as lines for a terminal."""
    wrapped = TextWrapper(WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return [line for reason in reasons(skipped) for line in wrapped.wrap(reason)]
