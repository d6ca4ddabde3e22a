"""Reading processes: a team that agrees, and one that fails."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.workers import BatchIds, Team, Workers
from benchmarks.tests.contenders.test_contenders import IMAGES, LABELS
from storage import ImageIdError

STORE = STORE_ROWS["lmdb"]
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Limit the time, since a process that does not answer would block the tests forever."""

    def give_up(*_: object) -> None:
        raise TimeoutError("the processes do not answer")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    started = Workers()
    yield started
    started.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    STORE.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    return tmp_path / "store"


def batches(*ids: list[int]) -> BatchIds:
    return [np.array(batch) for batch in ids]


def read_round(team: Team, *work: BatchIds, keep: bool = False) -> None:
    """One round of a benchmark, checked: what each process kept is what it was asked for."""
    team.before(work, keep)
    team.read()
    for own, kept in zip(work, team.kept_batches(), strict=True):
        for ids, (images, labels) in zip(own if keep else own[-1:], kept, strict=True):
            np.testing.assert_array_equal(images, IMAGES[ids], strict=True)
            np.testing.assert_array_equal(labels, LABELS[ids], strict=True)
    team.after()


@pytest.mark.parametrize("cold", [False, True])
def test_two_processes_read_one_store_round_after_round(
    workers: Workers, path: Path, cold: bool
) -> None:
    with Team(workers, 2, STORE, path, cold) as team:
        read_round(team, batches([0, 1], [2, 2, 11]), batches([5], [4, 3]), keep=True)
        read_round(team, batches([7]), batches([11, 0], [0], [1]))


def test_processes_serve_one_team_after_the_other(workers: Workers, path: Path) -> None:
    first = workers.first(2)
    for size in (1, 2, 1):
        with Team(workers, size, STORE, path, cold=False) as team:
            read_round(team, *[batches([3, 1])] * size)
    assert workers.first(2) == first


def test_each_process_has_a_core_of_its_own_as_far_as_there_are_any(path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    size = len(cores) + 1
    others = set(multiprocessing.active_children())
    own = Workers()
    with Team(own, size, STORE, path, cold=False) as team:
        read_round(team, *[batches([1])] * size)
        started = set(multiprocessing.active_children()) - others
        found = [os.sched_getaffinity(cast(int, process.pid)) for process in started]
        assert own.in_starting_order(size)[-2:] == [own.first(size)[0], own.first(size)[-1]]
    own.close()
    assert sorted(os.sched_getaffinity(0)) == cores
    assert sorted(map(sorted, found)) == sorted([core] for core in (*cores, cores[0]))


def test_what_a_process_cannot_read_is_an_error_here_and_the_next_team_works(
    workers: Workers, path: Path
) -> None:
    beyond = len(IMAGES)

    def ask_for_too_much() -> None:
        with Team(workers, 2, STORE, path, cold=False) as team:
            read_round(team, batches([0]), batches([beyond]))

    with pytest.raises(ImageIdError, match=f"no image {beyond}"):
        ask_for_too_much()
    with Team(workers, 2, STORE, path, cold=False) as team:
        read_round(team, batches([0]), batches([beyond - 1]))


def test_a_cold_round_that_was_prepared_and_never_read_can_be_closed(
    workers: Workers, path: Path
) -> None:
    """This happens where the store turns out not to be cold, and the benchmark is skipped."""
    with Team(workers, 2, STORE, path, cold=True) as team:
        team.before([batches([0]), batches([1])], keep=False)
        team.after()
        read_round(team, batches([2]), batches([3]))


def test_an_interruption_ends_the_processes_whatever_they_are_doing(path: Path) -> None:
    own = Workers()
    others = set(multiprocessing.active_children())

    def interrupted() -> None:
        with Team(own, 1, STORE, path, cold=False) as team:
            team.before([batches([0])], keep=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(multiprocessing.active_children()) <= others


def test_an_interruption_while_they_read_ends_the_processes_without_a_word(
    path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Workers()
    others = set(multiprocessing.active_children())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupted() -> None:
        with Team(own, 1, STORE, path, cold=False) as team:
            team.before([batches([0] * 100_000)], keep=False)
            monkeypatch.setattr(team, "_all_say", interrupt)  # once all have been told to read
            team.read()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(multiprocessing.active_children()) <= others
    assert capfd.readouterr() == ("", "")


def test_closing_ends_the_processes_without_a_word(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    others = set(multiprocessing.active_children())
    own = Workers()
    with Team(own, 1, STORE, path, cold=False) as team:
        read_round(team, batches([1]))
    own.close()
    assert set(multiprocessing.active_children()) <= others
    assert capfd.readouterr() == ("", "")
