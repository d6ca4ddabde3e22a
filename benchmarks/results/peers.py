"""Peers beside this project's stores: formats by operations, and where a peer is ahead."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from benchmarks.contenders.peers import PEERS
from benchmarks.contenders.rows import STORE_ROWS
from benchmarks.harness.protocol import FEW_ROUNDS

from .jobs import Job
from .ratio import Ratio
from .recorded import OF_FILES
from .standing import ERROR, holm, p_wins
from .summary import ORDER, Figure

COLUMNS = (
    Job("store all", "", "store_many"),
    Job("read all", "", "read_many"),
    Job("read all, files", "", "read_many", OF_FILES),
    Job("open + one", "", "read_single"),
    Job("random batch", "", "read_batch"),
    Job("random batch, files", "", "read_batch", OF_FILES),
    Job("epoch", "", "epoch"),
    Job("one by one", "", "iterate", "single"),
    Job("slice", "", "iterate", "slice"),
    Job("2 processes", "", "parallel_read", "2 processes"),
    Job("bytes on disk", "", "store_many", disk=True),
)
"""The columns of the tables; those of files are of pictures only."""


@dataclass(frozen=True)
class PeerCell:
    """One figure of a table.

    value: µs per image or per call, or bytes per image
    multiple: of the limit, the median of the ratios within sweeps; None if it has no such operation
    ahead: whether it is a peer's that is shown to be ahead of every store of this project here
    few: whether it is from too few rounds
    """

    value: float
    multiple: float | None
    ahead: bool
    few: bool


@dataclass(frozen=True)
class PeerTable:
    """The figures of one n.

    of_files: whether rows keep files, which are compared with a limit of their own
    columns: those that were measured
    rows: of each row by name, its cells by column; an operation that it does not have is missing
    """

    n: int
    of_files: bool
    columns: tuple[Job, ...]
    rows: Mapping[str, Mapping[Job, PeerCell]]

    def ahead(self) -> dict[str, list[str]]:
        """The peers that are ahead of every store, by the name of each column of peers."""
        found = {}
        for job in self.columns:
            peers = [name for name, cells in self.rows.items() if name in PEERS and job in cells]
            if peers:
                found[job.name] = [name for name in peers if self.rows[name][job].ahead]
        return found


def peer_tables(figures: Iterable[Figure]) -> list[PeerTable]:
    """One table for each n at which a peer was measured warm, by rising n.

    That a peer is ahead is decided as a winner is, with Holm's correction over all cells of peers. It
    is compared with the stores of its own process; one that keeps files, with those that do.
    """
    found: dict[tuple[int, Job], dict[str, Figure]] = {}
    for figure in figures:
        for job in COLUMNS:
            kind = (job.operation, job.variant, job.cold)
            if kind == (figure.operation, figure.variant, figure.cold):
                found.setdefault((figure.n, job), {})[figure.backend] = figure
    tried = {
        (n, job, name): p_wins(others)
        for (n, job), of in found.items()
        for name in of.keys() & PEERS.keys()
        if (others := _stores_beside(job, of[name], of))
    }
    shown = holm([*tried.values()], ERROR)
    ahead = {key for key, is_shown in zip(tried, shown, strict=True) if is_shown}
    return [
        _table(n, {job: of for (at, job), of in found.items() if at == n}, ahead)
        for n in sorted({n for (n, _), of in found.items() if of.keys() & PEERS.keys()})
    ]


def _stores_beside(job: Job, peer: Figure, of: Mapping[str, Figure]) -> dict[str, Ratio]:
    """Of each store that was measured beside a peer, by what factor its figure is the peer's."""
    return {
        name: job.ratio(figure, peer)
        for name, figure in of.items()
        if name in STORE_ROWS
        and figure.keeps_files is peer.keeps_files
        and figure.sweeps.keys() & peer.sweeps.keys()
    }


def _table(
    n: int, found: Mapping[Job, Mapping[str, Figure]], ahead: Set[tuple[int, Job, str]]
) -> PeerTable:
    names = {name for of in found.values() for name in of}
    columns = tuple(job for job in COLUMNS if job in found)
    rows: dict[str, dict[Job, PeerCell]] = {}
    for name in sorted(names, key=lambda name: ORDER.get(name, len(ORDER))):
        for job in columns:
            if figure := found[job].get(name):
                few = figure.rounds < FEW_ROUNDS and not job.disk
                multiple = None if job.disk else _multiple(figure, found[job])
                is_ahead = (n, job, name) in ahead
                rows.setdefault(name, {})[job] = PeerCell(
                    job.value(figure), multiple, is_ahead, few
                )
    of_files = any(figure.keeps_files for of in found.values() for figure in of.values())
    return PeerTable(n, of_files, columns, rows)


def _multiple(figure: Figure, of: Mapping[str, Figure]) -> float | None:
    limit = figure.limit(of.values())
    ratio = Ratio.within(figure.sweeps, limit.sweeps) if limit else None
    return ratio.value if ratio else None
