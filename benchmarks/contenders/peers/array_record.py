"""ArrayRecord: one file, a record for each image: its label, and the raw pixels.

https://github.com/google/array_record: `group_size:1` to read records at random, "uncompressed" since
pixels hardly shrink, and `readahead_buffer_size:0` for the random reader, as the reader's own help
says. It also says `max_parallelism:0`, but a batch came faster with its threads (by measurement). The
reader's defaults are for reading in order. array_record 0.8.6 to 0.8.x (Linux and macOS).
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader as Records
from array_record.python.array_record_module import ArrayRecordWriter

from benchmarks.contenders.base import Image, ImageIds, Labels

from .base import Peer, PeerReader

FILE = "images.array_record"
WRITING = "group_size:1,uncompressed"
AT_RANDOM = "readahead_buffer_size:0"
LABEL_BYTES = 8


class ArrayRecordPeerReader(PeerReader):
    """An open file; it is opened once for each of the two ways of reading that are asked for."""

    @cached_property
    def _random(self) -> Any:
        return Records(str(self.path / FILE), options=AT_RANDOM)

    @cached_property
    def _ordered(self) -> Any:
        return Records(str(self.path / FILE))

    def _arrays(self, records: list[bytes]) -> tuple[Image, Labels]:
        joined = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), -1)
        images = joined[:, LABEL_BYTES:].copy().reshape(len(records), *self.shape)
        return images, joined[:, :LABEL_BYTES].copy().view(np.int64).reshape(-1)

    def run(self, start: int, stop: int) -> tuple[Image, Labels]:
        return self._arrays(self._ordered.read(start, stop))

    def read_many(self, ids: ImageIds, /) -> tuple[Image, Labels]:
        return self._arrays(self._random.read(ids.tolist()))

    def read_single(self, image_id: int) -> tuple[Image, int]:
        images, labels = self._arrays(self._random.read([image_id]))
        return images[0], int(labels[0])

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        self._ordered.seek(0)
        for _ in range(self._ordered.num_records()):
            images, labels = self._arrays([self._ordered.read()])
            yield images[0], int(labels[0])

    def close(self) -> None:
        for name in ("_random", "_ordered"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


class ArrayRecordPeer(Peer):
    """One file."""

    reader = ArrayRecordPeerReader

    def write(self, path: Path, images: Image, labels: Labels, durable: bool) -> None:
        writer = ArrayRecordWriter(str(path / FILE), WRITING)
        for image, label in zip(images, labels, strict=True):
            writer.write(label.tobytes() + image.tobytes())
        writer.close()


ROWS = (ArrayRecordPeer("peer-array-record"),)
