"""The command: whole runs of the suite, what is kept of them, and what is refused."""

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks.evaluation import __main__ as command
from benchmarks.evaluation.measure import STORES, run_suite
from benchmarks.evaluation.record import Replicate, add_record, read_records
from benchmarks.results.errors import ResultsError
from benchmarks.results.keys import Key
from benchmarks.tests.runs import BRIEF

from .test_counts import runs

SMALL = (*BRIEF[2:], "-kread_many or store_many", "--sweeps=3")


@pytest.fixture(autouse=True)
def _no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "heed_termination", lambda: None)


def never(*_: object) -> NoReturn:
    raise AssertionError("measured")


def test_a_run_is_kept_with_a_second_copy_of_one_store_and_a_slower_one_of_another(
    tmp_path: Path,
) -> None:
    made = run_suite(1, [*SMALL, f"--store-dir={tmp_path}"])
    assert (made.same, made.slowed) == (STORES[1], STORES[2])
    rows = {"png", "lmdb", "hdf5", "limit", "article-png", "article-lmdb", "article-hdf5"}
    rows |= {f"{made.same}-twin", f"{made.slowed}-twin"}
    assert set(made.figures) == {
        Key(operation, "", row, 10) for operation in ("store_many", "read_many") for row in rows
    }
    figure = made.figures[Key("read_many", "", "hdf5", 10)]
    assert len(figure.sweeps) == 3
    assert made.round_microseconds[Key("read_many", "", "hdf5", 10)] == pytest.approx(
        10 * figure.microseconds
    )
    assert made.figures[Key("store_many", "", "hdf5", 10)].allocated_per_image
    assert Replicate.read(made.written()) == made


@pytest.mark.parametrize("counts", [[], [1] * 19, [0, *[1] * 20], [2, *[1] * 19]])
def test_rounds_that_do_not_add_up_are_refused(tmp_path: Path, counts: list[int]) -> None:
    """As those of a record that was made before it kept all rounds."""
    (made,) = runs(count=1)
    rows = [made.rows[0]._replace(rounds=counts), *made.rows[1:]]
    add_record(tmp_path / "record", replace(made, rows=rows))
    with pytest.raises(ResultsError, match="line 1 is no record of a run"):
        read_records(tmp_path / "record")


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run 1: .*--cutoff: '0' is not a number of images"):
        run_suite(0, ["--cutoff=0", f"--store-dir={tmp_path}"])


def test_only_runs_that_are_missing_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record"
    known = runs(count=3)
    add_record(path, known[0])
    made: list[tuple[int, list[str]]] = []

    def measured(number: int, arguments: list[str]) -> Replicate:
        made.append((number, arguments))
        return known[number]

    monkeypatch.setattr(command, "run_suite", measured)
    assert command.main([str(path), "3", "--store-dir=/mnt", "--sweeps=5"]) == 1
    assert made == [(i, ["--store-dir=/mnt", "--sweeps=5"]) for i in (1, 2)]
    assert read_records(path) == known
    output = capsys.readouterr()
    beyond, last = output.out.splitlines()[-2:]
    assert re.fullmatch(r"spread from run to run beyond what sweeps show: -?\d\.\d\d%", beyond)
    assert last == "3 runs; 20 are needed"
    assert output.err == "run 2 of 3: 90 s\nrun 3 of 3: 90 s\n"
    assert command.main([str(path)]) == 1  # it counts again, and measures nothing
    assert capsys.readouterr().out == output.out
    assert len(made) == 2


@pytest.mark.parametrize("sweeps", ["0", "1", "x", ""])
def test_too_few_sweeps_are_refused_before_anything_is_measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sweeps: str,
) -> None:
    monkeypatch.setattr(command, "run_suite", never)
    with pytest.raises(SystemExit, match="2"):
        command.main([str(tmp_path / "record"), "1", f"--sweeps={sweeps}"])
    assert "give at least 2" in capsys.readouterr().err
    assert not (tmp_path / "record").exists()


def test_twenty_runs_with_every_share_as_wanted_are_a_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record"
    for one in runs():
        add_record(path, one)
    assert command.main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "20 runs"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"commit": "fedcba9"}, "commit"),
        ({"dirty": True}, "commit"),
        ({"arguments": ["--cutoff=10"]}, "options"),
        ({"machine": {"cores": 3}}, "number of cores"),
    ],
)
def test_runs_that_do_not_compare_are_not_counted_together(
    tmp_path: Path,
    changed: dict[str, object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, other = runs(count=2)
    other = replace(other, **changed)  # type: ignore[arg-type]  # the names are its own
    path = tmp_path / "record"
    add_record(path, one)
    monkeypatch.setattr(command, "run_suite", lambda *_: other)
    assert command.main([str(path), "2"]) == 2
    assert f"it differs in {said}" in capsys.readouterr().err
    assert read_records(path) == [one]
    add_record(path, other)
    assert command.main([str(path)]) == 2
    assert "line 2 is of a run that does not compare with the first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"runs", "Not a gzipped file"),
        (gzip.compress(b"runs", mtime=0)[:-5], "ended before the end"),
        *(
            (gzip.compress(line, mtime=0), "line 1 is no record")
            for line in (b"{", b"{}", b'{"rows": 3}')
        ),
    ],
)
def test_a_damaged_record_is_refused_before_anything_is_measured(
    tmp_path: Path,
    content: bytes,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "run_suite", never)
    path = tmp_path / "record"
    path.write_bytes(content)
    assert command.main([str(path), "20"]) == 2
    assert said in capsys.readouterr().err


def test_a_record_that_cannot_be_kept_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "run_suite", never)
    assert command.main([str(tmp_path / "missing" / "record"), "1"]) == 2
    assert "No such file or directory" in capsys.readouterr().err
