"""Runs in several sweeps: their order, what is saved, and what ends them early."""

import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tests.harness.test_run_broken import interrupted_run
from benchmarks.tests.runs import names_in, run, saved_run

JOURNAL = """
from pathlib import Path

def pytest_runtest_setup(item):
    with Path(__file__).with_name("order").open("a") as file:
        file.write(item.name + "\\n")
"""
"""A plugin that notes the benchmarks in the order in which they are measured."""

IN_SECOND_SWEEP = """
from benchmarks.contenders.rows import ROWS
from benchmarks.harness.passes import Passes

added = set()
add = Passes.add

def add_and_note(passes, data):
    add(passes, data)
    added.add((passes.recorded.operation, passes.recorded.backend))

Passes.add = add_and_note
genuine = ROWS["hdf5"].read_many

def read_many(path, shape):
    if ("read_many", "hdf5") in added:
        {what}
    return genuine(path, shape)

ROWS["hdf5"].read_many = read_many
"""
"""A plugin under which something happens when a row is read in its second sweep."""

FAIL = 'raise ValueError("broken in the second sweep")'
STALL = """
        import time
        from pathlib import Path
        Path(__file__).with_name("stalled").touch()
        time.sleep(600)
"""

SLOW = """
import time
from benchmarks.contenders.rows import ROWS

genuine = ROWS["limit"].read_many

def read_many(path, shape):
    time.sleep(0.02)
    return genuine(path, shape)

ROWS["limit"].read_many = read_many
"""
"""A plugin under which a round of one row takes twice the budget of `BRIEF`."""

READ_SINGLY = """
import time
from pathlib import Path
from benchmarks.contenders.rows import ROWS

def noting(row, genuine, seconds):
    def read_single(path, image_id, shape):
        time.sleep(seconds)
        with Path(__file__).with_name("ids").open("a") as file:
            file.write(f"{row} {image_id}\\n")
        return genuine(path, image_id, shape)
    return read_single

for row, seconds in (("hdf5", 0), ("limit", 0.02)):
    ROWS[row].read_single = noting(row, ROWS[row].read_single, seconds)
"""
"""A plugin that notes which images a fast and a slow row read singly."""

ROUNDS = """
from pathlib import Path
from benchmarks.contenders.rows import ROWS

def noting(row, genuine):
    def store_single(*arguments):
        with Path(__file__).with_name("rounds").open("a") as file:
            file.write(f"{row}\\n")
        return genuine(*arguments)
    return store_single

for row in ("hdf5", "lmdb", "limit"):
    ROWS[row].store_single = noting(row, ROWS[row].store_single)
"""
"""A plugin that notes the order in which rows store one image."""

FAIL_IN_A_TURN = """
from benchmarks.harness import protocol
from benchmarks.harness.checks import WrongResultError

genuine = protocol.Ready.take_turn

def take_turn(ready):
    if ready._work.check.args[0].backend == "hdf5" and len(ready.seconds) == 1:
        def run():
            raise WrongResultError("broken in a turn")
        ready._work.run = run
    genuine(ready)

protocol.Ready.take_turn = take_turn
"""
"""A plugin under which the second round of a row's turns fails."""

SHRINKING = """
from benchmarks.harness import protocol

genuine = protocol.Ready.warm_up
take_turn = protocol.Ready.take_turn
waiting = []

def warm_up(ready, budget, passes):
    genuine(ready, budget, passes)
    if passes.done == 2:
        passes.planned = {planned}
        waiting.append(ready)

def interrupted(ready):
    if waiting and ready._work.check.args[0].operation == "store_many":
        raise KeyboardInterrupt
    take_turn(ready)

protocol.Ready.warm_up = warm_up
protocol.Ready.take_turn = interrupted
"""
"""A plugin under which the plans change in the third sweep, whose turns are interrupted."""

CLOSING = {
    "call": """
from benchmarks.harness.workers import Team

genuine = Team.__exit__

def close(team, *error):
    genuine(team, *error)
    if team._contender.name == "hdf5":
        raise OSError("cannot close")

Team.__exit__ = close
""",
    "teardown": """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    if "hdf5" in item.name:
        raise OSError("cannot tear down")
""",
}
"""Plugins under which a row fails after its rounds."""

CLOCK = """
import gc
from pathlib import Path

now = 0.0

def steady():
    global now
    now += 0.25
    with Path(__file__).with_name("collects").open("a") as file:
        file.write(f"{gc.isenabled()}\\n")
    return now
"""
"""A clock by which every round takes a quarter of a second."""

