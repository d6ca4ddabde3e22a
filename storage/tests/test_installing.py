"""The library is installed alone, in an environment of its own, and does what its README shows."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

STORAGE = Path(__file__).parents[1]
PROJECT = tomllib.loads((STORAGE / "pyproject.toml").read_text())
WITH_DATA = """
import numpy as np
import storage

images, labels = np.arange(8 * 32 * 32 * 3, dtype=np.uint8).reshape(8, 32, 32, 3), range(8)
"""
WITH_OUTPUT = """
print(storage.__file__, len(open_store("pictures")))
"""


def test_its_bounds_are_those_of_the_requirements() -> None:
    """What is measured and what is installed are then the same."""
    requirements = (STORAGE.parent / "requirements.txt").read_text()
    listed = {line.split("#")[0].strip() for line in requirements.splitlines()}
    assert {*PROJECT["project"]["dependencies"]} <= listed


def test_it_is_installed_alone_and_serves_as_its_readme_shows(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    python, install = tmp_path / "venv/bin/python", ("-m", "pip", "install", "--quiet")
    assert run(sys.executable, "-m", "venv", tmp_path / "venv").returncode == 0
    others = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    if (found := run(python, *install, *others)).returncode:
        pytest.skip(f"pip finds no packages here: {found.stderr.strip().splitlines()[-1]}")
    before = {*STORAGE.iterdir()}
    done = run(python, *install, "--no-index", "--no-build-isolation", STORAGE)
    assert done.returncode == 0, done.stderr
    assert {*STORAGE.iterdir()} == before
    shown = re.findall(r"```python\n(.*?)```", (STORAGE / "README.md").read_text(), re.DOTALL)
    done = run(python, "-c", WITH_DATA + shown[0] + WITH_OUTPUT)
    assert (done.returncode, done.stderr) == (0, "")
    file, length = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert length == "8"
    assert (Path(file).parent / "py.typed").exists()
    assert not (Path(file).parent / "tests").exists()
