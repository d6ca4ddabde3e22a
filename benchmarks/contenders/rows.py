"""The rows of the tables, in their order: the stores, the limit, the tutorial's three ways.

After them come the rows of a folder of pictures, and the peers, which are imported only if they are
asked for.
"""

from storage import STORES

from . import peers
from .article import ARTICLE
from .base import Contender
from .encoded import FileRow
from .folder import FilesRow
from .limit import EncodedLimit, Limit
from .stores import StoreContender, Twin

STORE_ROWS: dict[str, StoreContender] = {
    name: StoreContender(store_class) for name, store_class in STORES.items()
}
ROWS: dict[str, Contender] = {
    contender.name: contender for contender in (*STORE_ROWS.values(), Limit(), *ARTICLE)
}

FILE_ROWS: dict[str, FileRow] = {
    row.name: row for row in (FilesRow("files"), EncodedLimit("limit-encoded"))
}
"""The rows besides the stores that hold a folder of pictures and nothing else."""

TWINS = {f"{name}-twin": Twin(contender) for name, contender in STORE_ROWS.items()}
"""A second copy of each store's row, with which the suite measures its own noise."""

DEFAULT_STORES = ("png", "lmdb", "hdf5")
"""The stores that are measured without `--backend`."""
DEFAULT_ROWS = tuple(name for name in ROWS if name in DEFAULT_STORES or name not in STORE_ROWS)
DEFAULT_PICTURE_ROWS = (
    *("files", "files-encoded", "lmdb-encoded", "hdf5-encoded"),
    *("png", "lmdb", "hdf5", "limit", "limit-encoded"),
)
"""The rows that are measured of a folder of pictures without `--backend`."""

FILE_PER_IMAGE = {"png", "png-twin", "files", "files-encoded", "article-png"}
"""The rows whose stores have one file per image."""


def find_row(name: str) -> Contender:
    """The row `name`; raises ImportError for a peer whose library cannot be imported."""
    row = ROWS.get(name) or FILE_ROWS.get(name) or TWINS.get(name)
    return row or peers.load(name)
