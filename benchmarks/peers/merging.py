"""One saved run made of several, each of which has a peer, the limit and the stores.

The sweeps of the processes follow each other in it. How the machine was doing differs from process to
process; a peer has sweeps in common only with what its own process measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_benchmark.logger import Logger
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import get_machine_id, get_tag, load_storage

from benchmarks.results.keys import SKIPPED, Key, SkippedRow
from benchmarks.results.machine import PEER_LIBRARIES
from benchmarks.results.recorded import Recorded

RunJson = dict[str, Any]
"""The JSON of a run, or of a benchmark."""


def merged(runs: Mapping[str, RunJson]) -> RunJson:
    """One run from those of several peers, by the peer's name.

    Each benchmark of `runs` has its rounds, as `--benchmark-json` writes them.
    """
    found: dict[str, list[tuple[int, RunJson]]] = {}
    start = 0
    for run in runs.values():
        for bench in run["benchmarks"]:
            found.setdefault(bench["fullname"], []).append((start, bench))
        start += 1 + max((max(_sweeps(bench)) for bench in run["benchmarks"]), default=0)
    first = next(iter(runs.values()))
    libraries: dict[str, str] = {}
    for run in runs.values():
        libraries |= run["machine_info"].get(PEER_LIBRARIES, {})
    benchmarks = [_pooled(benches) for benches in found.values()]
    measured = {Key.of(Recorded.of(bench["extra_info"])) for bench in benchmarks}
    skipped = [one for run in runs.values() for one in run.get(SKIPPED, [])]
    skipped = [one for one in skipped if SkippedRow.read(one).key not in measured]
    orders = [run["sweeps"] for run in runs.values() if "sweeps" in run]
    return first | {
        "sweeps": {"processes": orders},
        SKIPPED: [one for place, one in enumerate(skipped) if one not in skipped[:place]],
        "machine_info": first["machine_info"] | {PEER_LIBRARIES: libraries},
        "benchmarks": benchmarks,
    }


def _sweeps(bench: RunJson) -> list[int]:
    """The numbers of a benchmark's sweeps."""
    return [*(Recorded.of(bench["extra_info"]).rounds_of_sweeps() or (0,))]


def _pooled(benches: Sequence[tuple[int, RunJson]]) -> RunJson:
    """One benchmark with the rounds of all `benches`, each with the number of its first sweep."""
    _, first = benches[0]
    stats = Stats()  # type: ignore[no-untyped-call]  # it has no types
    rounds: list[int] = []
    numbers: list[int] = []
    for start, bench in benches:
        for seconds in bench["stats"]["data"]:
            stats.update(seconds)  # type: ignore[no-untyped-call]  # as above
        rounds += Recorded.of(bench["extra_info"]).sweep_rounds or ()
        numbers += [start + number for number in _sweeps(bench)]
    info = dict(first["extra_info"])
    recorded = Recorded.of(info)
    recorded.add_rounds(stats.data, stats.median, rounds)
    recorded.sweep_numbers = " ".join(map(str, numbers))
    fractions = [bench["extra_info"].get("resident_fraction") for _, bench in benches]
    recorded.resident_fraction = max(filter(None, fractions), default=recorded.resident_fraction)
    return first | {
        "extra_info": info | recorded.written(),
        "stats": stats.as_dict() | {"iterations": first["stats"]["iterations"]},  # type: ignore[no-untyped-call]
    }


def save(run: RunJson, folder: Path) -> Path:
    """Save a run as pytest-benchmark does, with the next number; returns its path."""
    storage = load_storage(  # type: ignore[no-untyped-call]  # it has no types
        f"file://{folder.absolute()}",
        logger=Logger(Logger.QUIET),  # type: ignore[no-untyped-call]  # nor has its logger
        default_machine_id=get_machine_id(),  # type: ignore[no-untyped-call]
        netrc=None,
    )
    before: Sequence[Path] = storage.query()
    storage.save(run, get_tag())  # type: ignore[no-untyped-call]
    (path,) = {*storage.query()} - {*before}
    return Path(path)
