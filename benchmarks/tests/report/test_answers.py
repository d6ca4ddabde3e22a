"""The answers at the top: which store wins, by what factor, and when none does."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.rows import DEFAULT_STORES, STORE_ROWS
from benchmarks.report.answers import Answer, answers
from benchmarks.results.jobs import JOBS
from benchmarks.results.keys import Key, SkippedRow
from benchmarks.results.runs import load
from benchmarks.tests.saved import (
    SPREAD,
    Saved,
    bench,
    in_one_sweep,
    only,
    save,
    whole_run,
    without_rounds,
)

WIDE = (0.4, 2.0, 1.0, 1.5, 0.7, 1.2, 0.6)


def answers_of(saved: Saved, folder: Path) -> dict[str, Answer]:
    run = load(str(save(saved, folder / "run.json")))
    return {answer.job.name: answer for answer in answers(run)}


def reading(*benches: Saved) -> Saved:
    return whole_run() | {"benchmarks": [*benches]}


def of_default_stores() -> Saved:
    return only(whole_run(), lambda info: info["backend"] in DEFAULT_STORES)


def test_each_job_has_an_answer_with_its_winner(tmp_path: Path) -> None:
    found = answers_of(whole_run(), tmp_path)
    assert {name: answer.verdict for name, answer in found.items()} == {
        "Write once": "hdf5",
        "Read everything": "hdf5",
        "Random batches for training": "hdf5",
        "Feed PyTorch": "hdf5",
        "One image at a time": "hdf5",
        "Least disk": "hdf5",
    }
    assert all(answer.won and answer.n == 1000 for answer in found.values())


def test_the_factor_is_that_of_the_medians_within_its_interval(tmp_path: Path) -> None:
    saved = reading(
        *(bench("read_many", "hdf5", n, 2.0) for n in (10, 1000)),
        *(bench("read_many", "lmdb", n, 4.0, spread=SPREAD[::-1]) for n in (10, 1000)),
        *(bench("read_many", "png", n, 50.0, spread=SPREAD[::-1]) for n in (10, 1000)),
    )
    ahead, same = answers_of(saved, tmp_path)["Read everything"].reasons
    first, second = ahead.split("; ")
    assert first.startswith("2.00 (1.9")
    assert first.endswith(") times as fast as lmdb")
    low, high = (float(end) for end in first.split("(")[1].split(")")[0].split(" to "))
    assert 1.95 < low < 2 < high < 2.05
    assert second.startswith("25.0 (24.")
    assert second.endswith("times as fast as png.")
    assert same == "The same at every n."


def test_only_this_projects_stores_compete(tmp_path: Path) -> None:
    saved = reading(
        bench("read_many", "limit", 10, 1.0),
        bench("read_many", "article-hdf5", 10, 2.0),
        bench("read_many", "png", 10, 50.0),
        bench("read_many", "lmdb", 10, 4.0),
    )
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert answer.verdict == "lmdb"
    assert answer.values == ("lmdb 4.00", "png 50.0")


def test_where_the_sweeps_disagree_it_is_undecided_and_said_what_would_decide_it(
    tmp_path: Path,
) -> None:
    saved = reading(
        bench("read_many", "png", 10, 50.0),
        bench("read_many", "lmdb", 10, 2.6, spread=WIDE),
        bench("read_many", "hdf5", 10, 2.0),
    )
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert (answer.verdict, answer.won) == ("undecided: hdf5 or lmdb", False)
    assert answer.reasons[0].startswith("hdf5: ")
    assert re.fullmatch(
        r"About \d+ sweeps would decide it \(--sweeps\), or \d+ runs like this\.", answer.reasons[1]
    )
    assert answer.values[0] == "hdf5 2.00"


def test_what_the_machine_does_to_all_rows_decides_nothing(tmp_path: Path) -> None:
    """Its speed changes from sweep to sweep, and cancels in the ratios."""
    saved = reading(
        bench("read_many", "lmdb", 10, 2.4, spread=WIDE),
        bench("read_many", "hdf5", 10, 2.0, spread=WIDE),
    )
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert answer.won
    assert answer.reasons == ("1.20 (1.20 to 1.20) times as fast as lmdb.",)


def test_stores_within_ten_per_cent_are_level(tmp_path: Path) -> None:
    saved = reading(
        bench("read_many", "png", 10, 50.0),
        bench("read_many", "lmdb", 10, 2.04),
        bench("read_many", "hdf5", 10, 2.0, spread=SPREAD[::-1]),
    )
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert (answer.verdict, answer.won) == ("level: hdf5, lmdb", False)


def test_one_sweep_names_no_winner_but_for_the_disk_and_says_why(tmp_path: Path) -> None:
    found = answers_of(in_one_sweep(whole_run()), tmp_path)
    assert found.pop("Least disk").won
    for answer in found.values():
        assert not answer.won
        assert answer.verdict.startswith("undecided: ")
        assert answer.reasons[1:] == (
            "One sweep does not show how sure that is; a new run makes several.",
        )


def test_disk_is_counted_so_that_a_little_less_wins(tmp_path: Path) -> None:
    answer = answers_of(of_default_stores(), tmp_path)["Least disk"]
    assert answer.verdict == "hdf5"
    assert answer.reasons[0] == "png takes 1.28 times as much; lmdb takes 1.28 times as much."
    assert answer.values == ("hdf5 3,200", "png 4,096", "lmdb 4,096")


def test_equal_disk_is_level(tmp_path: Path) -> None:
    saved = only(whole_run(), lambda info: info["backend"] in ("png", "lmdb"))
    assert answers_of(saved, tmp_path)["Least disk"].verdict == "level: png, lmdb"


def test_another_winner_at_another_n_is_said(tmp_path: Path) -> None:
    saved = reading(
        bench("read_many", "png", 10, 3.0),
        bench("read_many", "hdf5", 10, 9.0),
        bench("read_many", "png", 100, 50.0),
        bench("read_many", "hdf5", 100, 2.0),
        bench("read_many", "png", 1000, 50.0),
        bench("read_many", "hdf5", 1000, 2.0),
    )
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert (answer.verdict, answer.n) == ("hdf5", 1000)
    assert answer.reasons[-1] == "But png at n = 10."


def test_the_largest_n_counts_at_which_most_stores_were_measured(tmp_path: Path) -> None:
    saved = only(whole_run(), lambda info: info["n"] < 1000 or info["backend"] == "png")
    answer = answers_of(saved, tmp_path)["Read everything"]
    assert (answer.verdict, answer.n) == ("hdf5", 10)
    assert not any("1,000" in reason for reason in answer.reasons)


@pytest.mark.parametrize("name", STORE_ROWS)
def test_a_store_alone_does_not_win(tmp_path: Path, name: str) -> None:
    saved = only(whole_run(), lambda info: info["backend"] == name)
    found = answers_of(saved, tmp_path).values()
    assert {answer.verdict for answer in found} == {f"only {name} was measured"}
    assert not any(answer.won or answer.reasons for answer in found)


def test_what_was_not_measured_is_said_so(tmp_path: Path) -> None:
    saved = only(whole_run(), lambda info: info["operation"] == "store_single")
    found = answers_of(saved, tmp_path)
    assert [*found.values()] == [Answer(job, "not measured") for job in JOBS]


def test_why_a_job_was_not_measured_is_said(tmp_path: Path) -> None:
    skipped = [
        SkippedRow(Key("loader", variant, name, 1000), "torch is not installed").written()
        for variant in ("0 workers", "2 forked workers")
        for name in ("png", "hdf5")
    ]
    saved = only(whole_run(), lambda info: info["operation"] != "loader") | {"skipped": skipped}
    answer = answers_of(saved, tmp_path)["Feed PyTorch"]
    assert (answer.verdict, answer.reasons) == ("not measured", ("Torch is not installed.",))


def test_stores_that_were_left_out_are_named_beside_the_winner(tmp_path: Path) -> None:
    """As those that hold pixels are, where there is no space for them."""
    skipped = [
        SkippedRow(Key("read_many", "", name, n), "no space").written()
        for name in ("png", "lmdb", "hdf5")
        for n in (100, 1000)
    ]
    saved = reading(
        *(bench("read_many", "lmdb-encoded", n, 2.0) for n in (100, 1000)),
        *(bench("read_many", "hdf5-encoded", n, 4.0) for n in (100, 1000)),
    )
    answer = answers_of(saved | {"skipped": skipped}, tmp_path)["Read everything"]
    assert answer.verdict == "lmdb-encoded"
    assert answer.reasons[0] == "Not measured here: png, lmdb, hdf5."


@pytest.mark.parametrize(
    ("longest", "said"),
    [
        (WIDE, "--sweeps"),
        ((*WIDE, 1.0), "--sweeps and a larger --round-budget"),
        (3 * WIDE, "a larger --round-budget"),
    ],
)
def test_what_would_decide_it_is_an_option_that_gives_more_sweeps(
    tmp_path: Path, longest: tuple[float, ...], said: str
) -> None:
    """Rows of long rounds make few passes, however many sweeps a run has."""
    close = (1.5, 1.0, 1.3, 0.95, 1.1, 1.2, 1.3)
    saved = reading(
        bench("read_many", "lmdb", 10, 2.0, spread=close),
        bench("read_many", "hdf5", 10, 2.0, spread=(1,) * len(close)),
        bench("read_single", "hdf5", 10, 2.0, spread=longest),
    )
    reason = answers_of(saved, tmp_path)["Read everything"].reasons[1]
    assert re.fullmatch(rf"About \d+ sweeps would decide it \({said}\), or \d+ runs.*", reason)


def test_without_rounds_no_winner_is_called_but_for_the_disk(tmp_path: Path) -> None:
    found = answers_of(without_rounds(whole_run()), tmp_path)
    assert found.pop("Least disk").won
    for answer in found.values():
        assert not answer.won
        assert answer.verdict.startswith("undecided: ")
        assert "2.00 times as fast as lmdb" in answer.reasons[0]
        assert "(" not in answer.reasons[0]
        assert len(answer.reasons) == 2


def test_values_of_few_rounds_are_starred(tmp_path: Path) -> None:
    saved = reading(
        bench("read_many", "png", 10, 50.0, spread=SPREAD[:4]),
        bench("read_many", "hdf5", 10, 2.0, spread=SPREAD[:5]),
    )
    png = f"png {50 * np.median(SPREAD[:4]):.1f}*"
    assert answers_of(saved, tmp_path)["Read everything"].values == ("hdf5 2.00", png)


def test_of_a_loader_only_more_runs_would_decide_it(tmp_path: Path) -> None:
    """It makes a quarter of the sweeps, and rounds that fit into any budget."""
    close, variant = (1.5, 1.0, 1.3, 0.95, 1.1), "2 forked workers"
    saved = reading(
        bench("loader", "lmdb", 10, 2.0, variant, close),
        bench("loader", "hdf5", 10, 2.0, variant, (1,) * len(close)),
        bench("read_single", "hdf5", 10, 2.0, spread=3 * WIDE),
    )
    reason = answers_of(saved, tmp_path)["Feed PyTorch"].reasons[1]
    assert re.fullmatch(r"About \d+ runs like this would decide it\.", reason)