NOT_COLD = """
from benchmarks.harness import suite

evictions = 0

def evict(path):
    global evictions
    evictions += 1
    return 1.0 if evictions in {which} else 0.0

suite.evict_or_wait = evict
suite.CAN_EVICT = True
"""
"""A plugin under which some evictions leave the store in memory."""


def sweeps_in(saved: dict[str, Any]) -> dict[str, list[int]]:
    """How many rounds each sweep made, by benchmark."""
    return {one["name"]: one["extra_info"]["sweep_rounds"] for one in saved["benchmarks"]}


def test_each_sweep_measures_all_group_by_group_with_the_rows_in_another_order(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal.py").write_text(JOURNAL)
    done = run(
        *("-p", "journal", f"--store-dir={tmp_path}", "--sweeps=4", "--cutoff=4,10"),
        f"--benchmark-json={tmp_path / 'run.json'}",
        "--backend=png,lmdb,hdf5,limit",
        *("-k", "read_many or read_single"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " 16 passed" in done.stdout
    assert re.findall(r"^sweep .*", done.stdout, re.MULTILINE) == [
        f"sweep {number} of 4" for number in range(1, 5)
    ]
    order = (tmp_path / "order").read_text().split()
    sweeps = [order[start : start + 16] for start in range(0, len(order), 16)]
    assert len(sweeps) == 4
    groups = [(operation, n) for operation in ("read_single", "read_many") for n in (4, 10)]
    for sweep in sweeps:
        for place, (operation, n) in enumerate(groups):
            found = sweep[4 * place : 4 * place + 4]
            wanted = [f"test_{operation}[{row}-n={n}]" for row in ("hdf5", "limit", "lmdb", "png")]
            assert sorted(found) == wanted
    assert len({tuple(sweep) for sweep in sweeps}) > 1  # by chance, once in 10**16 runs
    saved = saved_run(tmp_path / "run.json")
    assert names_in(saved) == [
        f"test_{operation}[{row}-n={n}]"
        for operation in ("read_single", "read_many")
        for row in ("png", "lmdb", "hdf5", "limit")
        for n in (4, 10)
    ]
    assert saved["sweeps"]["count"] == 4
    assert isinstance(saved["sweeps"]["order_seed"], int)
    for one in saved["benchmarks"]:
        rounds = one["extra_info"]["sweep_rounds"]
        assert len(rounds) == 4
        assert min(rounds) >= 1
        assert sum(rounds) == one["stats"]["rounds"] == len(one["stats"]["data"])
        assert len(one["extra_info"]["rounds_microseconds"].split()) == sum(rounds)


def test_a_row_too_long_for_five_sweeps_makes_three_and_is_marked(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    done = run(
        *("-p", "slow", f"--store-dir={tmp_path}", f"--benchmark-json={tmp_path / 'run.json'}"),
        *("--backend=hdf5,limit", "-k", "read_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    sweeps = sweeps_in(saved_run(tmp_path / "run.json"))
    assert sweeps["test_read_many[limit-n=10]"] == [1, 1, 1]
    assert len(sweeps["test_read_many[hdf5-n=10]"]) == 5
    marked = [line.split()[0] for line in done.stdout.splitlines() if line.endswith("*")]
    assert marked == ["limit"]


def test_in_each_sweep_all_rows_read_the_same_image_however_many_rounds_they_make(
    tmp_path: Path,
) -> None:
    (tmp_path / "singly.py").write_text(READ_SINGLY)
    done = run(
        *("-p", "singly", f"--store-dir={tmp_path}", "--backend=hdf5,limit", "-k", "read_single"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    noted = [line.split() for line in (tmp_path / "ids").read_text().splitlines()]
    read = {row: [*dict.fromkeys(i for name, i in noted if name == row)] for row, _ in noted}
    assert read == {"hdf5": ["0", "2", "4", "6", "8"], "limit": ["0", "2", "4"]}


def test_the_rows_of_a_group_take_turns(tmp_path: Path) -> None:
    (tmp_path / "rounds.py").write_text(ROUNDS)
    done = run(
        *("-p", "rounds", f"--store-dir={tmp_path}", "--backend=hdf5,lmdb,limit", "--sweeps=2"),
        *("-k", "store_single", "--round-budget=60", "--durability=buffered"),
        f"--benchmark-json={tmp_path / 'run.json'}",
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    order = [line.split()[0] for line in (tmp_path / "rounds").read_text().splitlines()]
    of_sweep = len(order) // 2
    turns = order[of_sweep - 600 : of_sweep]  # after the warm-ups
    cycles = [tuple(turns[start : start + 3]) for start in range(0, 600, 3)]
    assert {tuple(sorted(cycle)) for cycle in cycles} == {("hdf5", "limit", "lmdb")}
    assert len({*cycles}) == 6
    assert sweeps_in(saved_run(tmp_path / "run.json")) == {
        f"test_store_single[{row}]": [300, 300] for row in ("hdf5", "lmdb", "limit")
    }


@pytest.mark.parametrize("planned", [1, 2])
def test_a_row_whose_plan_shrinks_while_it_waits_is_saved(tmp_path: Path, planned: int) -> None:
    """It may then be complete before its turns; the run ends there, in the third sweep."""
    (tmp_path / "shrinking.py").write_text(SHRINKING.format(planned=planned))
    done = run(
        *("-p", "shrinking", f"--store-dir={tmp_path}", "--backend=hdf5,limit"),
        *("-k", "store_many", f"--benchmark-json={tmp_path / 'run.json'}"),
        plugins=tmp_path,
    )
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    sweeps = sweeps_in(saved_run(tmp_path / "run.json"))
    assert [len(rounds) for rounds in sweeps.values()] == [2, 2]
    assert " 2 passed" in done.stdout


def test_an_interruption_in_a_turn_keeps_the_sweeps_that_are_complete(tmp_path: Path) -> None:
    (tmp_path / "shrinking.py").write_text(SHRINKING.format(planned=5))
    done = run(
        *("-p", "shrinking", f"--store-dir={tmp_path}", "--backend=hdf5,limit"),
        *("-k", "store_single or store_many", f"--benchmark-json={tmp_path / 'run.json'}"),
        plugins=tmp_path,
    )
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    sweeps = sweeps_in(saved_run(tmp_path / "run.json"))
    assert [len(rounds) for rounds in sweeps.values()] == [3, 3, 2, 2]
    assert " 4 passed" in done.stdout
    assert [*tmp_path.glob("image-stores-*")] == []


@pytest.mark.parametrize("phase", ["call", "teardown"])
def test_a_row_that_fails_when_its_team_closes_is_not_saved(tmp_path: Path, phase: str) -> None:
    (tmp_path / "closing.py").write_text(CLOSING[phase])
    done = run(
        *("-p", "closing", f"--store-dir={tmp_path}", "--backend=hdf5,png"),
        *("-k", "parallel_read", f"--benchmark-json={tmp_path / 'run.json'}"),
        plugins=tmp_path,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert [*sweeps_in(saved_run(tmp_path / "run.json"))] == [
        f"test_parallel_read[png-n=10-processes={count}]" for count in (1, 2, 4)
    ]


def test_a_row_that_fails_in_its_turn_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "turn.py").write_text(FAIL_IN_A_TURN)
    done = run(
        *("-p", "turn", f"--store-dir={tmp_path}", f"--benchmark-json={tmp_path / 'run.json'}"),
        *("--backend=hdf5,limit", "-k", "store_single or store_many", "--round-budget=1"),
        plugins=tmp_path,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert " 2 failed, 2 passed" in done.stdout
    assert "WrongResultError: broken in a turn" in done.stdout
    assert [*sweeps_in(saved_run(tmp_path / "run.json"))] == [
        "test_store_single[limit]",
        "test_store_many[limit-n=10]",
    ]


@pytest.mark.parametrize(
    ("option", "collects"), [("--benchmark-disable-gc", False), ("--benchmark-sort=name", True)]
)
def test_the_garbage_collector_and_the_timer_are_those_asked_for(
    tmp_path: Path, option: str, collects: bool
) -> None:
    (tmp_path / "clock.py").write_text(CLOCK)
    done = run(
        *("-p", "clock", option, "--benchmark-timer=clock.steady", f"--store-dir={tmp_path}"),
        *("--backend=limit", "-k", "read_many", f"--benchmark-json={tmp_path / 'run.json'}"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    (bench,) = saved_run(tmp_path / "run.json")["benchmarks"]
    assert {*bench["stats"]["data"]} == {0.25}
    assert {*(tmp_path / "collects").read_text().split()} == {str(collects)}


def test_what_would_profile_nothing_is_refused(tmp_path: Path) -> None:
    done = run("--benchmark-cprofile=cumtime", f"--store-dir={tmp_path}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--benchmark-cprofile: rounds of several rows take turns" in done.stdout


@pytest.mark.parametrize(
    ("which", "passes"),
    [("{1}", [4]), ("{7}", [4]), ("{1, 2}", [3]), ("{1, 2, 3}", []), ("range(7, 999)", [1, 2, 3])],
)
def test_a_pass_that_is_not_cold_is_left_out_and_the_others_stay(
    tmp_path: Path, which: str, passes: list[int]
) -> None:
    (tmp_path / "warmer.py").write_text(NOT_COLD.format(which=which))
    done = run(
        *("-p", "warmer", f"--store-dir={tmp_path}", "--backend=hdf5", "--cache=cold"),
        *("-k", "read_many", f"--benchmark-json={tmp_path / 'run.json'}"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert (" 1 passed" if passes else " 1 skipped") in done.stdout
    assert ("not measured: some of the store" in done.stdout) == (not passes)
    if passes:
        (rounds,) = sweeps_in(saved_run(tmp_path / "run.json")).values()
        assert len(rounds) in passes


@pytest.mark.parametrize("stops", [(), ("-x",), ("--maxfail=1",)])
def test_a_row_that_fails_in_a_later_sweep_fails_once_and_is_not_saved(
    tmp_path: Path, stops: tuple[str, ...]
) -> None:
    (tmp_path / "second.py").write_text(JOURNAL + IN_SECOND_SWEEP.format(what=FAIL))
    done = run(
        *("-p", "second", f"--store-dir={tmp_path}", f"--benchmark-json={tmp_path / 'run.json'}"),
        *("--backend=hdf5,limit", "-k", "read_single or read_many", *stops),
        plugins=tmp_path,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert " 1 failed, 3 passed" in done.stdout
    assert done.stdout.count("FAILED ") == 1
    order = (tmp_path / "order").read_text().split()
    assert order.count("test_read_many[hdf5-n=10]") == 2
    sweeps = sweeps_in(saved_run(tmp_path / "run.json"))
    assert [*sweeps] == [
        "test_read_single[hdf5-n=10]",
        "test_read_single[limit-n=10]",
        "test_read_many[limit-n=10]",
    ]
    singles = [len(rounds) for name, rounds in sweeps.items() if "single" in name]
    assert singles == ([2, 2] if stops else [5, 5])


def test_an_interrupted_run_keeps_the_sweeps_that_are_complete(tmp_path: Path) -> None:
    (tmp_path / "stalling.py").write_text(IN_SECOND_SWEEP.format(what=STALL))
    code, output = interrupted_run(
        tmp_path,
        signal.SIGINT,
        os.kill,
        *("-p", "stalling", f"--benchmark-json={tmp_path / 'run.json'}"),
        *("--backend=hdf5,limit", "-k", "read_single or read_many"),
    )
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert "4 passed" in output
    sweeps = sweeps_in(saved_run(tmp_path / "run.json"))
    assert len(sweeps) == 4
    assert len(sweeps["test_read_many[hdf5-n=10]"]) == 1
    assert len(sweeps["test_read_single[hdf5-n=10]"]) == 2
    assert [*tmp_path.glob("image-stores-*")] == []


XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed")


@pytest.mark.parametrize(
    "argument", ["--benchmark-disable", pytest.param("-n2", marks=XDIST), "--sweeps=1"]
)
def test_where_nothing_is_compared_there_is_one_sweep(tmp_path: Path, argument: str) -> None:
    (tmp_path / "journal.py").write_text(JOURNAL)
    done = run(
        *("-p", "journal", argument, f"--store-dir={tmp_path}", "--ignore=benchmarks/tests"),
        *("--backend=hdf5,limit", "-k", "read_single or read_many"),
        plugins=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " 4 passed" in done.stdout
    assert not re.search(r"^sweep", done.stdout, re.MULTILINE)
    assert len((tmp_path / "order").read_text().split()) == 4


def test_a_benchmark_is_listed_once(tmp_path: Path) -> None:
    done = run("--collect-only", "-q", "--backend=hdf5", "-k", "read_many")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("test_read_many[hdf5-n=10]") == 1


def test_a_second_copy_of_a_row_takes_part_in_everything(tmp_path: Path) -> None:
    done = run(
        *("--backend=hdf5", "--twin=hdf5", f"--store-dir={tmp_path}", "--sweeps=2"),
        *("-k", "(store_many or read_many or read_batch)"),
        f"--benchmark-json={tmp_path / 'run.json'}",
    )
    assert done.returncode == 0, done.stdout
    assert names_in(saved_run(tmp_path / "run.json")) == [
        f"test_{operation}[{row}-n=10]"
        for operation in ("store_many", "read_batch", "read_many")
        for row in ("hdf5", "hdf5-twin")
    ]
    assert not re.search("hdf5-twin at n=", done.stdout)  # it does not compete
