"""One org in one run: its lane, its row in the ledger, and how far its leasing is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from collector.fetch import Lane
from collector.model import Org


class Stage(Enum):
    """Where an org is between its first lease and its end.

    queued → acquiring → leased → queued again, as long as there is more to fetch; then ended.
    """

    QUEUED = auto()  # waits for its lease
    ACQUIRING = auto()  # waits for the ledger's answer
    LEASED = auto()  # this process works on the org
    ENDED = auto()  # nothing more of it is fetched in this run

    @property
    def active(self) -> bool:
        """Whether this process has the lease, or is about to."""
        return self in (Stage.ACQUIRING, Stage.LEASED)


@dataclass(slots=True, eq=False)
class OrgTask:
    """The state of one org. `key` is the ledger's own; times are the loop's, in seconds."""

    lane: Lane
    key: int
    identified: bool  # whether the ledger knows which organization it is
    stage: Stage = Stage.QUEUED
    planned: bool = False  # whether it is known what is left to fetch of it
    leased_since: float = 0.0
    busy_since: float | None = None  # since when another process has had the lease

    @property
    def org(self) -> Org:
        """The org of the config."""
        return self.lane.org
