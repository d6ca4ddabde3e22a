"""What the README shows works as it stands."""

import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .. import Hdf5EncodedStore
from .images.files import picture, saved

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def block_with(text: str) -> str:
    (found,) = (block for block in blocks() if text in block)
    return found


def test_every_block_is_run_by_a_test() -> None:
    """The class of the last is that of `benchmarks/tests/contenders/test_new_store.py`."""
    run = ('LmdbStore("pictures"', "store_files(", "def collate", "class Prepared", "read_folder(")
    tested = [block_with(text) for text in (*run, "get_executor()", "class SqliteStore")]
    assert sorted(tested) == sorted(blocks())


def test_images_are_stored_and_read_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (600, 4, 5, 3), np.uint8)
    names: dict[str, Any] = {"images": images, "labels": np.arange(600)}
    exec(block_with('LmdbStore("pictures"'), names)
    np.testing.assert_array_equal(names["image"], images[-1], strict=True)
    assert names["label"] == 599
    assert names["labels"].tolist() == [*range(512, 600)]  # of the last batch


def test_a_folder_is_read_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos", "kiwi").mkdir(parents=True)
    Path("photos", "kiwi", "a.jpg").write_bytes(saved(picture("L"), "JPEG", orientation=6))
    names: dict[str, Any] = {}
    exec(block_with("read_folder("), names)
    assert names["pixels"].shape == (40, 24, 3)
    assert "kiwi" in capsys.readouterr().out


def test_files_are_stored_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(saved(picture(), "JPEG"))
    Path("b.png").write_bytes(saved(picture("LA"), "PNG"))
    names: dict[str, Any] = {}
    exec(block_with("store_files("), names)
    assert names["image"].shape == (24, 40, 3)
    assert names["label"] == 0


def test_a_folder_is_surveyed_and_decoded_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/apple").mkdir(parents=True)
    Path("photos/apple/a.jpg").write_bytes(saved(picture(), "JPEG"))
    names: dict[str, Any] = {}
    exec(block_with("survey(folder)"), names)
    assert names["pixels"].shape == (24, 40, 3)
    assert "0 apple (1)" in capsys.readouterr().out


# On a machine with fewer cores, of which it warns, they have all the more to wait for.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_large_batches_from_workers_need_few_files_as_said(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    said = 'torch.multiprocessing.set_sharing_strategy("file_system")'
    assert said in README.read_text()
    with Hdf5EncodedStore(tmp_path / "store", "x", durable=False) as writer:
        writer.store_files([saved(picture("RGB", (8, 8)), "JPEG")] * 1200, range(1200))
    names: dict[str, Any] = {"before": torch.multiprocessing.get_sharing_strategy()}
    exec(block_with("def collate"), names)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len([*Path("/proc/self/fd").iterdir()])
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 200, limits[1]))
    try:
        exec(said, names)
        with Hdf5EncodedStore(tmp_path / "store") as store:
            loader = torch.utils.data.DataLoader
            batches = loader(store, 256, collate_fn=names["collate"], num_workers=2)
            loaded = [label for _, labels in batches for label in labels.tolist()]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        torch.multiprocessing.set_sharing_strategy(names["before"])
    assert loaded == [*range(1200)]


@pytest.fixture
def convert_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs one of the lines that convert a folder in parallel, by its place, with these names."""
    lines = block_with("get_executor()").splitlines()
    imports = "\n".join(line for line in lines if line.startswith("from "))
    shown = [line for line in lines if line.startswith("convert(")]
    assert len(shown) == 2

    def run(place: int, **names: Any) -> None:
        for name in ("apple/1.jpg", "kiwi/2.jpg"):
            (tmp_path / "photos" / name).parent.mkdir(parents=True)
            (tmp_path / "photos" / name).write_bytes(saved(picture(), "JPEG"))
        monkeypatch.chdir(tmp_path)
        exec(f"{imports}\n{shown[place]}", names)
        with Hdf5EncodedStore("photos.h5s") as store:
            assert store.names == ["apple/1.jpg", "kiwi/2.jpg"]
            assert store.read_bytes() == [saved(picture(), "JPEG")] * 2

    return run


def test_a_folder_is_converted_by_a_pool_as_shown(convert_as_shown: Callable[..., None]) -> None:
    convert_as_shown(0)


def test_a_folder_is_converted_by_dask_as_shown(convert_as_shown: Callable[..., None]) -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        convert_as_shown(1, dask_client=client)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_several_sizes_are_loaded_as_shown(tmp_path: Path, workers: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    sizes = [(40, 24), (31, 57), (8, 8), (100, 20)]
    with Hdf5EncodedStore(tmp_path / "store", "x") as writer:
        writer.store_files([saved(picture("RGB", size), "JPEG") for size in sizes], range(4))
    names: dict[str, Any] = {}
    exec(block_with("def collate") + block_with("class Prepared"), names)
    loader = torch.utils.data.DataLoader
    with Hdf5EncodedStore(tmp_path / "store") as store:
        given: list[Any] = [*loader(store, 3, collate_fn=names["collate"], num_workers=workers)]
        shapes = [tuple(image.shape) for images, _ in given for image in images]
        assert shapes == [(3, height, width) for width, height in sizes]
        assert [labels.tolist() for _, labels in given] == [[0, 1, 2], [3]]
        prepared = [*loader(names["Prepared"](store), 3, num_workers=workers)]
        assert [tuple(images.shape) for images, _ in prepared] == [
            (3, 3, 224, 224),
            (1, 3, 224, 224),
        ]
        assert [labels.tolist() for _, labels in prepared] == [[0, 1, 2], [3]]
        assert prepared[0][0].dtype == torch.float32
        # A white image is (1 - mean) / deviation of each channel.
        white = names["Prepared"](store).prepare(np.full((9, 5, 3), 255, np.uint8))
        assert white.mean((1, 2)).tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-4)
