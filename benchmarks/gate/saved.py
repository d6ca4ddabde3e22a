"""Saving a run of the gate: one file for each side, in pytest-benchmark's format.

In these files a benchmark's round is a process, and its duration is the median of the rounds in it.
Those rounds and the gate's finding are saved with it. A suspect also has the processes of the
screen, which its finding does not use.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_benchmark import __version__
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.stats import Stats

from benchmarks.results import machine
from benchmarks.results.recorded import Judged

from .channel import Message
from .decide import Finding
from .judge import Judgement, MeasuredPair
from .process import Side

FOLDER = Path(".benchmarks", "gate")
"""Beside the saved runs. Their names begin with digits, so pytest-benchmark ignores this folder."""


def save(
    folder: Path,
    judgement: Judgement,
    machine_info: Mapping[str, object],
    commits: Mapping[Side, str],
) -> list[Path]:
    """Write both sides' files and return their paths; raises OSError and then leaves no file."""
    now = datetime.now(UTC)
    paths = [folder / f"{now:%Y%m%d-%H%M%S}-{side}.json" for side in Side]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for side, path in zip(Side, paths, strict=True):
            path.write_text(_described(side, judgement, machine_info, commits[side], now))
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def _described(
    side: Side,
    judgement: Judgement,
    machine_info: Mapping[str, object],
    commit: str,
    now: datetime,
) -> str:
    """The content of a side's file."""
    saved = {
        "machine_info": machine_info,
        "commit_info": {"id": commit},
        "benchmarks": [_benchmark(side, finding, judgement) for finding in judgement.findings],
        "datetime": now.isoformat(),
        "version": __version__,
    }
    return json.dumps(saved, indent=1) + "\n"


def describe_machine(run: machine.Circumstances, **more: object) -> dict[str, object]:
    """The description of the machine, as in any saved run."""
    info = pytest_benchmark_generate_machine_info()  # type: ignore[no-untyped-call]  # it has no types
    return machine.describe(info, run, **more)


def _benchmark(side: Side, finding: Finding, judgement: Judgement) -> dict[str, Any]:
    screened = [*_of(side, finding, judgement.screened)]
    processes = [*screened, *_of(side, finding, judgement.confirmed)]
    described = dict(processes[0])
    stats = Stats()  # type: ignore[no-untyped-call]  # it has no types
    for process in processes:
        stats.update(process["stats"]["median"])  # type: ignore[no-untyped-call]  # it has no types
    infos = [process["extra_info"] for process in processes]
    described["extra_info"] = Judged.of(infos, len(screened), asdict(finding)).written(infos[0])
    described["stats"] = {
        **stats.as_dict(),  # type: ignore[no-untyped-call]  # it has no types
        "data": stats.data,
        "iterations": 1,
    }
    return described


def _of(side: Side, finding: Finding, measured: Iterable[MeasuredPair]) -> Iterable[Message]:
    return (
        one.base if side is Side.BASE else one.head for one in measured if one.name == finding.name
    )
