"""PyTorch's `DataLoader` over an open store: what it yields, and that its workers end."""

import importlib.util
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness import loader
from benchmarks.harness.loader import (
    ALL_SETTINGS,
    USUAL_SETTINGS,
    Loader,
    LoaderSetting,
    why_left_out,
)
from benchmarks.tests.contenders.test_contenders import IMAGES, LABELS
from benchmarks.tests.runs import names_in, run, saved_run
from storage import Store

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")

WITHOUT_TORCH = """
import importlib.util

genuine = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: name != "torch" and genuine(name, *more) or None
"""
"""A plugin under which PyTorch is not installed."""

REPEATING = """
from storage import Store

genuine = Store.__getitems__
Store.__getitems__ = lambda store, ids: genuine(store, ids[:1]) + genuine(store, ids[:-1])
"""
"""A plugin under which a batch has its first image twice, and not its last."""


def test_each_setting_has_its_names() -> None:
    assert [setting.variant for setting in USUAL_SETTINGS] == [
        "0 workers",
        "1 forked worker",
        "2 forked workers",
        "4 forked workers",
    ]
    assert LoaderSetting(1, "spawn", 64).variant == "1 spawned worker, batches of 64"
    assert LoaderSetting(1, "spawn", 64).label == "workers=1-spawn-batch=64"
    assert {*USUAL_SETTINGS} < {*ALL_SETTINGS}
    assert len(ALL_SETTINGS) == 14  # none, or 1, 2 or 4 of either kind; of either size
    assert len({setting.variant for setting in ALL_SETTINGS}) == 14
    assert len({setting.label for setting in ALL_SETTINGS}) == 14


def test_why_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "find_spec", lambda name: name == "torch" or None)
    assert why_left_out(cold=False) is None
    assert "--cache=cold" in str(why_left_out(cold=True))
    monkeypatch.setattr(loader, "find_spec", lambda _: None)
    assert "pip install torch" in str(why_left_out(cold=False))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    row = STORE_ROWS["lmdb"]
    row.store_many(tmp_path / "store", IMAGES, LABELS, durable=False)
    return row.open(tmp_path / "store")


@needs_torch
@pytest.mark.parametrize(("workers", "start"), [(0, "fork"), (2, "fork"), (2, "spawn")])
def test_each_epoch_yields_the_images_in_its_order(store: Store, workers: int, start: str) -> None:
    before = {*multiprocessing.active_children()}
    with store, Loader(store, LoaderSetting(workers, start, 5), one_shape=True) as loading:
        for order in ([7, 3, 3, 0, 11, 2, 1], [4, 9]):
            loading.order[:] = order
            epoch = loading.epoch() if loading.first_batch_seconds else loading.first_epoch()
            batches = [batch.arrays() for batch in epoch]
            assert [len(labels) for _, labels in batches] == ([5, 2] if len(order) > 5 else [2])
            images, found = (np.concatenate(each) for each in zip(*batches, strict=True))
            np.testing.assert_array_equal(images, IMAGES[order], strict=True)
            np.testing.assert_array_equal(found, LABELS[order], strict=True)
        assert loading.first_batch_seconds > 0
        assert len({*multiprocessing.active_children()} - before) == workers
    assert {*multiprocessing.active_children()} <= before


@needs_torch
@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_several_shapes_come_as_a_list(tmp_path: Path, workers: int) -> None:
    row = STORE_ROWS["lmdb"]
    images = [np.full((side, 4, 3), side, np.uint8) for side in (2, 5, 3)]
    with row.store_class(tmp_path / "store", "x", durable=False) as writer:
        writer.store_many(images, np.array([5, -6, 7]))
    with (
        row.open(tmp_path / "store") as opened,
        Loader(opened, LoaderSetting(workers, "fork", 2), one_shape=False) as loading,
    ):
        loading.order[:] = [2, 1, 0]
        (first, labels), (last, last_label) = (batch.arrays() for batch in loading.first_epoch())
    assert labels.tolist() + last_label.tolist() == [7, -6, 5]
    for image, i in zip((*first, *last), (2, 1, 0), strict=True):
        np.testing.assert_array_equal(image, images[i], strict=True)


