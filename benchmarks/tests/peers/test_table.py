"""The table of a run of peers."""

from collections.abc import Mapping

from benchmarks.peers.merging import merged
from benchmarks.peers.table import table
from benchmarks.results.recorded import Recorded
from benchmarks.results.summary import Figure
from benchmarks.tests.saved import Saved

from .runs_of_peers import TWO, measured


def table_of(runs: Mapping[str, Saved]) -> list[str]:
    return table(
        Figure.of(Recorded.of(bench["extra_info"]), bench["stats"])
        for bench in merged(runs)["benchmarks"]
    )


def cells(lines: list[str], row: str) -> list[str]:
    (line,) = [line for line in lines if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_multiples_are_of_the_limit_in_the_peers_own_process() -> None:
    lines = table_of(TWO)
    assert cells(lines, "limit") == ["limit", "3.00"]  # of all rounds
    # Within sweeps, by 4 and by 2; not × 4/3, of the pooled limit.
    assert cells(lines, "peer-npy") == ["peer-npy", r"4.00\* ×2.83"]
    assert cells(lines, "peer-arrow") == ["peer-arrow", r"12.0\* ×2.40"]


def test_an_operation_that_a_row_does_not_have_is_an_empty_cell() -> None:
    run = TWO["peer-npy"]
    benches = [*run["benchmarks"], measured("limit", [1e-3], "store_many")]
    lines = table_of({"peer-npy": run | {"benchmarks": benches}})
    assert lines[2] == "| | store all | read all | bytes on disk |"
    assert cells(lines, "peer-npy")[1::2] == ["-", "-"]


def test_rows_are_in_the_order_of_the_tables() -> None:
    names = [line.split(" | ")[0][2:] for line in table_of(TWO)[4:7]]
    assert names == ["limit", "peer-npy", "peer-arrow"]


def test_the_space_is_that_of_storing_all() -> None:
    run = TWO["peer-npy"]
    stored = measured("peer-npy", [1e-3], "store_many")
    run_with = run | {"benchmarks": [*run["benchmarks"], stored]}
    lines = table_of({"peer-npy": run_with})
    assert cells(lines, "peer-npy")[-1] == "4,096"
    assert cells(lines, "peer-npy")[1] == r"1.00\*"  # no limit was measured


def test_a_peer_ahead_of_every_store_is_bold() -> None:
    stores = {"png": 4.0, "lmdb": 1.2, "hdf5": 1.1}
    for own, ahead in ((1.0, True), (1.08, False), (2.0, False)):
        times = [1e-3, 1.001e-3, 0.999e-3]
        benches = [measured("peer-npy", [t * own for t in times])]
        benches += [measured(name, [t * by for t in times]) for name, by in stores.items()]
        lines = table_of({"peer-npy": TWO["peer-npy"] | {"benchmarks": benches}})
        assert cells(lines, "peer-npy")[1].startswith("**") is ahead
        assert not any(cells(lines, name)[1].startswith("**") for name in stores)


def test_a_peer_is_compared_with_stores_of_its_own_process_alone() -> None:
    one = [measured("peer-npy", [1e-3] * 3), measured("hdf5", [2e-3] * 3)]
    other = [measured(name, [1e-3] * 3) for name in ("peer-tar", "hdf5", "lmdb")]
    runs = {"peer-npy": one, "peer-tar": other}
    lines = table_of({name: TWO["peer-npy"] | {"benchmarks": of} for name, of in runs.items()})
    assert cells(lines, "peer-npy")[1].startswith("**")  # LMDB, as fast, was measured elsewhere


def test_a_row_of_files_is_compared_with_the_limit_of_files() -> None:
    of_files = [measured("limit-encoded", [2e-3]), measured("peer-arrow", [6e-3])]
    for bench in of_files:
        bench["extra_info"]["file_bytes"] = 700.0
    run = TWO["peer-arrow"] | {"benchmarks": [measured("limit", [1e-3]), *of_files]}
    lines = table_of({"peer-arrow": run})
    assert cells(lines, "peer-arrow")[1] == r"6.00\* ×3.00"
    assert cells(lines, "limit-encoded")[1] == r"2.00\*"
    assert (
        lines[0]
        == "n = 1,000: µs per image, of open + one per call (× its limit in the same process)"
    )


def test_each_n_has_a_table() -> None:
    run = TWO["peer-npy"]
    other = measured("peer-npy", [1e-3])
    other["extra_info"]["n"] = 10
    other["fullname"] += "n=10"
    lines = table_of({"peer-npy": run | {"benchmarks": [*run["benchmarks"], other]}})
    assert [line for line in lines if line.startswith("n = ")] == [
        "n = 10: µs per image, of open + one per call (× limit in the same process)",
        "n = 1,000: µs per image, of open + one per call (× limit in the same process)",
    ]
