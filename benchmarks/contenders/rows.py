"""The rows of the tables, in their order: the stores, the limit, the tutorial's three ways.

After them come the peers, which are imported only if they are asked for.
"""

from storage import STORES

from . import peers
from .article import ARTICLE
from .base import Contender
from .limit import Limit
from .stores import StoreContender, Twin

STORE_ROWS: dict[str, StoreContender] = {
    name: StoreContender(store_class) for name, store_class in STORES.items()
}
ROWS: dict[str, Contender] = {
    contender.name: contender for contender in (*STORE_ROWS.values(), Limit(), *ARTICLE)
}

TWINS = {f"{name}-twin": Twin(contender) for name, contender in STORE_ROWS.items()}
"""A second copy of each store's row, with which the suite measures its own noise."""

DEFAULT_STORES = ("png", "lmdb", "hdf5")
"""The stores that are measured without `--backend`."""
DEFAULT_ROWS = tuple(name for name in ROWS if name in DEFAULT_STORES or name not in STORE_ROWS)

FILE_PER_IMAGE = {"png", "png-twin", "files-encoded", "article-png"}
"""The rows whose stores have one file per image."""


def find_row(name: str) -> Contender:
    """The row `name`; raises ImportError for a peer whose library cannot be imported."""
    row = ROWS.get(name) or TWINS.get(name)
    return row or peers.load(name)
