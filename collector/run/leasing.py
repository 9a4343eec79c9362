"""The leasing task: it acquires the leases of orgs, plans their batches, and releases them.

An org's lease is acquired, a batch is planned from what the ledger holds of it *now*, and handed to the
fetching. When every slice that was begun has ended and is committed, the lease is released, and the org queues
again if there is more. It is left free for a while if another process waits for it. So a backfill of hours
never delays a `collect`, what one process completed no other fetches, and only as many orgs are leased as keep
the fetching busy. A slice begins at most once in a run, and ends under the lease under which it began: while
slices wait for long retries, the org goes on with the next batch, unless another process waits for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from collector.core.calendar_changes import calendars_overlap
from collector.core.grid import Grids
from collector.core.ledger_entries import CalendarChanged, Holder
from collector.core.plan import Abandoned, Batch, next_batch, open_span
from collector.core.summary import RunSummary
from collector.core.wanted import needs_at
from collector.errors import CollectorError, RefusalReason, Refused, Rejected
from collector.events import Event, LeaseAwaited, LeaseWaitEnded, OrgPlanned
from collector.fetch import Batches
from collector.ports import Clock, Offload
from collector.run.identity import BUSY_PAUSE_S, busy_message
from collector.run.org_task import OrgTask, Stage
from collector.run.session import LedgerSession

_BATCH = 64  # slices
_LEASE_S = 30.0  # after which a batch begins no new slice
_LEFT_FREE_S = 1.5 * BUSY_PAUSE_S  # after a batch, if another process waits for the org
_TRIED_AGAIN_S = 0.9 * BUSY_PAUSE_S  # after which the lease of a busy org is tried again
_WAIT_BETWEEN_BATCHES_S = 120.0  # or longer: for an org that this run has left to another process
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
        clock: Clock,
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
        self._not_before: dict[int, float] = {}  # until then an org is left free, or not tried again; by key
        self._batches = batches
        self._offload = offload
        self._clock = clock
        self._flush = flush
        self._summary = summary
        self._emit = emit
        self._capacity = max(8, permits * _LEASED_PER_PERMIT)
        self._grids = Grids()
        self._woken = asyncio.Event()
        self._awaited: set[Holder] = set()  # in this run
        self._given_up: set[str] = set()  # orgs of which LeaseWaitEnded was emitted
        self._waiting_since: float | None = None
        self._wait_emitted = False  # LeaseAwaited, since then
        self._winding_up = False
        self._stopped = False

    def wake(self) -> None:
        """Look now for leases to release: the batch of a leased org is over."""
        self._woken.set()

    def wind_up(self) -> None:
        """Lease nothing more, and keep the leases of what was begun until it has ended."""
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
                self._queue.clear()
            now = asyncio.get_running_loop().time()
            await self._release(self._over(now))
            await self._acquire(now)
            await self._go_on(now)
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
        for task in self._leased:
            if now - task.leased_since >= _LEASE_S:
                task.lane.plan.cut()
        return [task for task in self._leased if task.lane.leased and task.lane.idle and not task.lane.waiting]

    async def _release(self, tasks: Sequence[OrgTask]) -> None:
        """Give leases back, once everything that was fetched under them is committed."""
        if not tasks:
            return
        for task in tasks:
            task.lane.release()
        await self._flush()
        kept = {task.key for task in self._leased if task not in tasks}  # two names may be one organization
        keys = [task.key for task in tasks if task.key not in kept]
        await self._offload(lambda: self._ledger.release(keys))
        free_until = asyncio.get_running_loop().time() + _LEFT_FREE_S
        self._not_before |= dict.fromkeys(await self._offload(lambda: self._ledger.waited_for(keys)), free_until)
        self._leased = [task for task in self._leased if task not in tasks]
        for task in tasks:
            if task.lane.done:
                task.stage = Stage.ENDED
            else:
                self._enqueue(task)

    async def _acquire(self, now: float) -> None:
        """Acquire the leases of the orgs at the front of the queue, and hand their batches to the fetching."""
        tasks = self._next_in_queue(now)
        if not tasks:
            return
        calendars = {task.key: (task.org, self._wanted.since[task.org.name].calendar_since) for task in tasks}
        why_not = await self._offload(lambda: self._ledger.acquire([task.key for task in tasks], calendars))
        leased = [task for task in tasks if task.key not in why_not]
        batches = await self._plan_all(leased)
        if self._stopped:
            return  # the run never came to them
        for task, batch in zip(leased, batches, strict=True):
            self._leased.append(task)
            self._begin(task, batch, now)
        changed = {key: why for key, why in why_not.items() if isinstance(why, CalendarChanged)}
        busy = {key: why for key, why in why_not.items() if isinstance(why, Holder)}
        for task in tasks:
            if task.key in changed:
                self._refuse(task, changed[task.key])
        await self._wait(tasks, busy, now)

    async def _wait(self, tasks: Sequence[OrgTask], busy: Mapping[int, Holder], now: float) -> None:
        """Queue busy orgs again, and wait no longer for those that were waited for too long."""
        waiting = [task for task in tasks if task.key in busy]
        given_up = [task for task in waiting if not self._wait_for(task, busy[task.key], now)]
        if given_up:
            await self._offload(lambda: self._ledger.release([task.key for task in given_up]))
            for task, batch in zip(given_up, await self._plan_all(given_up), strict=True):
                if batch.slices:
                    self.busy[task.org.name] = busy[task.key]
                else:  # the ledger shows that nothing is left to fetch
                    self._note_plan(task, batch)
        self._note_wait({task.org.name: busy[task.key] for task in waiting}, now)

    async def _go_on(self, now: float) -> None:
        """Give the next batch to leased orgs of which only retries are left, unless another process waits for them."""
        keys = Counter(task.key for task in self._leased)
        stalled = [task for task in self._leased if task.lane.stalled and keys[task.key] == 1][: self._room(now)]
        if not stalled:
            return
        waited_for = await self._offload(lambda: self._ledger.waited_for([task.key for task in stalled]))
        tasks = [task for task in stalled if task.key not in waited_for]
        batches = await self._plan_all(tasks)
        if self._stopped:
            return
        for task, batch in zip(tasks, batches, strict=True):
            self._begin(task, batch, now)

    def _room(self, now: float) -> int:
        """Return how many orgs may be leased; those that only wait for the ends of what they began don't count."""
        return max(0, self._capacity - sum(now - task.leased_since < _LEASE_S for task in self._leased))

    def _next_in_queue(self, now: float) -> list[OrgTask]:
        """Take the orgs that are leased next; of two that are one organization only one at a time."""
        keys = {task.key for task in self._leased}
        tasks: list[OrgTask] = []
        room = self._room(now)
        for _ in range(len(self._queue)):
            if len(tasks) >= room:
                break
            task = self._queue.popleft()
            if task.key in keys or self._not_before.get(task.key, now) > now:
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
        org, plan = task.org, task.lane.plan
        whole = self._wanted.span(org)
        span = open_span(whole, after=plan.last) if whole else None
        if span is None:
            return Batch(org=org)
        return next_batch(
            org,
            self._grids.of(org).windows(span),
            self._ledger.coverage(task.key, span),
            needs_at(self._wanted, self._clock.now()),
            size=_BATCH,
            after=plan.last,
        )

    def _begin(self, task: OrgTask, batch: Batch, now: float) -> None:
        task.stage, task.leased_since, task.busy_since = Stage.LEASED, now, None
        self._batches.put_nowait(batch)
        self._note_plan(task, batch)

    def _note_plan(self, task: OrgTask, batch: Batch) -> None:
        planned = task.lane.plan.planned_with(batch)
        task.planned = True
        self._summary.plan(task.org, planned)
        self._emit(OrgPlanned(org=task.org, slices=planned.total()))

    def _wait_for(self, task: OrgTask, holder: Holder, now: float) -> bool:
        """Queue an org again whose lease another process has; return False if it was waited for too long."""
        if task.busy_since is None:
            task.busy_since = now
        wait_s = max(self._wait_s, _WAIT_BETWEEN_BATCHES_S) if task.planned else self._wait_s
        if now - task.busy_since < wait_s:
            self._not_before[task.key] = now + _TRIED_AGAIN_S
            self._enqueue(task)
            return True
        task.stage = Stage.ENDED
        self._batches.put_nowait(Abandoned(org=task.org, failure=Rejected(code="busy", message=busy_message(holder))))
        return False

    def _note_wait(self, waiting: Mapping[str, Holder], now: float) -> None:
        """Emit when the waiting for a process first begins, and when no process is waited for any more."""
        if waiting and self._waiting_since is None:
            self._waiting_since = now
        for holder in dict.fromkeys(waiting.values()):
            if holder not in self._awaited and self._wait_s > 0:
                orgs = [name for name, other in waiting.items() if other == holder]
                self._emit(LeaseAwaited(orgs=orgs, holder=holder, wait_s=self._wait_s))
                self._wait_emitted = True
            self._awaited.add(holder)
        if self._waiting_since is None or any(task.busy_since is not None for task in self._queue):
            return
        given_up = {name: holder for name, holder in self.busy.items() if name not in self._given_up}
        if self._wait_emitted or given_up:
            self._emit(LeaseWaitEnded(waited_s=now - self._waiting_since, busy=given_up))
        self._given_up.update(given_up)
        self._waiting_since, self._wait_emitted = None, False

    def _refuse(self, task: OrgTask, changed: CalendarChanged) -> None:
        """End an org of which another process has covered windows that overlap with those of this run."""
        task.stage = Stage.ENDED
        failure = Refused(reason=RefusalReason.CALENDAR, message=calendars_overlap(task.org, changed))
        self._batches.put_nowait(Abandoned(org=task.org, failure=failure))

    def _enqueue(self, task: OrgTask) -> None:
        task.stage = Stage.QUEUED
        self._queue.append(task)
