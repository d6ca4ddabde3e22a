"""The processes that the gate starts: what they import, why they end, what they lack."""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import ClassVar, Self

import pytest

from benchmarks.gate.channel import Channel, Message
from benchmarks.gate.errors import InvalidError
from benchmarks.gate.inject import slowed
from benchmarks.gate.pairs import ProcessPairs
from benchmarks.gate.process import Process, Side, compare_names
from benchmarks.gate.profile import Profile, choose_directory
from benchmarks.tests.repositories import append_to_storage, make_repository
from benchmarks.tests.runs import REPOSITORY

NAMES = ["test_a[png]", "test_b[png]", "test_b[zarr]"]


def names(base: list[str], head: list[str]) -> dict[Side, list[str]]:
    return {Side.BASE: base, Side.HEAD: head}


def test_what_both_sides_have_is_measured_in_the_head_s_order() -> None:
    assert compare_names([], names(NAMES[::-1], NAMES), []) == (NAMES, [])
    assert compare_names(NAMES, names(NAMES, NAMES), []) == (NAMES, [])


def test_a_benchmark_that_the_head_removed_or_renamed_is_missing() -> None:
    left = NAMES[1:]
    with pytest.raises(InvalidError, match=r"the head has no test_a\[png\]; .* --expect"):
        compare_names(NAMES, names(left, left), [])
    assert compare_names(NAMES, names(left, left), ["test_a"]) == (left, NAMES[:1])


def test_a_benchmark_that_the_base_s_stores_lack_is_missing() -> None:
    left = NAMES[:2]
    with pytest.raises(InvalidError, match=r"the base has no test_b\[zarr\]; "):
        compare_names(left, names(left, NAMES), ["test_a"])
    assert compare_names(left, names(left, NAMES), ["zarr"]) == (left, NAMES[2:])


def test_a_benchmark_that_the_head_added_is_measured() -> None:
    assert compare_names(NAMES[:2], names(NAMES, NAMES), []) == (NAMES, [])


def test_several_that_are_missing_are_counted() -> None:
    with pytest.raises(InvalidError, match=r"no test_a\[png\] and 2 more"):
        compare_names(NAMES, names([], []), [])


def test_nothing_to_measure_is_invalid() -> None:
    with pytest.raises(InvalidError, match="no benchmark is left"):
        compare_names([], names([], []), [])


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    channels = tuple(Channel(end) for end in socket.socketpair())
    yield channels[0], channels[1]
    for channel in channels:
        channel.close()


