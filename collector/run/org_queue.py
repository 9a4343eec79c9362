"""The queue of orgs that wait for their lease: long ones first, the others first come, first served.

Knows nothing of leases. Orgs that are not tried before an instant stand aside until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from itertools import count

from collector.fetch import Lane
from collector.run.org_task import OrgTask, Stage

_STALE = 2  # times as many entries as orgs: then the stale ones are removed


class OrgQueue:
    """`least_s` is the least time that the rest of a lane takes, and `is_long` says whether that delays the run."""

    def __init__(
        self, tasks: Iterable[OrgTask], *, least_s: Callable[[Lane], float], is_long: Callable[[Lane], bool]
    ) -> None:
        self._least_s = least_s
        self._is_long = is_long
        self._tickets = count()
        self._ticket: dict[OrgTask, int] = {}  # of the entries that count: older ones are stale
        self._line: deque[tuple[int, OrgTask]] = deque()
        self._longest: list[tuple[float, int, OrgTask]] = []
        self._aside: list[tuple[float, int, OrgTask]] = []  # by until when
        self._busy: set[OrgTask] = set()
        for task in tasks:
            self.put(task)

    def __len__(self) -> int:
        return len(self._ticket)

    @property
    def busy(self) -> bool:
        """Whether another process has had the lease of any of them."""
        return bool(self._busy)

    def put(self, task: OrgTask, *, until: float | None = None) -> None:
        """Let an org wait for its lease, at the end of the queue; it isn't taken before `until`."""
        task.stage = Stage.QUEUED
        self._ticket[task] = ticket = next(self._tickets)
        if task.busy_since is not None:
            self._busy.add(task)
        if until is None:
            self._line_up(ticket, task)
        else:
            heappush(self._aside, (until, ticket, task))

    def take(self, now: float, *, long_only: bool) -> OrgTask | None:
        """Take the org that is next; None if there is none now."""
        while self._aside and self._aside[0][0] <= now:
            _, ticket, task = heappop(self._aside)
            self._line_up(ticket, task)
        while self._longest and self._is_stale(*self._longest[0][1:]):
            heappop(self._longest)
        if self._longest and self._is_long(self._longest[0][2].lane):
            return self._taken(heappop(self._longest)[2])
        while self._line and not long_only:
            ticket, task = self._line.popleft()
            if not self._is_stale(ticket, task):
                return self._taken(task)
        return None

    def clear(self) -> None:
        """Forget all of them."""
        for entries in (self._ticket, self._line, self._longest, self._aside, self._busy):
            entries.clear()

    def _line_up(self, ticket: int, task: OrgTask) -> None:
        self._line.append((ticket, task))
        heappush(self._longest, (-self._least_s(task.lane), ticket, task))
        if len(self._longest) > _STALE * len(self._ticket):
            self._longest = [entry for entry in self._longest if not self._is_stale(*entry[1:])]
            heapify(self._longest)
            self._line = deque(entry for entry in self._line if not self._is_stale(*entry))

    def _is_stale(self, ticket: int, task: OrgTask) -> bool:
        return self._ticket.get(task) != ticket

    def _taken(self, task: OrgTask) -> OrgTask:
        del self._ticket[task]
        self._busy.discard(task)
        return task
