"""What the README shows for a user's own images works as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest

from .. import Hdf5EncodedStore
from .images.files import picture, saved

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def block_with(text: str) -> str:
    (found,) = (block for block in blocks() if text in block)
    return found


def test_files_are_stored_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(saved(picture(), "JPEG"))
    Path("b.png").write_bytes(saved(picture("LA"), "PNG"))
    names: dict[str, Any] = {}
    exec(block_with("store_files("), names)
    assert names["image"].shape == (24, 40, 3)
    assert names["label"] == 0


def test_folders_are_converted_in_parallel_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two lines, in a folder of its own."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    lines = block_with("get_executor()").splitlines()
    imports = "\n".join(line for line in lines if line.startswith("from "))
    first, second = (line for line in lines if line.startswith("convert("))

    def run(line: str, **names: Any) -> None:
        folder = tmp_path / str(len(names))
        for name in ("apple/1.jpg", "kiwi/2.jpg"):
            (folder / "photos" / name).parent.mkdir(parents=True)
            (folder / "photos" / name).write_bytes(saved(picture(), "JPEG"))
        monkeypatch.chdir(folder)
        exec(f"{imports}\n{line}", names)
        with Hdf5EncodedStore("photos.h5s") as store:
            assert store.names == ["apple/1.jpg", "kiwi/2.jpg"]
            assert store.read_bytes() == [saved(picture(), "JPEG")] * 2

    run(first)  # before there are threads: its workers are forked
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        run(second, dask_client=client)


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
