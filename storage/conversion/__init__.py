"""Converts a folder of images, or a store, to a store or back to a folder.

    convert("photos", "photos.lmdb", "lmdb-encoded")
    convert("photos.lmdb", "again", "folder")
    convert("photos", "photos.h5s", executor=ProcessPoolExecutor())

A plan fixes what each part of the new store holds (`plan.py`). A task writes one part under a name of
its own and returns a receipt (`task.py`), in this process or in those of any executor
(`engine.py`). The coordinator publishes the parts in order by renaming them (`coordinator.py`). All
of it happens in a hidden folder beside the result (`work.py`), which becomes the result at the end.
"""

from .coordinator import DEFAULT_FORMAT as DEFAULT_FORMAT
from .coordinator import FOLDER as FOLDER
from .coordinator import FORMATS as FORMATS
from .coordinator import ON_ERROR as ON_ERROR
from .coordinator import Converted as Converted
from .coordinator import convert as convert
from .sources import is_store as is_store
from .work import Skipped as Skipped
