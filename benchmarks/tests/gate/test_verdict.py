"""What the gate prints."""

import math

import pytest

from benchmarks.gate.decide import Finding, Verdict
from benchmarks.gate.verdict import duration, markdown, shown, text_table, verdict_line


def finding(name: str, verdict: Verdict, ratio: float = 1.0, detectable: float = 0.08) -> Finding:
    return Finding(
        f"test_{name}", verdict, 1e-3, ratio * 1e-3, ratio, ratio - 0.01, ratio + 0.01,
        detectable, 12, confirmed=verdict is not Verdict.PASS,
    )  # fmt: skip


QUIET = [finding(f"read_many[png-n={n}]", Verdict.PASS) for n in range(3)]
SLOW = finding("read_many[hdf5-n=1000]", Verdict.REGRESSED, 1.234)
SLOWER = finding("store_many[lmdb-n=100]", Verdict.REGRESSED, 2.5)
UNCLEAR = finding("store_single[png]", Verdict.INCONCLUSIVE, 1.07, math.inf)
FASTER = finding("read_single[png-n=1]", Verdict.IMPROVED, 0.5)


def test_nothing_changed_has_no_rows() -> None:
    assert text_table(QUIET) == []
    assert verdict_line(Verdict.PASS, QUIET, "main (0123)") == (
        "PASS: none of 3 benchmarks was shown to be slower than main (0123) by 8% or more"
        " (0 measured again)"
    )


def test_only_what_changed_or_is_undecided_has_a_row_the_slowest_first() -> None:
    findings = [*QUIET, FASTER, SLOW, UNCLEAR, SLOWER]
    assert shown(findings) == [SLOWER, SLOW, UNCLEAR, FASTER]
    head, *rows = text_table(findings)
    assert head.split() == [
        *("benchmark", "base", "head", "ratio", "95%", "interval", "sees", "from", "pairs"),
    ]
    assert rows[1].split() == [
        *("read_many[hdf5-n=1000]", "1", "ms", "1.23", "ms", "×1.23", "1.22", "to", "1.24"),
        *("+8%", "12", "regressed"),
    ]
    assert "never" in rows[2]


def test_a_suspect_that_passes_with_a_slow_median_has_a_row() -> None:
    doubtful = finding("read_single[png-n=1]", Verdict.PASS, 1.1)
    assert shown([*QUIET, doubtful]) == [doubtful]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.REGRESSED, "REGRESSED: 2 of 7 benchmarks slower than x, 1 undecided (4 measured"),
        (Verdict.INCONCLUSIVE, "INCONCLUSIVE: 1 of 7 benchmarks may be 15% slower than x"),
        (
            Verdict.PASS,
            "PASS: none of 7 benchmarks was shown to be slower than x by 8% or more, 1 faster",
        ),
    ],
)
def test_the_verdict_says_how_many(verdict: Verdict, said: str) -> None:
    assert verdict_line(verdict, [*QUIET, FASTER, SLOW, UNCLEAR, SLOWER], "x").startswith(said)


def test_long_names_and_large_numbers_fit_100_columns() -> None:
    long = finding(
        "commits_read[article-hdf5-n=100000-compacted-and-more]", Verdict.REGRESSED, 99.0
    )
    slow = Finding(
        "test_x", Verdict.INCONCLUSIVE, 99.9, 123.4, 1234.5, 999.9, 1999.9, 9.9, 40, confirmed=True
    )
    for line in text_table([long, slow]):
        assert len(line) <= 100


def test_markdown_has_the_same_rows_and_the_notes() -> None:
    text = markdown("REGRESSED: 1 of 4", [*QUIET, SLOW], ["one note"])
    assert text.startswith("### Regression gate: regressed\n\n1 of 4\n")
    assert "| `read_many[hdf5-n=1000]` | 1 ms | 1.23 ms | ×1.23 | 1.22 to 1.24 | +8% | 12 |" in text
    assert text.endswith("- one note\n\n")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5e-7, "0.25 µs"),
        (1.234e-5, "12.3 µs"),
        (2.344e-4, "234 µs"),
        (0.25, "250 ms"),
        (12, "12 s"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
