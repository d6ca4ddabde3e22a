"""The table of what the tutorial's way loses: what counts as what, and that all trials are made."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from benchmarks.contenders.article import ARTICLE, Article
from benchmarks.contenders.base import Shape
from benchmarks.tests.contenders.test_contenders import IMAGES, LABELS
from benchmarks.tests.runs import COLUMNS as WIDTH
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment, skip_if_ignored
from benchmarks.tools import article_faults
from benchmarks.tools.article_faults import (
    AFTER_DAMAGE,
    AFTER_KILL,
    COLUMNS,
    FAULTS,
    READ_SECONDS,
    SPARE_MEMORY,
    Corruption,
    Data,
    Subject,
    after_damage,
    after_kill,
    cut,
    damages,
    data_files,
    flip_a_bit,
    is_killed_storing_again,
    kills,
    row,
    table,
)

OLD: Data = (IMAGES, LABELS)
NEW: Data = (255 - IMAGES, LABELS[::-1].copy())
PNG, LMDB, HDF5 = ARTICLE

each_way = pytest.mark.parametrize("way", ARTICLE, ids=lambda way: way.name)
each_change = pytest.mark.parametrize("change", [flip_a_bit, cut])


def stored(way: Article, folder: Path) -> Subject:
    subject = Subject(way, folder / "store", OLD, NEW)
    subject.make()
    return subject


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in data_files(store)}


# ---- what counts as what ---------------------------------------------------------------------


@each_way
def test_a_store_that_nothing_happened_to_is_old_and_right(way: Article, tmp_path: Path) -> None:
    subject = stored(way, tmp_path)
    assert after_kill(subject) == "old"
    assert after_damage(subject) == "right"


@each_way
def test_a_store_that_was_stored_again_is_new_and_not_what_it_was(
    way: Article, tmp_path: Path
) -> None:
    subject = stored(way, tmp_path)
    way.many(subject.path, *NEW)
    assert after_kill(subject) == "new"
    assert after_damage(subject) == "wrong"


@each_way
def test_without_its_data_a_store_is_lost(way: Article, tmp_path: Path) -> None:
    subject = stored(way, tmp_path)
    data_files(subject.path)[0].unlink()
    assert after_kill(subject) == "lost"
    assert after_damage(subject) == "error"


def test_two_images_in_each_others_place_are_silently_wrong(tmp_path: Path) -> None:
    subject = stored(PNG, tmp_path)
    first, second = subject.path / "0.png", subject.path / "1.png"
    aside = first.rename(tmp_path / "aside")
    second.rename(first)
    aside.rename(second)
    assert after_kill(subject) == "mixed"
    assert after_damage(subject) == "wrong"


@pytest.mark.parametrize("labels", [LABELS[:-1], LABELS + 1, LABELS[:0]])
def test_right_images_with_other_labels_are_silently_wrong(
    labels: np.ndarray[tuple[int], np.dtype[np.int64]], tmp_path: Path
) -> None:
    subject = stored(replace(PNG, all=lambda _path, _shape: (IMAGES, labels)), tmp_path)
    assert after_kill(subject) == "mixed"
    assert after_damage(subject) == "wrong"


def reader(read: Callable[[], object]) -> Article:
    """A way whose reading does something else first."""

    def read_all(path: Path, shape: Shape) -> Data:
        read()
        return PNG.all(path, shape)

    return replace(PNG, all=read_all)


def leave() -> NoReturn:
    sys.exit(0)


@pytest.mark.parametrize("end", [os.abort, lambda: os.kill(os.getpid(), signal.SIGSEGV), leave])
def test_a_process_that_ends_without_an_answer_has_died(
    end: Callable[[], object], tmp_path: Path
) -> None:
    subject = stored(reader(end), tmp_path)
    assert after_kill(subject) == "died"
    assert after_damage(subject) == "died"


def test_a_process_that_takes_too_long_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(article_faults, "READ_SECONDS", 1)
    assert after_damage(stored(reader(lambda: time.sleep(SECONDS)), tmp_path)) == "died"


def test_reading_may_take_little_memory_and_time_and_leaves_no_core(tmp_path: Path) -> None:
    def look() -> None:
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        assert resource.getrlimit(resource.RLIMIT_CPU) == (READ_SECONDS, READ_SECONDS)
        with pytest.raises(MemoryError):
            np.empty(2 * SPARE_MEMORY, np.uint8)

    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
    assert after_damage(stored(reader(look), tmp_path)) == "right"
    assert [
        resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)
    ] == before


# ---- faults ----------------------------------------------------------------------------------


def writer(write: Callable[[], object]) -> Article:
    """A way whose storing does something else last."""

    def store_all(*args: object) -> None:
        PNG.many(*args)  # type: ignore[arg-type]  # handed on as they are
        write()

    return replace(PNG, many=store_all)


def test_storing_is_broken_off_where_it_is(tmp_path: Path) -> None:
    subject = stored(PNG, tmp_path)
    slow = subject._replace(way=writer(lambda: time.sleep(SECONDS)))
    assert is_killed_storing_again(slow, 1.0)


@each_way
def test_storing_that_ends_before_its_time_is_not_broken_off(way: Article, tmp_path: Path) -> None:
    subject = stored(way, tmp_path)
    assert not is_killed_storing_again(subject, SECONDS)
    assert after_kill(subject) == "new"


def test_storing_that_fails_is_no_trial(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> NoReturn:
        raise OSError("no room")

    subject = stored(PNG, tmp_path)._replace(way=writer(fail))
    with pytest.raises(ChildProcessError, match="article-png: storing ended with 1"):
        is_killed_storing_again(subject, SECONDS)
    assert capfd.readouterr().err.splitlines() == ["error: no room"]


@each_way
def test_each_kill_has_an_outcome_and_leaves_no_store(way: Article, tmp_path: Path) -> None:
    outcomes = [*kills(Subject(way, tmp_path / "store", OLD, NEW), 3)]
    assert len(outcomes) == 3
    assert {*outcomes} <= {*AFTER_KILL}
    assert not [*tmp_path.iterdir()]


@each_way
def test_one_bit_of_all_data_is_flipped(way: Article, tmp_path: Path) -> None:
    subject = stored(way, tmp_path)
    before = contents(subject.path)
    for trial in range(20):
        changed = flip_a_bit(data_files(subject.path), np.random.default_rng(trial))
        after = contents(subject.path)
        assert [name for name in before if before[name] != after[name]] == [changed.name]
        bits = int.from_bytes(before[changed.name]) ^ int.from_bytes(after[changed.name])
        assert len(before[changed.name]) == len(after[changed.name])
        assert bits.bit_count() == 1
        changed.write_bytes(before[changed.name])


class Draw:
    """A generator that draws what it is told to."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = [*numbers]

    def integers(self, stop: int) -> int:
        number = self._numbers.pop(0)
        assert 0 <= number < stop
        return number


