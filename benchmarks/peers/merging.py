"""One saved run made of several, each of which has a peer, the limit and the stores.

The rounds of what every process measured are pooled. How the machine was doing differs from process
to process, so the median of each process is kept as well: a peer is compared with the limit and the
stores of its own process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_benchmark.logger import Logger
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import get_machine_id, get_tag, load_storage

from benchmarks.results.keys import SKIPPED
from benchmarks.results.recorded import Recorded

RunJson = dict[str, Any]
"""The JSON of a run, or of a benchmark."""
MEDIANS = "process_medians_microseconds"
"""The key in `extra_info` of each process' median round, by the name of its peer."""


def merged(runs: Mapping[str, RunJson]) -> RunJson:
    """One run from those of several peers, by the peer's name.

    Each benchmark of `runs` has its rounds, as `--benchmark-json` writes them.
    """
    found: dict[str, dict[str, RunJson]] = {}
    for peer, run in runs.items():
        for bench in run["benchmarks"]:
            found.setdefault(bench["fullname"], {})[peer] = bench
    first = next(iter(runs.values()))
    libraries: dict[str, str] = {}
    for run in runs.values():
        libraries |= run["machine_info"].get("peer_libraries", {})
    skipped = [one for run in runs.values() for one in run.get(SKIPPED, [])]
    return first | {
        SKIPPED: [one for place, one in enumerate(skipped) if one not in skipped[:place]],
        "machine_info": first["machine_info"] | {"peer_libraries": libraries},
        "benchmarks": [_pooled(benches) for benches in found.values()],
    }


def _pooled(benches: Mapping[str, RunJson]) -> RunJson:
    """One benchmark with the rounds of all `benches`."""
    first = next(iter(benches.values()))
    stats = Stats()  # type: ignore[no-untyped-call]  # it has no types
    for bench in benches.values():
        for seconds in bench["stats"]["data"]:
            stats.update(seconds)  # type: ignore[no-untyped-call]  # as above
    info = dict(first["extra_info"])
    recorded = Recorded.of(info)
    # The sweeps of different processes do not belong together, so that this is one.
    recorded.add_rounds(stats.data, stats.median, [len(stats.data)])
    medians = {peer: bench["stats"]["median"] * 1e6 for peer, bench in benches.items()}
    return first | {
        "extra_info": info | recorded.written() | {MEDIANS: medians},
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