@needs_torch
def test_workers_are_out_of_reach_of_the_terminal(store: Store) -> None:
    before = {*multiprocessing.active_children()}
    with store, Loader(store, LoaderSetting(1, "fork", 1), one_shape=True) as loading:
        loading.order[:] = [0]
        assert len([*loading.first_epoch()]) == 1
        (worker,) = {*multiprocessing.active_children()} - before
        assert os.getpgid(worker.pid or 0) == worker.pid


# ---- in a run ------------------------------------------------------------------------------


@needs_torch
def test_a_run_records_the_batches_and_the_time_to_the_first(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    options = ("--loader=all", "--cutoff=10,600", "-k", "loader and not spawn")
    done = run(*options, "--backend=hdf5", "--sweeps=2", f"--benchmark-json={saved}")
    assert done.returncode == 0, done.stdout
    forked = ("workers=0", "workers=1", "workers=2", "workers=4")
    labels = [*forked, *(f"{each}-batch=64" for each in forked)]
    assert names_in(saved_run(saved)) == [f"test_loader[hdf5-{label}]" for label in labels]
    for bench in saved_run(saved)["benchmarks"]:
        info = bench["extra_info"]
        batch = 64 if "64" in info["variant"] else 75
        assert (info["n"], info["images_per_round"], info["batch_images"]) == (600, 600, batch)
        assert len(info["first_batch_seconds"]) == len(info["sweep_rounds"]) == 2
        assert min(info["first_batch_seconds"]) > 0
        assert info["images_per_second"] == pytest.approx(600 / bench["stats"]["median"])
    summary = done.stdout.split(" image storage benchmark ")[1]
    assert "loader: shuffled batches from PyTorch's DataLoader; µs per image\n" in summary
    assert "first_batch: loader, from starting its workers to the first batch; ms\n" in summary
    assert summary.count("hdf5 2 forked workers, batches of 64 ") == 2


@needs_torch
def test_batches_that_cannot_differ_are_measured_once(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    chosen = ("--loader=all", "--cutoff=100", "-k", "loader and workers and 0", "--sweeps=1")
    done = run(*chosen, "--backend=hdf5", f"--benchmark-json={saved}")
    assert done.returncode == 0, done.stdout
    assert names_in(saved_run(saved)) == ["test_loader[hdf5-workers=0]"]
    assert "not measured: all batches have 12 images here" in done.stdout


@needs_torch
def test_the_clock_of_the_first_batch_starts_after_what_only_the_first_row_pays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    @contextmanager
    def prepared() -> Iterator[None]:
        events.append("prepared")
        yield

    def clock() -> float:
        events.append("clock")
        return 0.0

    monkeypatch.setattr(loader, "kept_from_children", prepared)
    monkeypatch.setattr(loader, "time", SimpleNamespace(perf_counter=clock))
    with store, Loader(store, LoaderSetting(0, "fork", 5), one_shape=True) as loading:
        loading.order[:] = [0]
        assert len([*loading.first_epoch()]) == 1
    assert events == ["prepared", "clock", "clock"]


@needs_torch
@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_with_another_image_fails(tmp_path: Path, workers: int) -> None:
    (tmp_path / "repeating.py").write_text(REPEATING)
    chosen = f"benchmarks/operations/test_loader.py::test_loader[hdf5-workers={workers}]"
    options = ("-p", "repeating", "--cutoff=100", "--benchmark-disable")
    done = run(*options, tests=chosen, plugins=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "WrongResultError: labels differ from the data's" in done.stdout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-p", "without_torch"), "loader needs PyTorch"),
        pytest.param(
            *(("--cache=cold",), "with --cache=cold, workers that keep the store open"),
            marks=needs_torch,
        ),
    ],
)
def test_what_cannot_be_loaded_is_said_at_the_end(
    tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    (tmp_path / "without_torch.py").write_text(WITHOUT_TORCH)
    chosen = ("-k", "loader or store_single", "--backend=hdf5,limit")
    done = run(*options, *chosen, plugins=tmp_path)
    assert done.returncode == 0, done.stdout
    summary = done.stdout.split(" image storage benchmark ")[1]
    assert summary.count(f"\nnot measured: {why}") == 1
    assert " ".join(summary.split()).count("loader hdf5 ") == 4
    assert " 2 passed, 4 skipped" in done.stdout
