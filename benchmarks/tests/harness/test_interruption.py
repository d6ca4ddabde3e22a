"""Signals that end a program early: what they raise, and what they do not touch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness.interruption import EXIT_CODE, SIGNALS
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment, skip_if_ignored

BEGIN = """
import os, signal, sys, time
from benchmarks.harness import interruption
from benchmarks.harness.interruption import heed_termination, held, kept_from_children

def send(number):
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        return "interrupted"
    return "went on"
"""
IGNORED = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
undo = heed_termination()
print(send(signal.SIGHUP), send(signal.SIGTERM))
undo()
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
SEVERAL = """
interruption.ALIKE_SECONDS = 0.2
heed_termination()
print(send(signal.SIGTERM), send(signal.SIGHUP))
time.sleep(0.3)
print(send(signal.SIGINT))
"""
FORKED = """
heed_termination()
if (child := os.fork()) == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM)
"""
STARTED = """
import subprocess
heed_termination()
sleep = [sys.executable, "-c", "input()"]
with kept_from_children():
    child = subprocess.Popen(sleep, stdin=subprocess.PIPE)
for number in interruption.SIGNALS:
    child.send_signal(number)
child.communicate(b"go on")
print(child.returncode)
try:
    with kept_from_children():
        os.kill(os.getpid(), signal.SIGTERM)
        print("waited")
except KeyboardInterrupt:
    print(send(signal.SIGTERM))
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""

LOST = """
class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

heed_termination()
try:
    Finalised()  # Python prints what is raised in there, and goes on
    time.sleep(60)
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""
EVALUATED = """
import signal
from benchmarks.harness.interruption import exit_interrupted, heed_termination

heed_termination()
try:
    eval("signal.raise_signal(signal.SIGTERM)")
except KeyboardInterrupt:
    exit_interrupted()
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (IGNORED, "went on interrupted\n"),
        (SEVERAL, "interrupted went on\ninterrupted\n"),
        (LOST, "interrupted\n"),
        (FORKED, "True\n"),
        (STARTED, "0\nwaited\nwent on\nset()\n"),
    ],
    ids=["ignored", "several", "lost", "forked", "started"],
)
def test_a_signal_interrupts_once_and_only_the_process_that_heeds_it(
    program: str, said: str
) -> None:
    skip_if_ignored(*SIGNALS)
    command = [sys.executable, "-c", BEGIN + program]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=SECONDS
    )
    assert done.stdout == said, done.stderr


def test_an_interruption_while_a_text_is_evaluated_ends_as_any(tmp_path: Path) -> None:
    (tmp_path / "evaluated.py").write_text(EVALUATED)
    done = subprocess.run(
        [sys.executable, "-m", "evaluated"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (EXIT_CODE, "")


@pytest.mark.parametrize("how", SIGNALS, ids=lambda how: how.name)
@pytest.mark.parametrize("module", ["memory", "article_faults"])
def test_a_program_that_is_interrupted_leaves_nothing(
    tmp_path: Path, module: str, how: signal.Signals
) -> None:
    skip_if_ignored(how)
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.tools.{module}"],
        cwd=REPOSITORY,
        env=environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        for _ in range(100 * SECONDS):
            if [*tmp_path.glob("image-stores-*/*")]:
                break
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        os.killpg(process.pid, how)
        output = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == EXIT_CODE, output
    assert "Traceback" not in output
    assert [*tmp_path.iterdir()] == []
