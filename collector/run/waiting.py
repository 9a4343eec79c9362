"""Waiting for other processes: how long for the lease of a busy org, and what is emitted of it.

It is emitted once when the waiting for a process begins, and once when none is waited for any more: not once for
each org. Who asks for leases, and when, is decided by the leasing.
"""

from __future__ import annotations

from collections.abc import Callable

from collector.core.ledger_entries import Holder
from collector.events import Event, LeaseAwaited, LeaseWaitEnded
from collector.run.org_task import OrgTask

_BETWEEN_BATCHES_S = 120.0  # or longer: for an org that this run has left to another process


class Waiting:
    """What this run waits for. `wait_s` is for an org of which it has fetched nothing. Times are the loop's."""

    def __init__(self, wait_s: float, *, emit: Callable[[Event], None]) -> None:
        self.given_up: dict[str, Holder] = {}  # orgs whose lease another process kept, by name
        self._wait_s = wait_s
        self._emit = emit
        self._busy: dict[str, Holder] = {}  # orgs that were found busy since the last report
        self._awaited: set[Holder] = set()  # in this run
        self._reported: set[str] = set()  # orgs that were given up, and LeaseWaitEnded was emitted
        self._since: float | None = None
        self._emitted = False  # LeaseAwaited, since then

    def goes_on(self, task: OrgTask, holder: Holder, now: float) -> bool:
        """Note that another process has an org's lease; return False if it was waited for too long."""
        if task.busy_since is None:
            task.busy_since = now
        self._busy[task.org.name] = holder
        wait_s = max(self._wait_s, _BETWEEN_BATCHES_S) if task.planned else self._wait_s
        return now - task.busy_since < wait_s

    def give_up(self, task: OrgTask, holder: Holder) -> None:
        """Note that another process kept the lease of an org of which something is left to fetch."""
        self.given_up[task.org.name] = holder

    def report(self, now: float, *, over: bool) -> None:
        """Emit for which process the waiting has begun since the last report, and whether all waiting is `over`."""
        if self._busy and self._since is None:
            self._since = now
        for holder in dict.fromkeys(self._busy.values()):
            if holder not in self._awaited and self._wait_s > 0:
                orgs = [name for name, other in self._busy.items() if other == holder]
                self._emit(LeaseAwaited(orgs=orgs, holder=holder, wait_s=self._wait_s))
                self._emitted = True
            self._awaited.add(holder)
        self._busy.clear()
        if self._since is not None and over:
            self._end(now - self._since)

    def _end(self, waited_s: float) -> None:
        given_up = {name: holder for name, holder in self.given_up.items() if name not in self._reported}
        if self._emitted or given_up:
            self._emit(LeaseWaitEnded(waited_s=waited_s, busy=given_up))
        self._reported.update(given_up)
        self._since, self._emitted = None, False
