"""A program that ends with a store open says nothing of it on standard error."""

import subprocess
import sys
from pathlib import Path

from .. import Store
from .samples import make, stores_of_each_kind

pytestmark = stores_of_each_kind

RUN = """
import builtins, json, os, sys, threading
import numpy as np
from storage import STORES, open_store
from storage.tests.test_end_of_a_program import PROGRAMS
name, folder = sys.argv[1:]
image = np.zeros((5, 4, 3), np.uint8)
for number, program in enumerate(PROGRAMS.values()):
    path = f"{folder}/{number}"
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(f"{path}.errors", os.O_CREAT | os.O_WRONLY), 2)
        exec(program)
        break  # and end, as any program does
    status = os.waitpid(pid, 0)[1]
    with open(f"{path}.errors", "a") as file:
        file.write(f"status {status}" if status else "")
"""
"""Each of the programs in a process forked from one that has imported everything."""

PROGRAMS = {
    "a reader": "store = open_store(path)",
    "a reader that has read": "store = open_store(path); store.read_many(); store.read_single(0)",
    "a writer": "store = open_store(path, 'a'); store.store_many([image], [1])",
    "a writer of a new store": "store = STORES[name](path + '-new', 'x')",
    "one in an iteration": "store = open_store(path); records = iter(store); next(records)",
    "one in batches": "batches = open_store(path).iter_batches(2); next(batches)",
    "one in a cycle": """
class Holder: pass
holder = Holder()
holder.self, holder.store = holder, open_store(path, 'a')
holder.store.store_single(image, 1)
""",
    "one that outlives modules": "builtins.kept = open_store(path); builtins.kept.read_many()",
    "one in a class": """
class Holder:
    store = open_store(path, 'a')
    def __del__(self): self.store.close()
holder = Holder()
""",
    "a thread that reads": """
store = open_store(path)
def read():
    while True:
        store.read_many()
threading.Thread(target=read, daemon=True).start()
""",
    "a thread that has ended": """
store = open_store(path, 'a')
thread = threading.Thread(target=store.store_single, args=(image, 1))
thread.start()
thread.join()
""",
    "several": "stores = [open_store(path), open_store(path, 'a'), open_store(path)]",
    "one that was forked": """
store = open_store(path)
store.read_many()
if os.fork() == 0:
    store.read_many()
else:
    os.wait()
""",
    "an exit in the middle": "store = open_store(path, 'a'); sys.exit(0)",
    "one in a generator": """
def records():
    with open_store(path) as store:
        yield from store
found = records()
next(found)
""",
}


def test_nothing_is_said(store_class: type[Store], tmp_path: Path) -> None:
    """Whatever of a store is alive then."""
    for number in range(len(PROGRAMS)):
        make(store_class, tmp_path / str(number))
    # Python 3.12 warns of a fork beside threads, of which NumPy's linear algebra has some.
    options = ["-W", "ignore::DeprecationWarning", "-c", RUN]
    ended = subprocess.run(
        [sys.executable, *options, store_class.format, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said = {
        name: (tmp_path / f"{number}.errors").read_text() for number, name in enumerate(PROGRAMS)
    }
    assert {name: text for name, text in said.items() if text} == {}
