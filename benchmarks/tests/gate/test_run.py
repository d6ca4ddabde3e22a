"""The gate from end to end, in throw-away repositories."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from benchmarks.gate import __main__ as gate
from benchmarks.gate import decide, options
from benchmarks.gate.decide import Verdict
from benchmarks.gate.judge import MeasuredPair
from benchmarks.gate.pairs import ProcessPairs
from benchmarks.gate.process import Side
from benchmarks.harness.interruption import EXIT_CODE, SIGNALS
from benchmarks.tests.repositories import (
    append_to_storage,
    commit,
    git,
    make_repository,
    make_slower,
)
from benchmarks.tests.runs import (
    COLUMNS,
    REPOSITORY,
    SECONDS,
    environment,
    skip_if_ignored,
    too_wide,
)
from benchmarks.tests.saved import bench
from storage import STORES

BRIEF = ("--dataset=standin", "--backend=hdf5", "--cutoff=3", "--pairs=5")
ONE = ("-k", "read_single")
NAME = "test_read_single[hdf5-n=3]"
INJECTED = ("--self-check", "--inject=300%", "--into=read_single")

BROKEN = """

def broken(store, image_id):
    raise ValueError("broken")


Hdf5Store.read_single = broken
"""
DIES = """

import atexit, os, signal, sys
if "pytest" in sys.modules:
    atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
"""
FULL = """

def full(store, images, labels):
    raise DiskFullError("no space")


from ._errors import DiskFullError
Hdf5Store.store_many = full
"""
"""Put at the end of the storage library."""
SIGNALLED_AT_THE_END = """
import os, signal
from benchmarks.harness.interruption import exit_interrupted, heed_termination

class Late:
    def __del__(self, kill=os.kill, here=os.getpid(), number=signal.SIGTERM):
        kill(here, number)

heed_termination()
late = Late()  # goes when the module does
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    exit_interrupted()
"""
SIGNALLED_IN_REMOVAL = """
import os, signal, sys
from pathlib import Path
from benchmarks.harness.interruption import heed_termination, temporary_directory

heed_termination()
rmdir = os.rmdir

def signalled(*arguments, **more):
    os.kill(os.getpid(), signal.SIGTERM)
    return rmdir(*arguments, **more)

try:
    with temporary_directory("made-", Path(sys.argv[1])) as folder:
        (folder / "deep" / "down").mkdir(parents=True)
        os.rmdir = signalled
except KeyboardInterrupt:
    print("interrupted")
"""
WITHOUT = "\ndel STORES[{!r}]\n"
"""Appended to the storage library too; removes a store from it."""


@dataclass(frozen=True)
class GatePlace:
    """A repository, and directories for the gate's temporary and saved files."""

    repository: Path
    temporary: Path
    stores: Path
    saved: Path
    summary: Path
    brief: tuple[str, ...] = BRIEF

    def arguments(self, *more: str) -> list[str]:
        return [*self.brief, f"--store-dir={self.stores}", f"--save={self.saved}", *more]

    def saved_runs(self) -> dict[str, Any]:
        """The saved runs, by side."""
        return {path.stem[-4:]: json.loads(path.read_text()) for path in self.saved.iterdir()}

    def assert_cleared_up(self) -> None:
        assert [*self.stores.iterdir()] == []
        assert [*self.temporary.iterdir()] == []
        assert git(self.repository, "worktree", "list").count("\n") == 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatePlace]:
    made = GatePlace(
        repository=make_repository(tmp_path / "repository"),
        temporary=tmp_path / "temporary",
        stores=tmp_path / "stores",
        saved=tmp_path / "saved",
        summary=tmp_path / "summary.md",
    )
    made.temporary.mkdir()
    made.stores.mkdir()
    monkeypatch.setattr("benchmarks.gate.run.REPOSITORY", made.repository)
    monkeypatch.setattr(tempfile, "tempdir", str(made.temporary))
    # What is looked for here cannot be missed.
    monkeypatch.setattr(decide, "TO_SPARE", 0)
    monkeypatch.setattr(decide, "FAMILY_ERROR", 0.05)
    monkeypatch.setattr(decide, "MOST_PAIRS", 5)
    monkeypatch.setenv(gate.STEP_SUMMARY, str(made.summary))
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield made
    for number, handler in handlers.items():
        signal.signal(number, handler)
    made.assert_cleared_up()


