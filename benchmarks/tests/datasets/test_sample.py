"""The sample of real CIFAR-10 beside the repository, read independently of the code under test."""

import hashlib
import pickletools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import load_dataset

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY.parent / "shared" / "cifar-10-batches-py"
ROWS, ROW_BYTES = 200, 3072

pytestmark = pytest.mark.skipif(
    not SAMPLE.is_dir(), reason="no ../shared/cifar-10-batches-py beside the repository"
)


def raw_batch(number: int) -> tuple[bytes, list[int]]:
    """Pixels and labels of a batch as its opcodes spell them out, nothing being unpickled."""
    data, labels, after_labels = b"", [], False
    for opcode, argument, _ in pickletools.genops((SAMPLE / f"data_batch_{number}").read_bytes()):
        if opcode.name == "BINSTRING":
            data = str(argument).encode("latin1")
        elif argument == "labels":
            after_labels = True
        elif after_labels and opcode.name == "BININT1":
            labels.append(int(argument or 0))
        elif opcode.name == "APPENDS":
            after_labels = False
    assert len(data) == ROWS * ROW_BYTES
    assert len(labels) == ROWS
    return data, labels


def test_the_sample_is_read_bit_for_bit_with_its_labels_in_order() -> None:
    loaded = load_dataset(str(SAMPLE))
    assert loaded.images.shape == (1000, 32, 32, 3)
    for number in range(1, 6):
        data, labels = raw_batch(number)
        start = (number - 1) * ROWS
        assert loaded.labels[start : start + ROWS].tolist() == labels
        for i in range(ROWS):
            row = data[i * ROW_BYTES : (i + 1) * ROW_BYTES]
            image = loaded.images[start + i]
            for channel in range(3):
                plane = row[channel * 1024 : (channel + 1) * 1024]
                assert image[:, :, channel].tobytes() == plane


def test_the_sample_is_identified_by_its_own_batches() -> None:
    total = hashlib.sha256()
    for number in range(1, 6):
        content = (SAMPLE / f"data_batch_{number}").read_bytes()
        total.update(f"data_batch_{number} {hashlib.sha256(content).hexdigest()}\n".encode())
    loaded = load_dataset(str(SAMPLE))
    assert loaded.name == "cifar-10-batches-py"
    assert loaded.identity == f"sha256:{total.hexdigest()}"
    assert loaded.note == ""


def test_a_folder_around_the_sample_will_do(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").symlink_to(SAMPLE)
    around = load_dataset(str(tmp_path))
    np.testing.assert_array_equal(around.images, load_dataset(str(SAMPLE)).images)
