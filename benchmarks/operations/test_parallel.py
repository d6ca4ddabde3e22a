"""Parallel reading: processes read random batches of one store at the same time."""

import numpy as np
import pytest

from benchmarks.contenders.base import Openable
from benchmarks.harness.protocol import SETTLING, Work
from benchmarks.harness.suite import Case, Measure, Suite
from benchmarks.harness.workers import BatchIds, Team, Workers
from benchmarks.results.recorded import variant_of

from .test_batch import SEED

BATCHES = 8
"""Batches that each process reads in a round; those of the first round are kept and checked."""
MOST_BYTES = 2**26
"""The most pixel bytes that a process reads in a round, but at least one batch."""
MOST_ROUNDS = 25
"""Sending what was read to this process, to be checked, takes several times as long as reading it."""


@pytest.mark.parametrize("processes", [1, 2, 4], ids=lambda count: f"processes={count}")
def test_parallel_read(
    suite: Suite,
    measure: Measure,
    workers: Workers,
    store: Openable,
    n: int,
    cold: bool,
    processes: int,
    sweep: int,
) -> None:
    """Like the workers of a data loader, started beforehand: the throughput of all together."""
    path = suite.workspace.store(store, n)
    chance = np.random.default_rng((SEED, sweep))
    batches = max(1, min(BATCHES, int(MOST_BYTES / (suite.batch * suite.image_bytes))))
    work: list[BatchIds] = []
    seen_all = sweep > 0

    shape = suite.images.shape[1:]
    with Team(workers, processes, store, path, cold, shape) as team:

        def before() -> None:
            work[:] = (
                [chance.integers(0, n, suite.batch) for _ in range(batches)]
                for _ in range(processes)
            )
            team.before(work, keep=not seen_all)  # the first round is checked whole

        def rewind() -> None:
            nonlocal chance
            chance = np.random.default_rng((SEED, sweep))

        def check(_: None) -> None:
            nonlocal seen_all
            for own, kept in zip(work, team.kept_batches(), strict=True):
                for ids, batch in zip(own[-1:] if seen_all else own, kept, strict=True):
                    suite.assert_equal(*batch, ids)
            seen_all = True

        measure(
            Case(
                "parallel_read",
                store,
                n,
                images=processes * batches * suite.batch,
                path=path,
                reads=True,
                cold=cold,
                variant=variant_of(processes),
            ),
            Work(
                before=before,
                run=team.read,
                check=check,
                after=team.after,
                rewind=rewind,
                most=MOST_ROUNDS,
                in_turns=False,
                few_passes=True,
                settling=0.0 if cold else SETTLING,
            ),
        )