def test_messages_arrive_in_order_and_the_end_is_told(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    for message in ({"a": 1.5, "b": ["µ\n"]}, {}, {"path": Path("x")}):
        here.send(message)
    assert there.receive() == {"a": 1.5, "b": ["µ\n"]}
    assert there.receive() == {}
    assert there.receive() == {"path": "x"}
    here.close()
    with pytest.raises(EOFError):
        there.receive()


def test_injected_work_is_proportional_to_what_was_done() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1 / 128
        return now

    def run() -> str:
        nonlocal now
        now += 10.0
        return "result"

    assert slowed(run, 0.5, clock) == "result"
    assert now == pytest.approx(15.0, abs=0.1)


def test_a_ram_disk_without_room_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Path(gettempdir())
    assert choose_directory(("png",), (10**9,), 3072) == usual
    monkeypatch.setattr("benchmarks.gate.profile.RAM_DISK", Path("/nowhere"))
    assert choose_directory(("png",), (10,), 3072) == usual


# ---- real processes --------------------------------------------------------------------------


def profile(tmp_path: Path, keyword: str) -> Profile:
    (tmp_path / "stores").mkdir()
    return Profile(("hdf5",), (3,), keyword, Path("standin"), tmp_path / "stores")


def test_a_process_measures_what_it_is_told_with_the_stores_of_its_tree(tmp_path: Path) -> None:
    tree = make_repository(tmp_path / "tree")
    chosen = profile(tmp_path, "read_single or read_batch")
    with Process(Side.HEAD, tree, chosen, tmp_path / "log", None) as process:
        assert process.names() == ["test_read_batch[hdf5-n=3]", "test_read_single[hdf5-n=3]"]
        process.choose(["test_read_single[hdf5-n=3]"])
        turns = [process.take_turn()]
        while turns[-1] is None:
            turns.append(process.take_turn())
    assert len(turns) > 3, "rounds of 50 ms in turns of 5"
    measured = turns[-1]["benchmark"]
    assert measured["name"] == "test_read_single[hdf5-n=3]"
    assert measured["stats"]["median"] > 0
    assert measured["extra_info"]["durability"] == "buffered"
    assert [*(tmp_path / "stores").iterdir()] == []


def test_both_sides_of_a_pair_take_turns_on_one_core(tmp_path: Path) -> None:
    tree = make_repository(tmp_path / "tree")
    chosen = profile(tmp_path, "read_single")
    profiles = dict.fromkeys(Side, chosen)
    pairs = ProcessPairs(dict.fromkeys(Side, tree), profiles, tmp_path / "log", None, [])
    cores = os.sched_getaffinity(0)
    turns: list[Side] = []

    class Watched(Process):
        def take_turn(self) -> Message | None:
            turns.append(self.side)
            assert len(os.sched_getaffinity(0)) == 1
            assert os.sched_getaffinity(self._process.pid) == os.sched_getaffinity(0)
            return super().take_turn()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.gate.pairs.Process", Watched)
        (measured,) = pairs.measure(["test_read_single[hdf5-n=3]"])
    assert all(median > 0 for median in measured.medians)
    both = 2 * min(turns.count(side) for side in Side)
    assert both > 6
    assert turns[:both] == turns[:2] * (both // 2)
    assert os.sched_getaffinity(0) == cores


def test_a_side_that_dies_in_its_turn_is_a_line_and_ends_the_other(tmp_path: Path) -> None:
    tree = make_repository(tmp_path / "tree")
    profiles = dict.fromkeys(Side, profile(tmp_path, "read_single"))
    pairs = ProcessPairs(dict.fromkeys(Side, tree), profiles, tmp_path / "log", None, [])
    cores = os.sched_getaffinity(0)
    started: list[subprocess.Popen[bytes]] = []

    class Dying(Process):
        def take_turn(self) -> Message | None:
            started.append(self._process)
            if len(started) == 3:
                self._process.kill()
            return super().take_turn()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.gate.pairs.Process", Dying)
        with pytest.raises(InvalidError, match="cannot be measured: it was ended by SIGKILL"):
            [*pairs.measure(["test_read_single[hdf5-n=3]"])]
    assert len({*started}) == 2
    assert all(process.poll() is not None for process in started)
    assert os.sched_getaffinity(0) == cores


class Scripted:
    """A fake process with fixed outcomes of its turns."""

    outcomes: ClassVar[dict[Side, list[Message | None]]]

    def __init__(self, side: Side, *_: object) -> None:
        self._outcomes = iter(self.outcomes[side])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def names(self) -> list[str]:
        return []

    def choose(self, names: Sequence[str]) -> None: ...

    def take_turn(self) -> Message | None:
        return next(self._outcomes)

    def finish(self) -> None: ...


FINE: Message = {"benchmark": {"stats": {"median": 1.0}}}
FAILED: Message = {"problem": "ValueError: no"}


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessPairs:
    """Pairs of `Scripted`, where a failure of "expected" is expected."""
    monkeypatch.setattr("benchmarks.gate.pairs.Process", Scripted)
    chosen = dict.fromkeys(Side, profile(tmp_path, ""))
    return ProcessPairs(dict.fromkeys(Side, tmp_path), chosen, tmp_path / "log", None, ["expected"])


def test_a_side_that_needs_more_turns_than_the_other_gets_them(scripted: ProcessPairs) -> None:
    Scripted.outcomes = {Side.BASE: [FINE], Side.HEAD: [None, None, None, FINE]}
    (measured,) = scripted.measure(["test"])
    assert measured.medians == (1.0, 1.0)


def test_what_fails_on_the_base_as_expected_is_left_out(scripted: ProcessPairs) -> None:
    Scripted.outcomes = {Side.BASE: [None, FAILED, FINE], Side.HEAD: [FINE, FINE]}
    assert [one.name for one in scripted.measure(["expected", "other"])] == ["other"]
    assert scripted.left_out == {"expected": "ValueError: no"}


@pytest.mark.parametrize("side", Side)
def test_what_fails_unexpectedly_is_invalid(scripted: ProcessPairs, side: Side) -> None:
    Scripted.outcomes = {s: [FAILED if s is side else FINE] for s in Side}
    with pytest.raises(InvalidError, match=f"other fails on the {side}: ValueError: no"):
        [*scripted.measure(["other"])]


def test_what_fails_on_the_head_is_invalid_although_expected(scripted: ProcessPairs) -> None:
    Scripted.outcomes = {Side.BASE: [FAILED], Side.HEAD: [FAILED]}
    with pytest.raises(InvalidError, match="expected fails on the head"):
        [*scripted.measure(["expected"])]


def test_what_fails_after_it_was_measured_is_invalid_although_expected(
    scripted: ProcessPairs,
) -> None:
    Scripted.outcomes = {side: [FINE] for side in Side}
    assert len([*scripted.measure(["expected"])]) == 1
    Scripted.outcomes = {Side.BASE: [FAILED], Side.HEAD: [FINE]}
    with pytest.raises(InvalidError, match="expected fails on the base"):
        [*scripted.measure(["expected"])]


def test_a_tree_that_would_be_measured_with_another_s_stores_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_repository(tmp_path / "tree")
    (tree / "storage").rename(tree / "elsewhere")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with (
        Process(Side.BASE, tree, profile(tmp_path, ""), tmp_path / "log", None) as process,
        pytest.raises(InvalidError, match="the base was to be measured with its own storage/"),
    ):
        process.names()


def test_stores_too_old_for_the_benchmarks_are_a_line(tmp_path: Path) -> None:
    tree = make_repository(tmp_path / "tree")
    append_to_storage(tree, "\ndel disk_usage\n")
    with (
        Process(Side.BASE, tree, profile(tmp_path, ""), tmp_path / "log", None) as process,
        pytest.raises(
            InvalidError, match=r"the base cannot be measured: .*cannot import"
        ) as refused,
    ):
        process.names()
    assert "\n" not in str(refused.value)
