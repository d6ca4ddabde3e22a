"""zarr: two arrays of format 3 in a group, `images.zarr`.

`peer-zarr`: no compression, since it costs more than it saves here, and chunks of a megabyte, as
https://zarr.readthedocs.io/en/stable/user-guide/performance/ advises ("at least 1 megabyte"). Shards
made reading parts slower (by measurement), so there are none. `peer-zarr-default`: chunks and
compression as `create_array` chooses them. A random batch is `oindex`. zarr 3.1 to 3.x.
"""

from pathlib import Path

import zarr

from benchmarks.contenders.base import Image, ImageIds, Labels, Shape

from .base import Peer, PeerReader

FOLDER = "images.zarr"
CHUNK_BYTES = 2**20


class ZarrReader(PeerReader):
    """The two arrays of an open group."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        group = zarr.open_group(path / FOLDER, mode="r")
        self._images, self._labels = group["images"], group["labels"]

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._images[start:stop], self._labels[start:stop]

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._images.oindex[ids], self._labels.oindex[ids]


class ZarrPeer(Peer):
    """One group; `tuned` says whether chunks and compression are ours or zarr's."""

    reader = ZarrReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        group = zarr.create_group(path / FOLDER)
        if self.settings["tuned"]:
            chunk = max(1, min(len(images), CHUNK_BYTES // images[0].nbytes))
            chunks = (chunk, *images.shape[1:])
            group.create_array("images", data=images, chunks=chunks, compressors=None)
            group.create_array("labels", data=labels, chunks=labels.shape, compressors=None)
        else:
            group.create_array("images", data=images)
            group.create_array("labels", data=labels)


ROWS = (ZarrPeer("peer-zarr", tuned=True), ZarrPeer("peer-zarr-default", tuned=False))
