"""What a benchmark records is written and read in one place."""

import pytest

from benchmarks.results.recorded import Judged, Recorded, is_recorded, round_budget, variant_of


def recorded(**changed: object) -> Recorded:
    said: dict[str, object] = {
        "operation": "read_many",
        "variant": "",
        "backend": "png",
        "n": 300,
        "images_per_round": 256,
        "cache": "warm",
        "durability": "durable",
        "image_shape": [32, 32, 3],
        "files": 304,
        "apparent_bytes": 10,
        "allocated_bytes": 20,
    }
    return Recorded.of(said | changed)


def test_rounds_count_images_and_megabytes_of_pixels() -> None:
    made = recorded()
    made.add_rounds([0.25, 0.5, 1.0], median=0.5, sweeps=[2, 1])
    assert made.sweep_rounds == [2, 1]
    assert made.images_per_second == 512.0
    assert made.pixel_megabytes_per_second == 1.572864
    assert made.microseconds_per_image == 1953.125
    assert made.rounds_microseconds == "2.5e+05 5e+05 1e+06"


@pytest.mark.parametrize(
    ("operation", "variant"), [("read_many", "bytes"), ("parallel_read", "2 processes bytes")]
)
def test_files_read_undecoded_are_no_megabytes_of_pixels(operation: str, variant: str) -> None:
    made = recorded(operation=operation, variant=variant)
    made.add_rounds([0.5], median=0.5, sweeps=[1])
    assert made.pixel_megabytes_per_second is None
    assert Recorded.read(made.written()) == made
    earlier = made.written() | {"pixel_megabytes_per_second": 3.0}
    assert Recorded.read(earlier) == made


def test_each_sweep_has_its_rounds() -> None:
    made = recorded()
    made.add_rounds([0.25, 0.75, 0.5, 4.0, 1.0, 2.0], median=0.875, sweeps=[3, 1, 2])
    assert made.rounds_of_sweeps() == {0: [0.25, 0.75, 0.5], 1: [4.0], 2: [1.0, 2.0]}
    made.sweep_numbers = "20 21 40"
    assert made.rounds_of_sweeps() == {20: [0.25, 0.75, 0.5], 21: [4.0], 40: [1.0, 2.0]}


@pytest.mark.parametrize(
    "sweeps", [None, [], [2], [1, 3], [3, 0], [3, -1, 1], ["3"], "3", 3, [3.0]]
)
def test_damaged_sweeps_have_none(sweeps: object) -> None:
    assert recorded(rounds_microseconds="1 2 3", sweep_rounds=sweeps).rounds_of_sweeps() is None


@pytest.mark.parametrize("numbers", ["", "0", "0 0", "0 -1", "0 1 2", "0 x", 5, [0, 1], "0.0 1"])
def test_nor_have_sweeps_of_damaged_numbers(numbers: object) -> None:
    found = recorded(rounds_microseconds="1 2 3", sweep_rounds=[2, 1], sweep_numbers=numbers)
    assert found.rounds_of_sweeps() is None


@pytest.mark.parametrize("rounds", [None, "", "1 2 x", 7])
def test_nor_have_damaged_rounds(rounds: object) -> None:
    assert recorded(rounds_microseconds=rounds, sweep_rounds=[3]).rounds_of_sweeps() is None


def test_what_was_written_is_read() -> None:
    made = recorded(resident_fraction=0.5)
    made.add_rounds([0.25], median=0.25, sweeps=[1])
    assert Recorded.read(made.written()) == made
    assert is_recorded(made.written())
    assert not is_recorded({"another": "suite's"})


def test_what_was_not_measured_is_not_written() -> None:
    assert "resident_fraction" not in recorded().written()
    assert None not in recorded().written().values()


def test_what_a_later_version_records_is_passed_over() -> None:
    made = recorded()
    made.add_rounds([0.25], median=0.25, sweeps=[1])
    assert Recorded.read(made.written() | {"added": 1}) == made


@pytest.mark.parametrize(("processes", "variant"), [(1, "1 process"), (4, "4 processes")])
def test_the_variants_of_parallel_reading_are_read_as_they_are_written(
    processes: int, variant: str
) -> None:
    assert variant_of(processes) == variant
    assert recorded(operation="parallel_read", variant=variant).processes == processes
    assert recorded(variant=variant).processes is None


@pytest.mark.parametrize("seconds", [[0.5, 0.0], [-1], [float("nan")], ["1"], 3, [1e10]])
def test_a_damaged_time_to_the_first_batch_is_refused(seconds: object) -> None:
    made = recorded()
    made.add_rounds([0.25], median=0.25, sweeps=[1])
    good = made.written() | {"first_batch_seconds": [0.5, 2]}
    assert Recorded.read(good).first_batch_seconds == [0.5, 2]
    with pytest.raises((TypeError, ValueError)):
        Recorded.read(good | {"first_batch_seconds": seconds})


@pytest.mark.parametrize("info", [None, {}, {"round_budget_seconds": True}, {"round_budget": 0.2}])
def test_no_round_budget_is_made_of_what_is_none(info: object) -> None:
    assert round_budget(info) is None


def test_the_gate_keeps_the_rounds_of_each_process_and_no_throughput_of_one() -> None:
    infos = []
    for seconds in (0.25, 0.5):
        made = recorded()
        made.add_rounds([seconds], seconds, [1])
        infos.append(made.written())
    judged = Judged.of(infos, 1, {"verdict": "pass"})
    written = judged.written(infos[0])
    assert Judged.read(written) == judged
    assert judged.processes == ["2.5e+05", "5e+05"]
    assert written == recorded().written() | {
        "screening_processes": 1,
        "processes": ["2.5e+05", "5e+05"],
        "gate": {"verdict": "pass"},
    }