@pytest.fixture
def one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first pair of processes is started, and counts as all: for what a verdict leads to."""
    measure = ProcessPairs.measure
    kept: dict[tuple[str, ...], list[MeasuredPair]] = {}

    def measure_once(pairs: ProcessPairs, names: Sequence[str]) -> list[MeasuredPair]:
        if (*names,) not in kept:
            kept[(*names,)] = [*measure(pairs, names)]
        return kept[(*names,)]

    monkeypatch.setattr(ProcessPairs, "measure", measure_once)


@pytest.fixture
def slower_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started, and the head took twice as long: for how a verdict is told and kept."""

    def measure(_: ProcessPairs, names: Sequence[str]) -> Iterator[MeasuredPair]:
        for name in names:
            base, head = (bench("read_single", "hdf5", 3, 10.0 * times) for times in (1, 2))
            yield MeasuredPair(name, base, head)

    monkeypatch.setattr("benchmarks.gate.run.list_stores", lambda *_: [*STORES])
    monkeypatch.setattr("benchmarks.gate.run.list_benchmarks", lambda *_: [NAME])
    monkeypatch.setattr(ProcessPairs, "names", lambda _: {side: [NAME] for side in Side})
    monkeypatch.setattr(ProcessPairs, "measure", measure)


@pytest.fixture
def level_pair(one_pair: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and both sides took equally long, so that the verdict is known."""
    monkeypatch.setattr(MeasuredPair, "medians", (1.0, 1.0))


def test_a_working_tree_with_a_slower_store_is_told_from_its_parent(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    make_slower(place.repository)
    requirements = place.repository / "requirements.txt"
    requirements.write_text(requirements.read_text().replace("lmdb>=3.0", "lmdb>=2.0"))
    assert gate.main(place.arguments("--base=main", *ONE)) == 1
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert lines[0].startswith("REGRESSED: 1 of 1 benchmarks slower than main (")
    assert lines[1].split()[0] == "benchmark"
    assert re.match(r"read_single\[hdf5-n=3\] .* ×[\d.]+ .* regressed$", lines[2])
    assert "uncommitted changes: requirements.txt, storage/__init__.py." in " ".join(lines)
    assert "requirements.txt differs (lmdb: >=3.0,<4 → >=2.0,<4); both sides" in " ".join(lines)
    assert too_wide(output) == []
    saved = place.saved_runs()
    (base,), (head,) = (saved[side]["benchmarks"] for side in ("base", "head"))
    assert base["name"] == head["name"] == NAME
    assert head["stats"]["median"] > base["stats"]["median"]
    assert head["extra_info"]["gate"]["verdict"] == Verdict.REGRESSED
    assert head["stats"]["rounds"] == 5 + 5 == len(head["extra_info"]["processes"])
    assert saved["base"]["machine_info"]["durability"] == "buffered"
    assert saved["head"]["commit_info"]["id"].endswith("-dirty")
    summary = place.summary.read_text()
    assert summary.startswith("### Regression gate: regressed")
    assert "| `read_single[hdf5-n=3]` |" in summary
    compared = compare(place)
    assert compared.count(NAME) == 2


@pytest.mark.usefixtures("one_pair")
def test_a_base_whose_benchmarks_lie_elsewhere_is_compared_by_their_names(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    """As those of commits from before the benchmarks had a folder of their own."""
    conftest = place.repository / "conftest.py"
    was = conftest.read_text()
    for name in ("test_read.py", "test_store.py"):
        git(place.repository, "mv", f"benchmarks/operations/{name}", "benchmarks")
    now = was.replace('/ "benchmarks" / "operations"', '/ "benchmarks"')
    conftest.write_text(now.replace('"benchmarks.operations."', '"benchmarks."'))
    with (place.repository / "benchmarks" / "test_read.py").open("a") as module:
        module.write("\n\ntest_read_single_gone = test_read_single\n")
    base = commit(place.repository)
    git(place.repository, "revert", "--no-edit", base)
    make_slower(place.repository)
    assert gate.main(place.arguments("--base=HEAD~", "--expect=gone", *ONE)) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert output.startswith("REGRESSED: 1 of 1 benchmarks slower than HEAD~ (")
    assert "missing on one side: test_read_single_gone[hdf5-n=3]." in output


def compare(place: GatePlace) -> str:
    """The output of `pytest-benchmark compare` for the saved runs."""
    program = Path(sysconfig.get_path("scripts"), "pytest-benchmark")
    return subprocess.run(  # installed with the suite
        [program, "compare", *place.saved.iterdir(), "--columns=median,iqr,rounds"],
        cwd=place.repository,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
    ).stdout


@pytest.mark.usefixtures("one_pair")
def test_its_parent_passes_against_it_and_is_told_to_be_faster(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    make_slower(place.repository)
    slow = commit(place.repository)
    git(place.repository, "checkout", "--quiet", "HEAD^", "--", "storage")
    commit(place.repository)
    assert gate.main(place.arguments("--base=HEAD^", *ONE, "--pairs=7")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"PASS: none of 1 benchmarks was shown to be slower than HEAD^ ({slow[:12]})"
    )
    assert "1 faster" in lines[0] + lines[1]
    assert any(line.endswith("improved") for line in lines)


@pytest.mark.usefixtures("one_pair")
def test_an_injected_slow_down_is_found_where_it_was_put(
    place: GatePlace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-16")  # of what the gate starts
    code = gate.main(place.arguments(*INJECTED, "-k", "read_single or read_many"))
    assert code == 1
    rows = [line for line in capsys.readouterr().out.splitlines() if line.endswith("regressed")]
    assert any(row.startswith("read_single[hdf5-n=3]") for row in rows)
    (found,) = (
        bench["extra_info"]["gate"]
        for bench in place.saved_runs()["head"]["benchmarks"]
        if bench["name"] == NAME
    )
    assert found["ratio"] > 2
    saved = place.saved_runs()["head"]
    assert saved["machine_info"]["gate_injection"] == "300% into read_single"
    assert saved["machine_info"]["gate_cores"] == "one at a time"
    assert "images_per_second" not in saved["benchmarks"][0]["extra_info"]


@pytest.mark.usefixtures("slower_head")
def test_a_verdict_is_told_on_a_terminal_that_has_few_characters(
    place: GatePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.repository / "storage" / os.fsdecode(b"odd-\xff.py")).touch()  # named in the notes
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    assert gate.main(place.arguments(*INJECTED, *ONE)) == 1
    lines = printed.getvalue().decode().splitlines()
    assert lines[0].startswith("REGRESSED: 1 of 1 benchmarks slower than itself")
    assert re.match(r"read_single\[hdf5-n=3\] .* [mu]s .* x[\d.]+ .* regressed$", lines[2])
    assert "storage/odd-" in " ".join(lines)
    assert "| `read_single[hdf5-n=3]` |" in place.summary.read_text(encoding="utf-8")


@pytest.mark.usefixtures("slower_head")
def test_a_verdict_stands_although_nobody_takes_it(
    place: GatePlace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert gate.main(place.arguments(*INJECTED, *ONE)) == 1
    assert "standard output: No space left on device" in capsys.readouterr().err
    assert place.summary.read_text().startswith("### Regression gate: regressed")


# ---- what is invalid ---------------------------------------------------------------------------


def assert_invalid(
    place: GatePlace, capsys: pytest.CaptureFixture[str], *arguments: str, said: str
) -> None:
    """The gate ends with one line, in the terminal and on GitHub, and keeps nothing."""
    assert gate.main(place.arguments(*arguments)) == 2
    output = " ".join(capsys.readouterr().out.split())
    assert output.startswith("INVALID: ")
    assert re.search(said, output), output
    assert "Traceback" not in output
    assert "regression gate: invalid" in place.summary.read_text().lower()
    assert not place.saved.exists()


def test_a_base_that_does_not_exist(place: GatePlace, capsys: pytest.CaptureFixture[str]) -> None:
    assert_invalid(place, capsys, "--base=nowhere", said="there is no commit 'nowhere' here; fetch")


def test_a_base_without_benchmarks(place: GatePlace, capsys: pytest.CaptureFixture[str]) -> None:
    git(place.repository, "rm", "-r", "--quiet", "--cached", "benchmarks")
    git(place.repository, "commit", "--quiet", "-m", "none")
    assert_invalid(place, capsys, "--base=HEAD", said=r"HEAD \(\w+\) has no benchmarks/")


def test_the_working_tree_s_own_commit(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    said = r"main \(\w+\) is the commit of the working tree, .* --self-check"
    assert_invalid(place, capsys, "--base=main", *ONE, said=said)


def test_a_renamed_benchmark(place: GatePlace, capsys: pytest.CaptureFixture[str]) -> None:
    module = place.repository / "benchmarks" / "operations" / "test_read.py"
    module.write_text(module.read_text().replace("def test_read_single", "def test_read_many_one"))
    chosen = ("--base=HEAD", "-k", "read_single or read_many_one")
    said = r"the head has no test_read_single\[hdf5-n=3\]; .* --expect"
    assert_invalid(place, capsys, *chosen, said=said)


def test_a_benchmark_that_fails_on_one_side(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    append_to_storage(place.repository, BROKEN)
    said = r"test_read_single\[hdf5-n=3\] fails on the head: .*ValueError: broken"
    assert_invalid(place, capsys, "--base=HEAD", *ONE, said=said)


def test_a_process_that_dies_when_it_should_end(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    append_to_storage(place.repository, DIES)
    said = "the head cannot be measured: it was ended by SIGSEGV"
    assert_invalid(place, capsys, "--base=HEAD", *ONE, said=said)


@pytest.mark.usefixtures("level_pair")
def test_a_warning_of_the_storage_is_not_taken_for_a_store(place: GatePlace) -> None:
    append_to_storage(place.repository, 'import sys; print("a warning", file=sys.stderr)\n')
    assert gate.main(place.arguments("--self-check", *ONE)) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-k", "nonsense"), "no benchmark is left"),
        (("-k", "read_single", "--inject=10%", "--into=write"), "--into: no benchmark has 'write'"),
        (("-k", "read_single and"), "cannot be measured: .*-k"),
        (("--dataset=missing",), "--dataset: missing: no such data set"),
        (("--dataset=~nosuch/x",), "--dataset: ~nosuch/x: no such user"),
    ],
)
def test_a_choice_that_leaves_nothing_to_say(
    place: GatePlace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert_invalid(place, capsys, "--self-check", *arguments, said=said)


def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")


def test_a_disk_that_is_full_before_anything_is_measured(
    place: GatePlace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.gate.run.write_sample", full)  # when the trees are there
    assert_invalid(place, capsys, "--self-check", said="No space left on device: 'file'")


def test_a_disk_that_is_full_when_a_store_is_made(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    append_to_storage(place.repository, FULL)
    said = r"test_read_single\[hdf5-n=3\] fails on the (base|head): .*the disk is full"
    assert_invalid(place, capsys, "--self-check", *ONE, said=said)


@pytest.mark.usefixtures("slower_head")
def test_a_disk_that_is_full_at_the_end_hides_no_verdict(
    place: GatePlace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_slower(place.repository)
    write = Path.write_text

    def half(path: Path, text: str) -> int:
        write(path, text[: len(text) // 2])
        return full() if path.parent == place.saved and "head" in path.name else len(text)

    monkeypatch.setattr(Path, "write_text", half)
    monkeypatch.setenv(gate.STEP_SUMMARY, str(place.saved))  # a directory
    assert gate.main(place.arguments("--base=main", *ONE)) == 1
    said = capsys.readouterr()
    assert said.out.startswith("REGRESSED: ")
    assert "nothing is kept: [Errno 28] No space left on device" in " ".join(said.out.split())
    assert said.err.splitlines()[-1].startswith(f"{gate.STEP_SUMMARY}: [Errno 21] Is a directory")
    assert [*place.saved.iterdir()] == []


def test_a_defect_of_the_gate_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "main", lambda: [][0])
    assert gate.run() == 2
    assert "IndexError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one of the arguments --base --self-check is required"),
        (("--base=main", "--self-check"), "not allowed with"),
        (("--self-check", "--backend=zarr"), "--backend: there is no 'zarr'"),
        (("--self-check", "--cutoff=0"), "--cutoff: '0' is not a number of images"),
        (("--self-check", "--store-dir=nowhere"), "is not a directory"),
        (("--self-check", "--pairs=4"), "--pairs: 4; fewer than 5 show nothing"),
        (
            ("--self-check", "--backend=png,limit,article-png"),
            "the code of limit, article-png is the working tree's on both sides",
        ),
        (("--self-check", "--inject=fast"), "give a percentage above 0, such as 15%"),
        (("--self-check", "--inject=-5%"), "give a percentage above 0, such as 15%"),
        (("--self-check", "--into=read"), "--into: give --inject, too"),
        (("--self-check", "--inject=5%", "--into="), "argument --into: '' names nothing"),
        (("--self-check", "--expect="), "argument --expect: '' names nothing"),
        (("--self-check", "--save="), "argument --save: '' names nothing"),
        (("--self-check", "--store-dir="), "--store-dir: '' names no directory"),
        (("--self-check", "--store-dir=~nosuch/x"), "--store-dir: ~nosuch/x: "),
        (("--self-check", "--dataset="), "--dataset: '' names no data set"),
    ],
)
def test_a_wrong_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        gate.main([*arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_keyword_that_rules_the_loader_out_needs_no_pytorch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.harness.loader.find_spec", lambda _: None)
    assert options.parse(["--self-check", "-k", "not loader"]).keyword == "not loader"


def test_the_loader_is_refused_where_pytorch_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.loader.find_spec", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        gate.main(["--self-check", "-k", "loader and hdf5"])
    assert ended.value.code == 2
    assert "-k: loader needs PyTorch, which is not installed" in capsys.readouterr().err


# ---- stores that only one side has ---------------------------------------------------------------


def of_all_stores(place: GatePlace) -> GatePlace:
    """The same, without the choice of a store."""
    return replace(place, brief=tuple(word for word in BRIEF if "--backend" not in word))


def measured(place: GatePlace) -> set[str]:
    return {bench["name"] for bench in place.saved_runs()["head"]["benchmarks"]}


@pytest.mark.usefixtures("level_pair")
def test_a_store_that_was_removed_is_missing_as_expected(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    place = of_all_stores(place)
    append_to_storage(place.repository, WITHOUT.format("png"))
    chosen = ("--base=main", "--expect=png", "-k", "read_single and not lmdb")
    assert gate.main(place.arguments(*chosen)) == 0
    assert measured(place) == {NAME}
    said = "Left out, as expected, for missing on one side: test_read_single[png-n=3]."
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("level_pair")
def test_a_store_that_was_added_is_missing_in_the_base(
    place: GatePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    append_to_storage(place.repository, WITHOUT.format("npy"))
    commit(place.repository)
    git(place.repository, "checkout", "--quiet", "HEAD^", "--", "storage")
    chosen = ("--base=main", "--backend=hdf5,npy", *ONE)
    said = r"the base has no test_read_single\[npy-n=3\]; .* --expect"
    assert_invalid(place, capsys, *chosen, said=said)
    assert gate.main(place.arguments(*chosen, "--expect=npy")) == 0
    assert measured(place) == {NAME}


# ---- interruption ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "seconds"),
    [(signal.SIGINT, 0.0), (signal.SIGHUP, 0.1)],
)
def test_an_interrupted_gate_removes_its_trees_stores_and_processes(
    place: GatePlace, how: signal.Signals, seconds: float
) -> None:
    command = [sys.executable, "-m", "benchmarks.gate", *place.arguments("--self-check", *ONE)]
    with subprocess.Popen(  # our own command
        [*command, "--pairs=50"],
        cwd=place.repository,
        env=environment() | {"TMPDIR": str(place.temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_for_stores(place.stores, process)
            process.send_signal(how)
            time.sleep(seconds)  # and another signal, while it clears up
            process.send_signal(signal.SIGTERM)
            output = process.communicate(timeout=SECONDS)[0]
        finally:
            process.kill()
    assert process.returncode == EXIT_CODE
    assert output.splitlines()[-1].startswith("interrupted: nothing was judged")
    assert "Traceback" not in output
    assert still_running_below(place.temporary) == []
    assert not place.saved.exists()


def test_a_signal_while_a_directory_is_removed_counts_afterwards(tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    command = [sys.executable, "-c", SIGNALLED_IN_REMOVAL, str(tmp_path / "within")]
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert done.stdout == "interrupted\n", done.stderr
    assert [*(tmp_path / "within").iterdir()] == []


def test_a_signal_as_python_ends_does_not_change_the_exit_code() -> None:
    skip_if_ignored(*SIGNALS)
    command = [sys.executable, "-c", SIGNALLED_AT_THE_END]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == EXIT_CODE


def wait_for_stores(stores: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a process of the gate has made a store."""
    for _ in range(100 * SECONDS):
        with suppress(FileNotFoundError):  # a store may be removed during the search
            if [*stores.glob("*/*/*")]:
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    raise AssertionError("the gate measured nothing")


def still_running_below(folder: Path) -> list[int]:
    """Processes that work in a directory below `folder`, which may be gone."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = str(link.readlink())
        except OSError:  # another user's, or ended just now
            continue
        if where.startswith(str(folder)):
            found.append(int(link.parent.name))
    return found


def test_lines_are_as_wide_as_a_terminal_of_the_suite() -> None:
    assert gate.COLUMNS == COLUMNS
