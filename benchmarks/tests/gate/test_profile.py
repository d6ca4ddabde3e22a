"""Which benchmarks the gate measures."""

from pathlib import Path
from tempfile import gettempdir

import pytest

import benchmarks.gate.profile
from benchmarks.gate.profile import OPERATIONS, OTHER_OPERATIONS, Profile, choose_directory

USUAL = f"({' or '.join(OPERATIONS)})"


def profile(keyword: str) -> Profile:
    return Profile(("hdf5",), (3,), keyword, Path("standin"), Path("stores"))


@pytest.mark.parametrize(
    ("keyword", "chosen"),
    [
        ("", USUAL),
        ("hdf5", f"{USUAL} and (hdf5)"),
        ("read_single or read_many", f"{USUAL} and (read_single or read_many)"),
        ("not append", f"{USUAL} and (not append)"),
        ("hdf5 and not (epoch or loader)", f"{USUAL} and (hdf5 and not (epoch or loader))"),
        ("epoch", "epoch"),
        ("epoch and not (lmdb or png)", "epoch and not (lmdb or png)"),
        ("iterate and single", "iterate and single"),
    ],
)
def test_the_other_operations_are_measured_if_they_are_named(keyword: str, chosen: str) -> None:
    made = profile(keyword)
    assert made.choice[made.choice.index("-k") + 1] == chosen
    assert made.names_others == (keyword == chosen)


@pytest.mark.parametrize(
    ("keyword", "cold"), [("", False), ("not cold", False), ("cold and hdf5", True)]
)
def test_cold_rows_are_measured_if_they_are_named_and_not_on_a_ram_disk(
    keyword: str, cold: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ("--cache=warm" in profile(keyword).choice) is not cold
    monkeypatch.setattr(benchmarks.gate.profile, "RAM_DISK", tmp_path)
    usual = Path(gettempdir())
    assert choose_directory(("hdf5",), (3,), 3072, keyword) == (usual if cold else tmp_path)


def test_together_they_are_all_operations() -> None:
    folder = Path(__file__).parents[2] / "operations"
    text = "".join(path.read_text() for path in folder.glob("test_*.py"))
    assert all(f"_{operation}" in text or f'"{operation}' in text for operation in OTHER_OPERATIONS)


def test_a_side_makes_one_sweep_in_which_it_takes_turns_with_the_other() -> None:
    assert "--sweeps=1" in profile("").measuring
