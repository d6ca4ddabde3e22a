"""Where no thread can be had, the calling one does all: at the end of a program, and under a limit."""

import subprocess
import sys
from pathlib import Path

import pytest

from .. import Store
from .samples import stores_of_each_kind

pytestmark = stores_of_each_kind

USE = """
import atexit, os, resource, sys, threading
import numpy as np
from storage import STORES, open_store

name, path, where = sys.argv[1:]
random = np.random.default_rng(0)
LARGE = random.integers(0, 256, (3, 300, 300, 3), np.uint8)
SHAPES = [*LARGE, random.integers(0, 256, (400, 300), np.uint8), LARGE[0, :7, :9].copy()]
SMALL = random.integers(0, 256, (600, 8, 8, 3), np.uint8)


def check(found, images):
    assert len(found) == len(images)
    assert all(map(np.array_equal, found, images))


def use(path):
    with STORES[name](path, "x", durable=False) as store:
        store.store_many(LARGE, range(3))
        store.store_many(SHAPES, range(5))
        store.store_many(iter(LARGE), range(3))
        store.store_many(SMALL, range(600))
        store.store_single(LARGE[0], 5)
        store.compact()
    with open_store(path) as store:
        check(store.read_many()[0], [*LARGE, *SHAPES, *LARGE, *SMALL, LARGE[0]])
        check(store.read_many([2, 0, 2])[0], LARGE[[2, 0, 2]])
        check([store.read_single(6)[0]], [SHAPES[3]])
        assert len(store.labels) == 612
        store.verify()
    print("done")


use(path + "-before")  # with threads, and with all that is imported at first use


def after_the_main_thread():
    threading.main_thread().join()
    use(path)


if where == "at the end":
    threading.Thread(target=after_the_main_thread).start()
    atexit.register(use, path + "-atexit")
else:
    if os.geteuid() == 0:  # whom no limit holds
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        use(path)
    else:
        print("not limited")
"""


@pytest.mark.parametrize("where", ["at the end", "under a limit"])
def test_large_pictures_are_stored_and_read(
    store_class: type[Store], public_folder: Path, where: str
) -> None:
    """At the end: in a thread that outlives the main one, and then in what `atexit` calls."""
    command = [sys.executable, "-c", USE, store_class.format, str(public_folder / "store"), where]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    if "not limited" in ended.stdout:
        pytest.skip("this machine does not limit the number of processes")
    expected = "done\n" * (3 if where == "at the end" else 2)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, expected, "")
