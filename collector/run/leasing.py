"""The leasing task: it acquires the leases of orgs, plans their batches, and releases them.

An org's lease is acquired, a batch is planned from what the ledger holds of it *now*, and handed to the
fetching. When every slice that was begun has ended and is committed, the lease is released, and the org queues
again if there is more (`org_queue`). It is left free for a while if another process waits for it. So a backfill of
hours never delays a `collect`, what one process completed no other fetches, and only as many orgs are leased as keep
the fetching busy. A slice begins at most once in a run, and ends under the lease under which it began: while
slices wait for long retries, the org goes on with the next batch, unless another process waits for it.
Two orgs that are one organization have one row in the ledger, and are leased in turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from collector.core.calendar_changes import refusal
from collector.core.ledger_entries import CalendarChanged, CredentialUse, Holder
from collector.core.plan import Abandoned, Batch
from collector.errors import Failure, Refused, Rejected, RowsMergedError
from collector.events import Event
from collector.fetch import Backlog, Batches
from collector.ports import Clock, Offload
from collector.run.identity import BUSY_PAUSE_S, busy_message
from collector.run.org_queue import OrgQueue
from collector.run.org_task import OrgTask, OrgTasks, Stage
from collector.run.planning import Planning
from collector.run.session import LedgerSession
from collector.run.waiting import Waiting

_LEASE_S = 30.0  # after which a batch begins no new slice
_AHEAD_S = 5.0  # before that, the next batch is planned of an org that goes on
_LEFT_FREE_S = 1.5 * BUSY_PAUSE_S  # after a batch, if another process waits for the org
_TRIED_AGAIN_S = 0.9 * BUSY_PAUSE_S  # after which the lease of a busy org is tried again
_LEASED_PER_PERMIT = 4  # orgs leased for each request that may be under way


class Leasing:
    """Feeds the fetching with batches. Run `run` beside it; it calls `wake` when a leased lane is idle."""

    def __init__(
        self,
        session: LedgerSession,
        tasks: OrgTasks,
        batches: Batches,
        *,
        planning: Planning,
        backlog: Backlog,
        offload: Offload,
        flush: Callable[[], Awaitable[None]],
        emit: Callable[[Event], None],
        permits: int,
        clock: Clock,
    ) -> None:
        self._session = session
        self._ledger = session.ledger
        self._wanted = session.wanted
        self._waiting = Waiting(session.wait_s, emit=emit)
        self._tasks = tasks
        self._backlog = backlog
        self._queue = OrgQueue((), least_s=backlog.least_s, is_long=backlog.is_long)
        self._leased: list[OrgTask] = []
        self._not_before: dict[int, float] = {}  # until then an org is left free, or not tried again; by key
        self._batches = batches
        self._planning = planning
        self._offload = offload
        self._clock = clock
        self._flush = flush
        self._capacity = max(8, permits * _LEASED_PER_PERMIT)
        self._woken = asyncio.Event()
        self._winding_up = False
        self._stopped = False

    @property
    def busy(self) -> Mapping[str, Holder]:
        """The orgs whose lease another process kept, by name."""
        return self._waiting.given_up

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
        await self._refuse(self._session.refused)
        await self._enqueue_all()
        while self._open:
            self._woken.clear()
            if self._winding_up:
                self._queue.clear()
            now = asyncio.get_running_loop().time()
            await self._release(self._over(now))
            await self._acquire(now)
            await self._go_on(now)
            if self._open:
                await self._pause()

    async def _enqueue_all(self) -> None:
        tasks = [task for task in self._tasks if task.org.name not in self._session.refused]
        await self._planning.estimate(tasks)
        for task in tasks:
            self._backlog.note(task.lane)
            self._queue.put(task)

    @property
    def _open(self) -> bool:
        return bool(self._queue or self._leased) and not self._stopped

    async def _pause(self) -> None:
        """Wait until the batch of a leased org is over, or it is time to look for leases of other processes again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_PAUSE_S):
                await self._woken.wait()

    def _over(self, now: float) -> list[OrgTask]:
        """Return the tasks whose batch is over; cut the batches of those that were leased for long."""
        for task in self._leased:
            if now - task.leased_since >= _LEASE_S:
                task.lane.plan.cut()
        return [task for task in self._leased if task.lane.done or _is_over(task)]

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
                self._queue.put(task, until=self._not_before.get(task.key))

    async def _acquire(self, now: float) -> None:
        """Acquire the leases of the orgs at the front of the queue, and hand their batches to the fetching."""
        tasks = self._next_in_queue(now)
        if not tasks:
            return
        calendars = {task.key: (task.org, self._wanted.since[task.org.name].calendar_since) for task in tasks}
        try:
            why_not = await self._offload(lambda: self._ledger.acquire([task.key for task in tasks], calendars))
        except RowsMergedError:
            await self._look_up(tasks)
            return
        leased = [task for task in tasks if task.key not in why_not]
        batches = await self._planning.plan(leased)
        if self._stopped:
            return  # the run never came to them
        for task, batch in zip(leased, batches, strict=True):
            self._leased.append(task)
            self._begin(task, batch, now)
        changed = {key: why for key, why in why_not.items() if isinstance(why, CalendarChanged)}
        busy = {key: why for key, why in why_not.items() if isinstance(why, Holder)}
        await self._refuse(
            {task.org.name: refusal(task.org, changed[task.key]) for task in tasks if task.key in changed}
        )
        await self._wait(tasks, busy, now)

    async def _look_up(self, tasks: Sequence[OrgTask]) -> None:
        """Queue orgs again with the rows that the ledger has of them now. Nothing of them was leased."""
        standings = await self._offload(lambda: [self._session.look_up(task.org) for task in tasks])
        for task, standing in zip(tasks, standings, strict=True):
            if isinstance(standing, CalendarChanged):
                await self._refuse({task.org.name: refusal(task.org, standing)})
            else:
                self._tasks.move(task, standing.key)
                task.identified = standing.org_id is not None
                self._queue.put(task)
        self.wake()

    async def _wait(self, tasks: Sequence[OrgTask], busy: Mapping[int, Holder], now: float) -> None:
        """Queue busy orgs again, and wait no longer for those that were waited for too long."""
        given_up = []
        for task in tasks:
            holder = busy.get(task.key)
            if holder is None:
                continue
            if self._waiting.goes_on(task, holder, now):
                self._not_before[task.key] = until = now + _TRIED_AGAIN_S
                self._queue.put(task, until=until)
            else:
                self._abandon(task, Rejected(code="busy", message=busy_message(holder)))
                given_up.append(task)
        if given_up:
            await self._offload(lambda: self._ledger.release([task.key for task in given_up]))
            for task, batch in zip(given_up, await self._planning.plan(given_up), strict=True):
                if batch.slices:
                    self._waiting.give_up(task, busy[task.key])
                else:  # the ledger shows that nothing is left to fetch
                    self._planning.note(task, batch)
        self._waiting.report(now, over=not self._queue.busy)

    async def _go_on(self, now: float) -> None:
        """Give the next batch to leased orgs that would only wait, unless another process waits for them.

        Only retries are left of their batch; or it runs out, and no other org is due, or the run waits for this one.
        """
        keys = Counter(task.key for task in self._leased)
        stalled = [task for task in self._leased if task.lane.stalled and keys[task.key] == 1][: self._room(now)]
        stalled += [task for task in self._leased if self._runs_out(task, now) and keys[task.key] == 1]
        if not stalled:
            return
        waited_for = await self._offload(lambda: self._ledger.waited_for([task.key for task in stalled]))
        tasks = [task for task in stalled if task.key not in waited_for]
        batches = await self._planning.plan(tasks)
        if self._stopped:
            return
        for task, batch in zip(tasks, batches, strict=True):
            self._begin(task, batch, now)

    def _runs_out(self, task: OrgTask, now: float) -> bool:
        lane, leased_s = task.lane, now - task.leased_since
        if not lane.may_go_on or lane.stalled or leased_s >= _LEASE_S:
            return False
        soon = lane.runs_out or leased_s >= _LEASE_S - _AHEAD_S
        return soon and (not self._queue or self._backlog.is_long(lane))

    def _room(self, now: float) -> int:
        """Return how many orgs may be leased; those that only wait for the ends of what they began don't count."""
        return max(0, self._capacity - sum(now - task.leased_since < _LEASE_S for task in self._leased))

    def _next_in_queue(self, now: float) -> list[OrgTask]:
        """Take the orgs that are leased next; of two that are one organization only one at a time."""
        keys = {task.key for task in self._leased}
        tasks: list[OrgTask] = []
        in_use: list[OrgTask] = []
        room = self._room(now)
        # Long ones need no room: they are few, and the run is over no earlier than they are.
        while (task := self._queue.take(now, long_only=len(tasks) >= room)) is not None:
            if task.lane.done:  # its host was given up while another process had the lease
                task.stage = Stage.ENDED
            elif task.key in keys:
                in_use.append(task)
            elif (until := self._not_before.get(task.key, now)) > now:
                self._queue.put(task, until=until)
            else:
                keys.add(task.key)
                task.stage = Stage.ACQUIRING
                tasks.append(task)
        for task in in_use:
            self._queue.put(task)
        return tasks

    def _begin(self, task: OrgTask, batch: Batch, now: float) -> None:
        """Hand a batch to the fetching, unless the org's host was given up meanwhile: nobody may take it any more."""
        task.stage, task.leased_since, task.busy_since = Stage.LEASED, now, None
        if task.lane.done:
            self.wake()
        else:
            task.lane.expect()
            self._batches.put_nowait(batch)
            self._planning.note(task, batch)

    def _abandon(self, task: OrgTask, failure: Failure) -> None:
        """End an org of which this run can lease nothing more."""
        task.stage = Stage.ENDED
        self._batches.put_nowait(Abandoned(org=task.org, failure=failure))

    async def _refuse(self, refused: Mapping[str, Refused]) -> None:
        """End orgs whose windows would overlap with covered ones."""
        if not refused:
            return
        now, tasks = self._clock.now(), {name: self._tasks[name] for name in refused}
        uses = [CredentialUse(org=task.org, at=now, refused=refused[name]) for name, task in tasks.items()]
        await self._offload(lambda: self._ledger.commit((), None, uses))
        for name, task in tasks.items():
            self._abandon(task, refused[name])


def _is_over(task: OrgTask) -> bool:
    return task.lane.leased and task.lane.idle and not task.lane.waiting
