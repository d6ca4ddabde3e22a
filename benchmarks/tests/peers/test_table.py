"""The table of a run of peers."""

from benchmarks.peers.merging import merged
from benchmarks.peers.table import table

from .runs_of_peers import TWO, measured


def cells(lines: list[str], row: str) -> list[str]:
    (line,) = [line for line in lines if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_multiples_are_of_the_limit_in_the_peers_own_process() -> None:
    lines = table(merged(TWO)["benchmarks"])
    assert cells(lines, "limit")[2] == "3.00"  # of all rounds
    assert cells(lines, "peer-npy")[2] == "4.00 ×2.00"  # not × 4/3, of the pooled limit
    assert cells(lines, "peer-arrow")[2] == "12.0 ×2.18"


def test_an_operation_that_a_row_does_not_have_is_an_empty_cell() -> None:
    assert cells(table(merged(TWO)["benchmarks"]), "peer-npy")[3:] == ["-"] * 7


def test_rows_are_in_the_order_of_the_tables() -> None:
    names = [line.split(" | ")[0][2:] for line in table(merged(TWO)["benchmarks"])[4:7]]
    assert names == ["limit", "peer-npy", "peer-arrow"]


def test_the_space_is_that_of_storing_all() -> None:
    run = TWO["peer-npy"]
    stored = measured("peer-npy", [1e-3], "store_many")
    run_with = run | {"benchmarks": [*run["benchmarks"], stored]}
    lines = table(merged({"peer-npy": run_with})["benchmarks"])
    assert cells(lines, "peer-npy")[-1] == "4,096"
    assert cells(lines, "peer-npy")[1] == "1.00"  # no limit was measured


def test_a_row_of_files_is_compared_with_the_limit_of_files() -> None:
    of_files = [measured("limit-encoded", [2e-3]), measured("peer-arrow", [6e-3])]
    for bench in of_files:
        bench["extra_info"]["file_bytes"] = 700.0
    run = TWO["peer-arrow"] | {"benchmarks": [measured("limit", [1e-3]), *of_files]}
    lines = table(merged({"peer-arrow": run})["benchmarks"])
    assert cells(lines, "peer-arrow")[2] == "6.00 ×3.00"
    assert cells(lines, "limit-encoded")[2] == "2.00"
    assert lines[0] == "n = 1,000: µs per image (× its limit in the same process)"


def test_each_n_has_a_table() -> None:
    run = TWO["peer-npy"]
    other = measured("peer-npy", [1e-3])
    other["extra_info"]["n"] = 10
    other["fullname"] += "n=10"
    lines = table(
        merged({"peer-npy": run | {"benchmarks": [*run["benchmarks"], other]}})["benchmarks"]
    )
    assert [line for line in lines if line.startswith("n = ")] == [
        "n = 10: µs per image (× limit in the same process)",
        "n = 1,000: µs per image (× limit in the same process)",
    ]
