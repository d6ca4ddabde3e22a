"""The full trials say what they could not try, and do not count it."""

import os
import subprocess
import sys
from pathlib import Path

from .. import STORES


def test_what_lacks_strace_or_root_is_named_as_not_tried(tmp_path: Path) -> None:
    """Where no program is found, nothing can be traced and nothing mounted."""
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "--faults", "1000", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, folder / "test_syncs.py", folder / "test_full_disk.py"],
        cwd=folder.parents[1],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    table = done.stdout.partition("died\n")[2].splitlines()
    untraced = "system calls cannot be traced: strace is not installed"
    unmounted = "mounting a small file system takes root"
    expected = [
        ("test_a_durable_call_syncs_every_file_and_folder_that_it_changes", 1, untraced),
        ("test_another_call_syncs_nothing", 1, untraced),
        ("test_a_large_durable_call_begins_to_sync_before_its_end", 2, untraced),
        ("test_a_call_that_fills_the_disk_stores_nothing", 1, unmounted),
        ("test_a_large_first_image_leaves_room_for_small_ones", 1, unmounted),
        ("test_a_full_disk_can_be_read_and_no_store_created_on_it", 1, unmounted),
        ("test_a_disk_with_room_for_a_part_of_a_call_has_no_room", 4, unmounted),
        ("test_a_process_that_met_a_full_disk_exits_as_any_other", 1, unmounted),
    ]
    assert table[:-1] == [
        f"not tried: {test} ({n * len(STORES)}): {why}" for test, n, why in expected
    ]
    assert f" {12 * len(STORES)} skipped in " in table[-1]
