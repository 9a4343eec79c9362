"""A run's part of the ledger: one piece of work for each org, and what the command wants of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.core.ledger_entries import Standing, UnsealedFile
from collector.core.plan import BatchPlan, Spans
from collector.core.wanted import Since, Wanted
from collector.fetch.identity import Identities
from collector.fetch.lane import Lane
from collector.model import Org, Population, Slice, Window
from collector.ports import Ledger


@dataclass(slots=True, eq=False)
class Work:
    """One org in this run. `key` is the ledger's own."""

    plan: BatchPlan
    key: int
    lane: Lane | None = None
    identified: bool = False
    held_since: float = 0.0
    busy_since: float | None = None

    @property
    def org(self) -> Org:
        """Whose work it is."""
        return self.plan.org


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is asked of an org next: `left` counts all that is left to ask, these slices included."""

    slices: Sequence[Slice] = ()
    beyond: Spans = field(default_factory=dict)  # where those lie that follow
    left: Counter[Population] = field(default_factory=Counter)
    done: Sequence[Slice] = ()  # that wait for another try, and that another process has completed


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The ledger's part in a run: where orgs stand in it, and what the command wants of them."""

    ledger: Ledger
    works: Sequence[Work]
    wanted: Wanted
    identities: Identities
    wait_s: float
    directory: str  # the output's, where it has files
    recovered: Sequence[UnsealedFile] = ()  # files of killed runs that were sealed before this one
    place: str | None = None  # the directory's id, where paths don't tell


def since_of(standing: Standing, ranges: Sequence[Window]) -> Since:
    """Return from when on an org is wanted, by its row and the ranges that it was asked for."""
    return Since(wanted_from=standing.wanted_from, ranges=ranges, calendar_since=standing.calendar_since)