def test_first_and_last_byte_of_each_file_can_be_hit(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for at, expected in enumerate([b"\x01..", b".\x01.", b"..\x01"]):
        for file, data in zip(files, [b"\0", b"", b"\0\0"], strict=True):
            file.write_bytes(data)
        flip_a_bit(files, Draw(at, 0))  # type: ignore[arg-type]  # all of it that is called
        found = b"".join(file.read_bytes() for file in files)
        assert found == expected.replace(b".", b"\0")


@each_way
def test_one_file_is_cut_short(way: Article, tmp_path: Path) -> None:
    subject = stored(way, tmp_path)
    before = contents(subject.path)
    for trial in range(20):
        changed = cut(data_files(subject.path), np.random.default_rng(trial))
        after = contents(subject.path)
        assert [name for name in before if before[name] != after[name]] == [changed.name]
        assert before[changed.name].startswith(after[changed.name])
        changed.write_bytes(before[changed.name])


def test_a_table_of_locks_is_no_data(tmp_path: Path) -> None:
    subject = stored(LMDB, tmp_path)
    assert (subject.path / "lock.mdb").exists()
    assert [*contents(subject.path)] == ["data.mdb"]


@each_way
@each_change
def test_each_change_is_made_to_a_whole_store(
    change: Corruption, way: Article, tmp_path: Path
) -> None:
    seen = []

    def watched(files: list[Path], random: np.random.Generator) -> Path:
        seen.append({file.name: file.read_bytes() for file in files})
        return change(files, random)

    outcomes = [*damages(watched, Subject(way, tmp_path / "store", OLD, NEW), 6)]
    assert len(outcomes) == 6
    assert {*outcomes} <= {*AFTER_DAMAGE}
    assert all(files == seen[0] for files in seen)
    assert not [*tmp_path.iterdir()]


@each_change
def test_a_trials_number_says_what_is_changed(change: Corruption, tmp_path: Path) -> None:
    subject = stored(PNG, tmp_path)
    results = []
    for _ in range(2):
        change(data_files(subject.path), np.random.default_rng(417))
        results.append(contents(subject.path))
        shutil.rmtree(subject.path)
        subject.make()
    assert results[0] == results[1]
    assert results[0] != contents(subject.path)


# ---- the table -------------------------------------------------------------------------------


def test_what_cannot_come_of_a_fault_is_blank() -> None:
    killed = row("kill", "article-png", {"old": 1, "mixed": 1_234, "died": 2})
    flipped = row("bit flip", "article-hdf5", {"right": 7, "wrong": 3})
    assert killed.split() == ["kill", "article-png", "1,237", "1", "0", "0", "1,234", "2"]
    assert flipped.split() == ["bit", "flip", "article-hdf5", "10", "7", "0", "3", "0"]
    assert killed.endswith(f"{'2':>32}")


def test_every_fault_in_every_way_has_a_row_of_all_its_trials(tmp_path: Path) -> None:
    head, *rows = table(OLD, NEW, tmp_path, 2)
    assert head.split() == ["fault", "way", "trials", *COLUMNS]
    assert [line[:26].rstrip() for line in rows] == [
        f"{fault:12}{way.name}" for fault in FAULTS for way in ARTICLE
    ]
    for line in rows:
        trials, *counts = map(int, line[26:].split())
        assert trials == sum(counts) == 2
    assert max(map(len, [head, *rows])) <= WIDTH


# ---- the command -----------------------------------------------------------------------------


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tools.article_faults", *arguments],
        cwd=REPOSITORY,
        env=environment() | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_prints_the_table_and_leaves_nothing(tmp_path: Path) -> None:
    command = start(tmp_path, "--trials=1")
    output, said = command.communicate(timeout=SECONDS)
    assert (command.returncode, said) == (0, "")
    assert len(output.splitlines()) == 1 + len(FAULTS) * len(ARTICLE)
    assert not [*tmp_path.iterdir()]


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    skip_if_ignored(signal.SIGINT)
    with start(tmp_path, "--trials=1000000") as command:
        try:
            deadline = time.monotonic() + SECONDS
            while not [*tmp_path.glob("image-stores-*/store")]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            command.send_signal(signal.SIGINT)
            _, said = command.communicate(timeout=SECONDS)
        finally:
            command.kill()
    assert (command.returncode, said) == (130, "")
    assert not [*tmp_path.iterdir()]


def test_a_wrong_number_of_trials_is_one_line(tmp_path: Path) -> None:
    command = start(tmp_path, "--trials=0")
    _, said = command.communicate(timeout=SECONDS)
    assert command.returncode == 2
    assert said.splitlines()[-1].endswith("--trials: 0; give at least one")
    assert "Traceback" not in said
