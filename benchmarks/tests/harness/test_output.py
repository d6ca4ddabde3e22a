"""What is printed on terminals that have few characters, or take none."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.output import encodable
from benchmarks.tests.runs import REPOSITORY, SECONDS, environment, run
from benchmarks.tests.saved import save, whole_run

ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", "1 µs × 2 ≤ 3 → ä… \\udcff"),
        ("latin-1", "1 µs × 2 <= 3 -> ä... \\udcff"),
        ("ascii", "1 us x 2 <= 3 -> \\xe4... \\udcff"),
        (None, "1 µs × 2 ≤ 3 → ä… \\udcff"),
    ],
)
def test_only_what_a_terminal_lacks_is_printed_otherwise(
    encoding: str | None, printed: str
) -> None:
    assert encodable("1 µs × 2 ≤ 3 → ä… \udcff", encoding) == printed


def command(
    *arguments: str, variables: dict[str, str], output: int | Path = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """A command line's own module, whose output is in ASCII or Latin-1."""
    with open(output if isinstance(output, Path) else "/dev/null", "w") as file:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=REPOSITORY,
            env=environment() | variables,
            stdout=file if isinstance(output, Path) else output,
            stderr=subprocess.PIPE,
            encoding="latin-1",
            timeout=SECONDS,
        )


@pytest.mark.parametrize("name", ENCODINGS)
def test_targets_are_printed_on_any_terminal(tmp_path: Path, name: str) -> None:
    saved = save(whole_run(), tmp_path / "run.json")
    done = command("benchmarks.tools.targets", str(saved), variables=ENCODINGS[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\*\*2\.00 [x×] limit > 1\.15\*\*", done.stdout)
    assert re.search(r"\*\*2\.00 [uµ]s > 1\*\*", done.stdout)
    assert "**0.333 " in done.stdout
    assert " <= 1.5 |" in done.stdout


def test_a_report_in_any_folder_is_told_on_a_terminal_of_few_characters(tmp_path: Path) -> None:
    few = whole_run()
    few["benchmarks"] = few["benchmarks"][:1]
    saved, folder = save(few, tmp_path / "run.json"), tmp_path / "µ—report"
    done = command("benchmarks.report", str(saved), f"--out={folder}", variables=ENCODINGS["C"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("report/index.html\n")
    assert (folder / "index.html").exists()


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_tables_of_a_run_are_aligned_on_any_terminal(name: str) -> None:
    chosen = ("--backend=png,limit", "-k", "read_many")
    variables = ENCODINGS[name] | ({"PYTHONIOENCODING": "ascii"} if name == "latin-1" else {})
    done = run(*chosen, variables=variables)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.split(" image storage benchmark ")[1].splitlines()
    title = lines.index("read_many: open, read n images, close; us per image (x limit)")
    assert re.fullmatch(r"png +[\d.,]+\*? +x[\d.,]+", lines[title + 2])
    assert lines[title + 3].startswith("limit ")


def test_output_that_takes_nothing_is_a_line_and_no_other_exit_code(tmp_path: Path) -> None:
    saved = save(whole_run(), tmp_path / "run.json")
    done = command("benchmarks.tools.targets", str(saved), variables={}, output=Path("/dev/full"))
    assert (done.returncode, done.stderr) == (
        2,
        "standard output: No space left on device\n",
    )


def test_no_output_at_all_is_no_traceback(tmp_path: Path) -> None:
    saved = save(whole_run(), tmp_path / "run.json")
    targets = f"{sys.executable} -m benchmarks.tools.targets {saved} >&-"
    done = subprocess.run(["sh", "-c", targets], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "")
