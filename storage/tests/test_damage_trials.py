"""Damage anywhere in a store's files: what is read is what was stored, or an error, and no death."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from .. import Store
from .damage import KINDS, STEPS, outcome
from .histories import History, run_in_child
from .samples import stores_of_each_kind
from .trials import Trials


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stores are kept that are damaged."""
    return tmp_path_factory.mktemp("originals")


@stores_of_each_kind
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found(
    store_class: type[Store],
    originals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trials: Trials,
    kind: str,
) -> None:
    """In every other kind of trial indexes are mapped, as large ones are."""
    original = originals / store_class.format
    if not original.exists():
        assert run_in_child(History(store_class, original, "x", STEPS).run) == 0
    path = tmp_path / "store"
    with trials.of(f"damage: {kind}", store_class.format) as tally:
        for trial in trials.numbers():
            is_read = (trial + [*KINDS].index(kind)) % 2
            monkeypatch.setattr("storage._index.READ_BYTES", 2**16 if is_read else 0)
            shutil.copytree(original, path)
            detail = KINDS[kind](store_class.format, path, np.random.default_rng(trial))
            found, reason = outcome(store_class, path)
            tally.add(trial, found, f"{detail}: {reason}")
            shutil.rmtree(path)
