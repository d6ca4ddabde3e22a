"""One run of the gate, from the two versions of the code to the judgement."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.contenders.rows import DEFAULT_STORES
from benchmarks.datasets import DatasetError, load_dataset
from benchmarks.harness.interruption import temporary_directory
from benchmarks.results import machine
from benchmarks.results.recorded import COLD, WARM

from . import saved, trees
from .errors import InvalidError
from .judge import Judgement, Progress, judge
from .options import Request
from .pairs import ProcessPairs
from .process import Injection, Side, compare_names, list_benchmarks, list_stores
from .profile import OTHER_OPERATIONS, Profile, choose_directory, names, write_sample

REPOSITORY = Path(__file__).parents[2]
NAMED = 3
"""The most names of a list in a sentence; the others are counted."""


class GateRun:
    """A comparison of two versions, with notes for the user.

    folder: a directory for the two trees and the images, removed by the caller
    base_name: the base's name in the output
    notes: one sentence each
    """

    def __init__(self, request: Request, folder: Path) -> None:
        """Find the two versions and the images; raises InvalidError."""
        self._request = request
        self._folder = folder
        self._trees = {side: folder / side.value for side in Side}
        self.notes: list[str] = []
        head = trees.git(REPOSITORY, "rev-parse", "HEAD").decode().strip()
        base = None if request.base is None else trees.find_base(REPOSITORY, request.base)
        self.base_name = base.name if base else "itself"
        if base and base.commit == head and not trees.uncommitted(REPOSITORY):
            raise InvalidError(
                f"--base: {base.name} is the commit of the working tree, which has no changes, so"
                " there is nothing to compare; name an earlier one, or check with --self-check"
            )
        self._commits = {Side.BASE: base.commit if base else head, Side.HEAD: head}
        trees.export_head(REPOSITORY, self._trees[Side.HEAD])
        if base:
            trees.export_base(REPOSITORY, base, self._trees[Side.BASE])
        else:
            shutil.copytree(self._trees[Side.HEAD], self._trees[Side.BASE])
        self._note_differences()

    def _note_differences(self) -> None:
        changed = trees.uncommitted(REPOSITORY)
        if changed:
            self.notes.append(
                f"The working tree was measured with its uncommitted changes: {_some(changed)}."
            )
            for side in Side if self._request.base is None else (Side.HEAD,):
                self._commits[side] += "-dirty"
        if self._request.base and trees.have_same_stores(
            self._trees[Side.BASE], self._trees[Side.HEAD]
        ):
            self.notes.append(
                f"{trees.STORES}/ is the same on both sides, so whatever was found is noise."
            )
        differing = trees.requirement_differences(self._trees[Side.BASE], self._trees[Side.HEAD])
        if differing:
            self.notes.append(
                f"{trees.REQUIREMENTS} differs ({'; '.join(differing)}); both sides ran with the"
                " packages installed here, so the ratios do not show the effect of other releases."
            )

    def judge(self, progress: Progress) -> Judgement:
        """Measure both versions and judge; raises InvalidError, or OSError if a disk is full."""
        request = self._request
        try:
            most = request.cutoffs[-1]
            data = load_dataset(
                request.dataset, limit=most, offline=request.offline, progress=sys.stderr.isatty()
            )
        except DatasetError as error:
            raise InvalidError(f"--dataset: {error}") from error
        sample = self._folder / "images"
        write_sample(data, most, sample)
        rows = self._rows()
        directory = request.store_dir or choose_directory(
            rows[Side.HEAD], request.cutoffs, data.images[0].nbytes, request.keyword
        )
        circumstances = machine.Circumstances(
            dataset=data.identity,
            dataset_name=data.name,
            dataset_note=data.note,
            file_system=machine.file_system(directory),
            cache=COLD if names(request.keyword, COLD) else WARM,
            durability="buffered",
        )
        cores = "all" if request.all_cores else "one at a time"
        injected = _in_words(request.injection)
        info = saved.describe_machine(circumstances, gate_cores=cores, gate_injection=injected)
        with temporary_directory("image-stores-gate-", directory) as stores:
            profiles = {
                side: Profile(rows[side], request.cutoffs, request.keyword, sample, stores)
                for side in Side
            }
            judgement = self._judge(profiles, progress)
        if request.injection:
            self.notes.append(f"Injected into the head: {injected}.")
        self.notes.append(
            f"Measured with {data.name} on {directory} ({circumstances.file_system}), buffered,"
            f" {circumstances.cache}, n={','.join(map(str, request.cutoffs))}, cores: {cores};"
            f" {self._save(judgement, info)}."
        )
        if data.note:
            self.notes.append(f"NOTE: {data.note}")
        return judgement

    def _rows(self) -> dict[Side, tuple[str, ...]]:
        """The requested rows that each side has; raises InvalidError if a side has none."""
        stores = {side: list_stores(side, tree) for side, tree in self._trees.items()}
        every = dict.fromkeys((*stores[Side.HEAD], *stores[Side.BASE]))
        asked = self._request.rows or tuple(row for row in every if row in DEFAULT_STORES)
        rows = {
            side: tuple(row for row in asked if row in stores[side] or row not in every)
            for side in Side
        }
        for side in Side:
            if not rows[side]:
                raise InvalidError(f"the {side} has no store {' or '.join(asked)}")
        return rows

    def _save(self, judgement: Judgement, info: Mapping[str, object]) -> str:
        """Save the measurements; returns a phrase that says where, or why not."""
        try:
            paths = saved.save(self._request.save, judgement, info, self._commits)
        except OSError as error:  # the verdict stands without it
            return f"nothing is kept: {error}"
        return f"kept in {paths[0].parent}/{paths[0].name.replace(Side.BASE, '*')}"

    def _judge(self, profiles: Mapping[Side, Profile], progress: Progress) -> Judgement:
        request = self._request
        own = list_benchmarks(self._trees[Side.BASE], profiles[Side.BASE]) if request.base else []
        trees.share_harness(self._trees[Side.HEAD], self._trees[Side.BASE])
        pairs = ProcessPairs(
            self._trees,
            profiles,
            self._folder / "log",
            request.injection,
            request.expected,
            all_cores=request.all_cores,
        )
        if not profiles[Side.HEAD].names_others:
            self.notes.append(
                f"Not covered: {', '.join(OTHER_OPERATIONS)}; name them with -k to measure them."
            )
        if not profiles[Side.HEAD].is_cold:
            self.notes.append("Not covered: reading cold stores; choose that with -k cold.")
        chosen, missing = compare_names(own, pairs.names(), request.expected)
        if missing:
            self.notes.append(f"Left out, as expected, for missing on one side: {_some(missing)}.")
        injection = request.injection
        if injection and not any(injection.into in name for name in chosen):
            raise InvalidError(f"--into: no benchmark has {injection.into!r} in its name")
        if any("parallel_read" in name for name in chosen) and not request.all_cores:
            self.notes.append(
                "All processes of parallel_read shared one core; --all-cores lets them use several."
            )
        judgement = judge(chosen, request.pairs, pairs.measure, progress)
        self.notes += [
            f"Left out: {name} fails on the base, as expected: {problem}"
            for name, problem in pairs.left_out.items()
        ]
        return judgement


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _in_words(injection: Injection | None) -> str:
    return f"{injection.fraction:.0%} into {injection.into}" if injection else "none"
