"""How the gate's own reliability is counted."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks.gate import evaluate
from benchmarks.gate.decide import Verdict
from benchmarks.gate.errors import InvalidError
from benchmarks.gate.evaluate import MUTANTS, SIZES, TARGETS, TrialRecord, counts, read_records
from benchmarks.gate.process import Side
from benchmarks.results.errors import ResultsError
from benchmarks.tests.repositories import git, make_repository
from benchmarks.tests.runs import REPOSITORY, environment

ROUND_TRIP = """
import sys
import numpy as np
from storage import STORES

images = np.random.default_rng(0).integers(0, 256, (300, 8, 9, 3), np.uint8)
ids = np.array([5, 299, 5, 17] * 10)
for name, store_class in STORES.items():
    path = f"{sys.argv[1]}/{name}"
    with store_class(path, "x", durable=False) as store:
        store.store_many(images, range(300))
    with store_class(path) as store:
        assert np.array_equal(store.read_many()[0], images)
        assert np.array_equal(store.read_many(ids)[0], images[ids])
        assert np.array_equal(store.read_single(7)[0], images[7])
"""
"""What the suite's benchmarks ask of a store: a mutant is slower, not broken."""


def a_record(trial: str, verdict: Verdict, right: Verdict, *, loaded: bool = False) -> TrialRecord:
    return TrialRecord("0123abc", trial, loaded, right, verdict, [], ["x"] * loaded, 10.0)


@pytest.mark.parametrize("patch", sorted(MUTANTS.glob("*.patch")), ids=lambda patch: patch.stem)
def test_a_mutant_applies_and_works(patch: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(REPOSITORY / "storage", tmp_path / "storage", ignore=ignored)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "apply", str(patch))
    subprocess.run(  # our own command
        [sys.executable, "-c", ROUND_TRIP, tmp_path],
        cwd=tmp_path,
        env=environment(),
        check=True,
    )


@pytest.mark.parametrize("line", ["junk", "[]", "{}"])
def test_a_damaged_record_is_told_in_a_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "record").write_text(line)
    with pytest.raises(ResultsError, match="is no record of trials"):
        read_records(tmp_path / "record")


def test_there_is_a_mutant_of_every_store() -> None:
    names = {patch.stem.split("-")[0] for patch in MUTANTS.glob("*.patch")}
    assert names == {"png", "lmdb", "hdf5"} == {target.backend for target in TARGETS}


def test_counts_tell_trials_and_loads_apart() -> None:
    records = [
        a_record("self-check", Verdict.PASS, Verdict.PASS),
        a_record("self-check", Verdict.PASS, Verdict.PASS),
        a_record("self-check", Verdict.REGRESSED, Verdict.PASS, loaded=True),
        a_record("injected 10%", Verdict.INCONCLUSIVE, Verdict.REGRESSED),
    ]
    head, quiet, loaded, injected = (line.rsplit(maxsplit=8) for line in counts(records))
    assert head[0].startswith("trial")
    assert quiet == ["self-check", "2", "2", "2", "0", "0", "0", "0", "10"]
    assert loaded == ["self-check, loaded", "1", "0", "0", "1", "0", "0", "1", "10"]
    assert injected == ["injected 10%", "1", "0", "0", "0", "1", "0", "0", "10"]


def test_a_run_that_is_invalid_is_counted_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "repository")
    monkeypatch.setattr(evaluate, "REPOSITORY", repository)
    record = evaluate.run_gate(
        "self-check", Verdict.PASS, "--base=nowhere", loaded=True, repository=repository
    )
    assert record.verdict == Verdict.INVALID
    assert git(repository, "rev-parse", "HEAD").startswith(record.commit)
    _, line = counts([record])
    cells = ["self-check, loaded", "1", "0", "0", "0", "0", "1", "0"]
    assert line.rsplit(maxsplit=8)[:-1] == cells


@pytest.mark.parametrize("code", [0, 130])
def test_a_run_that_leaves_nothing_to_judge_is_not_counted(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was interrupted, or its measurements could not be saved."""
    monkeypatch.setattr(evaluate, "GATE", (sys.executable, "-c", f"print('x'); exit({code})"))
    monkeypatch.setattr(evaluate, "git", lambda *_: b"0123abc\n")
    with pytest.raises(InvalidError, match="self-check: x"):
        evaluate.run_gate("self-check", Verdict.PASS, loaded=False)


def test_only_runs_that_are_missing_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def run_gate(trial: str, right: Verdict, *arguments: str, **_: object) -> TrialRecord:
        made.append(" ".join((trial, *arguments)))
        return a_record(trial, Verdict.REGRESSED, right)

    path = tmp_path / "record"
    there = a_record(f"injected {SIZES[0]}%", Verdict.REGRESSED, Verdict.REGRESSED)
    path.write_text(json.dumps(asdict(there)) + "\n")
    monkeypatch.setattr(evaluate, "run_gate", run_gate)
    monkeypatch.setattr(evaluate, "heed_termination", lambda: None)
    monkeypatch.setattr(sys, "argv", ["evaluate", str(path), "injections", "2"])
    evaluate.main()
    assert len(made) == 2 * len(SIZES) - 1
    second = TARGETS[1]
    assert made[0].startswith(f"injected {SIZES[0]}% --self-check --inject={SIZES[0]}%")
    assert f" --backend={second.backend} --cutoff={second.cutoff} -k=" in made[0]
    assert len(read_records(path)) == 2 * len(SIZES)
    evaluate.main()
    assert len(made) == 2 * len(SIZES) - 1
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"injected {SIZES[-1]}%")


def test_the_stock_check_compares_one_process_of_each_side() -> None:
    def side(*data: list[float]) -> dict[str, object]:
        return {"benchmarks": [{"name": f"b{i}", "stats": {"data": d}} for i, d in enumerate(data)]}

    saved = {
        Side.BASE: side([1.0, 9.0], [1.0, 9.0], [1.0, 0.1]),
        Side.HEAD: side([9.0, 1.09], [0.1, 1.11], [9.0, 0.5]),
    }
    assert evaluate.stock_failures(saved) == ["b1"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("missing/record.jsonl", "No such file or directory"),
        ("", "argument RECORD: '' names nothing"),
    ],
)
def test_a_record_that_cannot_be_kept_is_refused_before_anything_is_measured(
    tmp_path: Path,
    record: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*_: object) -> NoReturn:
        raise AssertionError("measured")

    monkeypatch.setattr(evaluate, "run_gate", never)
    monkeypatch.setattr(evaluate, "heed_termination", lambda: None)
    path = str(tmp_path / record) if record else ""
    monkeypatch.setattr(sys, "argv", ["evaluate", path, "self-checks", "1"])
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    assert said in f"{ended.value.code}{capsys.readouterr().err}"
