"""The leasing task: it acquires the leases of orgs, plans their batches, and releases them.

An org's lease is acquired, a batch is planned from what the ledger holds of it *now*, and handed to the
fetching. When the batch is fetched and committed, the lease is released, and the org queues again if there
is more. So a backfill of hours never delays a `collect`, what one process completed no other fetches, and
only as many orgs are leased as keep the fetching busy. A slice begins at most once in a run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from collector.core.grid import Grids
from collector.core.ledger_entries import CalendarChanged, Holder
from collector.core.plan import Abandoned, Batch, next_batch, open_span
from collector.core.summary import RunSummary
from collector.core.wanted import calendars_overlap
from collector.errors import CollectorError, RefusalReason, Refused, Rejected
from collector.events import Event, OrgPlanned
from collector.fetch import Batches
from collector.ports import Offload
from collector.run.identity import BUSY_PAUSE_S, busy_message
from collector.run.org_task import OrgTask, Stage
from collector.run.session import LedgerSession

_BATCH = 64  # slices
_LEASE_S = 30.0  # for which an org is leased at most, and for what is under way then
_LEASED_PER_PERMIT = 4  # orgs leased for each request that may be under way
_COUNT_S = 3.0
_COUNTED_AT_ONCE = 100  # orgs


class Leasing:
    """Feeds the fetching with batches. Run `run` beside it; it calls `wake` when a leased lane is idle."""

    def __init__(
        self,
        session: LedgerSession,
        tasks: Iterable[OrgTask],
        batches: Batches,
        *,
        offload: Offload,
        flush: Callable[[], Awaitable[None]],
        summary: RunSummary,
        emit: Callable[[Event], None],
        permits: int,
    ) -> None:
        self.busy: dict[str, Holder] = {}  # orgs whose lease another process kept, by name
        self._ledger = session.ledger
        self._wanted = session.wanted
        self._wait_s = session.wait_s
        self._tasks = {task.org.name: task for task in tasks}
        self._queue = deque(self._tasks.values())
        self._leased: list[OrgTask] = []
        self._batches = batches
        self._offload = offload
        self._flush = flush
        self._summary = summary
        self._emit = emit
        self._capacity = max(8, permits * _LEASED_PER_PERMIT)
        self._grids = Grids()
        self._woken = asyncio.Event()
        self._winding_up = False
        self._stopped = False

    def wake(self) -> None:
        """Look now for leases to release: the batch of a leased org is over."""
        self._woken.set()

    def wind_up(self) -> None:
        """Lease only orgs whose slices wait for a retry: nothing else begins any more."""
        self._winding_up = True
        self._woken.set()

    def stop(self) -> None:
        """Lease nothing more."""
        self._stopped = True
        self._woken.set()

    async def run(self) -> None:
        """Acquire, plan and release until nothing is left or `stop` is called. Raises LedgerError."""
        while (self._queue or self._leased) and not self._stopped:
            self._woken.clear()
            if self._winding_up:
                self._queue = deque(task for task in self._queue if task.lane.waiting)
            now = asyncio.get_running_loop().time()
            await self._release(self._over(now))
            await self._acquire(now)
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_PAUSE_S):
                    await self._woken.wait()

    async def count_rest(self) -> None:
        """Count what the ledger leaves to fetch of the orgs that the run never came to.

        For some seconds at most, since whoever stopped the run waits; orgs that are not reached count nothing.
        """
        rest = [task for task in self._tasks.values() if not task.planned]
        until = asyncio.get_running_loop().time() + _COUNT_S
        with suppress(CollectorError):
            while rest and asyncio.get_running_loop().time() < until:
                some, rest = rest[:_COUNTED_AT_ONCE], rest[_COUNTED_AT_ONCE:]
                batches = await self._plan_all(some)
                for task, batch in zip(some, batches, strict=True):
                    self._note_plan(task, batch)
                    task.lane.plan.begin(batch)
                    task.lane.plan.cut()

    def _over(self, now: float) -> list[OrgTask]:
        """Return the tasks whose batch is over; cut the batches of those that were leased for long."""
        over = []
        for task in self._leased:
            expired = now - task.leased_since >= _LEASE_S
            if expired:
                task.lane.plan.cut()
            # While retries are due soon the lease is kept, although no new slice can begin.
            if task.lane.leased and task.lane.idle and (expired or not task.lane.waiting):
                over.append(task)
        return over

    async def _release(self, tasks: Sequence[OrgTask]) -> None:
        """Give leases back, once everything that was fetched under them is committed."""
        if not tasks:
            return
        for task in tasks:
            task.lane.release()
        await self._flush()
        kept = {task.key for task in self._leased if task not in tasks}  # two names may be one organization
        await self._offload(lambda: self._ledger.release([task.key for task in tasks if task.key not in kept]))
        self._leased = [task for task in self._leased if task not in tasks]
        for task in tasks:
            if task.lane.done:
                task.stage = Stage.ENDED
            else:
                self._enqueue(task)

    async def _acquire(self, now: float) -> None:
        """Acquire the leases of the orgs at the front of the queue, and hand their batches to the fetching."""
        tasks = self._next_in_queue()
        if not tasks:
            return
        calendars = {task.key: (task.org, self._wanted.since[task.org.name].calendar_since) for task in tasks}
        why_not = await self._offload(lambda: self._ledger.acquire([task.key for task in tasks], calendars))
        leased = [task for task in tasks if task.key not in why_not]
        batches = await self._plan_all(leased)
        if self._stopped:
            return  # the run never came to them
        for task, batch in zip(leased, batches, strict=True):
            self._begin(task, batch, now)
        for task in tasks:
            match why_not.get(task.key):
                case Holder() as holder:
                    self._wait_for(task, holder, now)
                case CalendarChanged() as changed:
                    self._refuse(task, changed)
                case None:
                    pass

    def _next_in_queue(self) -> list[OrgTask]:
        """Take the orgs that are leased next; of two that are one organization only one at a time."""
        keys = {task.key for task in self._leased}
        tasks: list[OrgTask] = []
        for _ in range(len(self._queue)):
            if len(self._leased) + len(tasks) >= self._capacity:
                break
            task = self._queue.popleft()
            if task.key in keys:
                self._queue.append(task)
            else:
                keys.add(task.key)
                task.stage = Stage.ACQUIRING
                tasks.append(task)
        return tasks

    async def _plan_all(self, tasks: Sequence[OrgTask]) -> list[Batch]:
        return await self._offload(lambda: [self._plan(task) for task in tasks])

    def _plan(self, task: OrgTask) -> Batch:
        """Return the next batch of an org, as the ledger holds it now. On the writer's thread."""
        org, plan, waiting = task.org, task.lane.plan, task.lane.waiting
        whole = self._wanted.span(org)
        span = open_span(whole, after=plan.last, waiting=waiting) if whole else None
        if span is None:
            return Batch(org=org)
        return next_batch(
            org,
            self._grids.of(org).windows(span),
            self._ledger.coverage(task.key, span),
            self._wanted.needs,
            size=_BATCH,
            after=plan.last,
            waiting=waiting,
        )

    def _begin(self, task: OrgTask, batch: Batch, now: float) -> None:
        task.stage, task.leased_since, task.busy_since = Stage.LEASED, now, None
        self._leased.append(task)
        self._batches.put_nowait(batch)
        self._note_plan(task, batch)

    def _note_plan(self, task: OrgTask, batch: Batch) -> None:
        planned = task.lane.plan.planned_with(batch)
        task.planned = True
        self._summary.plan(task.org, planned)
        self._emit(OrgPlanned(org=task.org, slices=planned.total()))

    def _wait_for(self, task: OrgTask, holder: Holder, now: float) -> None:
        """Queue an org again whose lease another process has, or abandon it after the longest wait."""
        if task.busy_since is None:
            task.busy_since = now
        if now - task.busy_since < self._wait_s:
            self._enqueue(task)
            return
        task.stage = Stage.ENDED
        self.busy[task.org.name] = holder
        self._batches.put_nowait(Abandoned(org=task.org, failure=Rejected(code="busy", message=busy_message(holder))))

    def _refuse(self, task: OrgTask, changed: CalendarChanged) -> None:
        """End an org of which another process has covered windows that overlap with those of this run."""
        task.stage = Stage.ENDED
        failure = Refused(reason=RefusalReason.CALENDAR, message=calendars_overlap(task.org, changed))
        self._batches.put_nowait(Abandoned(org=task.org, failure=failure))

    def _enqueue(self, task: OrgTask) -> None:
        task.stage = Stage.QUEUED
        self._queue.append(task)
