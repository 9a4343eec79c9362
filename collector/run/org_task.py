"""One org in one run: its lane, its row in the ledger, and how far its leasing is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
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


class OrgTasks:
    """All org tasks of a run: by the org's name, and by the ledger's row. Two names may be one organization."""

    def __init__(self, tasks: Iterable[OrgTask]) -> None:
        self._by_name = {task.org.name: task for task in tasks}
        self._by_key: dict[int, list[OrgTask]] = defaultdict(list)
        for task in self:
            self._by_key[task.key].append(task)

    def __iter__(self) -> Iterator[OrgTask]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> OrgTask:
        return self._by_name[name]

    def move(self, task: OrgTask, key: int) -> None:
        """Go on with another row of the ledger."""
        self._by_key[task.key].remove(task)
        task.key = key
        self._by_key[key].append(task)

    def active_beside(self, task: OrgTask) -> bool:
        """Return whether this process works on the same organization by another name."""
        return any(other.stage.active for other in self._by_key[task.key] if other is not task)
