"""Working on orgs a batch at a time, as processes share a ledger.

An org is claimed, planned from what the ledger holds of it *now*, asked for a batch, booked,
and released; then it lines up again if there is more. So a backfill of hours never holds up
a `collect`, what one process completed the other doesn't ask, and only as many orgs are held
as keep the dispatch busy. A slice is begun at most once in a run: plans go on behind the
last one that was.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from collector.core.coverage import outstanding
from collector.core.ledger_entries import Holder
from collector.core.plan import spans_of
from collector.core.summary import RunSummary
from collector.errors import LedgerError, Rejected
from collector.events import Event, LanePlanned
from collector.fetch import Dispatcher
from collector.fetch.lane import Lane
from collector.model import Org, Slice
from collector.ports import Offload
from collector.run.identity import ASK_AGAIN_S, Binding, held_by
from collector.run.org_task import Batch, Memory, Work

_BATCH = 64  # slices
_HOLD_S = 30.0  # an org is held no longer than that, and what is under way
_HELD_PER_PERMIT = 4  # orgs held for each request that may be under way


class Claims:
    """Feeds the dispatch's lanes with batches. Run `run` beside the dispatch, with `attach` before."""

    def __init__(
        self,
        memory: Memory,
        *,
        offload: Offload,
        flush: Callable[[], Awaitable[None]],
        fail: Callable[[LedgerError], None],
        summary: RunSummary,
        emit: Callable[[Event], None],
        permits: int,
    ) -> None:
        self.busy: dict[str, Holder] = {}  # orgs that were never let go, by name
        self._works = {work.org.name: work for work in memory.works}
        self._line = deque(self._works.values())
        self._held: set[Work] = set()
        self._idle: set[Work] = set()
        self._wanted = memory.wanted
        self._ledger = memory.ledger
        self._offload = offload
        self._flush = flush
        self._fail = fail
        self._summary = summary
        self._emit = emit
        self._capacity = max(8, permits * _HELD_PER_PERMIT)
        self._wait_s = memory.wait_s
        self._woken = asyncio.Event()
        self._dispatcher: Dispatcher | None = None
        self.binding = Binding(memory, self._works, self._held, offload=offload, fail=fail)

    def attach(self, dispatcher: Dispatcher) -> None:
        """Take over the dispatch's lanes: nothing of them is asked before it is claimed."""
        self._dispatcher = dispatcher
        for lane in dispatcher.lanes:
            lane.hold(False, now=asyncio.get_running_loop().time())
            self._works[lane.org.name].lane = lane

    def key_of(self, org: Org) -> int:
        """Return the ledger's key of an org."""
        return self._works[org.name].key

    def on_idle(self, lane: Lane) -> None:
        """Hear that nothing of a lane is under way and its batch is begun."""
        if lane.held:
            self._idle.add(self._works[lane.org.name])
            self._woken.set()

    async def run(self) -> None:
        """Claim, plan and release until nothing is left, the dispatch stops, or the ledger fails."""
        try:
            await self._work()
        except LedgerError as error:
            self._fail(error)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while (self._line or self._held) and not self._dispatch.stopping:
            self._woken.clear()
            if self._dispatch.winding_up:
                self._line = deque(work for work in self._line if work.lane and work.lane.waiting)
            await self._release(self._let_go(loop.time()))
            await self._claim(loop.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_S):
                    await self._woken.wait()

    @property
    def _dispatch(self) -> Dispatcher:
        if self._dispatcher is None:
            raise RuntimeError("the claims are not attached to a dispatch")
        return self._dispatcher

    def _let_go(self, now: float) -> list[Work]:
        """Return the orgs whose batch is over; cut those that were held for long, so that theirs soon is."""
        for work in self._held:
            if now - work.held_since >= _HOLD_S:
                work.plan.cut()
                if work.lane and work.lane.idle:
                    self._idle.add(work)
        return [work for work in self._idle if work.lane and work.lane.idle and not self._goes_on(work, now)]

    def _goes_on(self, work: Work, now: float) -> bool:
        """Say whether an org keeps its lease although no new slice can begin: retries are due soon."""
        return bool(work.lane and work.lane.waiting) and now - work.held_since < _HOLD_S

    async def _release(self, works: list[Work]) -> None:
        if not works:
            return
        self._idle.difference_update(works)
        for work in works:
            if work.lane:
                work.lane.hold(False, now=asyncio.get_running_loop().time())
        await self._flush()
        kept = {work.key for work in self._held.difference(works)}  # two names may be one organization
        await self._offload(lambda: self._ledger.release([work.key for work in works if work.key not in kept]))
        for work in works:
            self._held.discard(work)
            if work.lane and not work.lane.done:
                self._line.append(work)

    async def _claim(self, now: float) -> None:
        works = self._next_in_line()
        if not works:
            return
        self._held.update(works)  # from now on: answers settle while the ledger is asked
        taken = await self._offload(lambda: self._ledger.acquire([work.key for work in works]))
        self._held.difference_update(work for work in works if work.key in taken)
        free = [work for work in works if work.key not in taken]
        planned = await self._offload(lambda: [self._plan(work) for work in free])
        if self._dispatch.stopping:
            return  # the run never came to them
        for work, batch in zip(free, planned, strict=True):
            self._begin(work, batch, now)
        await self._release([work for work in free if work.lane and work.lane.done])
        for work in works:
            if work.key in taken:
                await self._wait_for(work, taken[work.key], now)

    def _next_in_line(self) -> list[Work]:
        """Take the orgs that are claimed next; of two that are one organization only one at a time."""
        taken = {work.key for work in self._held}
        works: list[Work] = []
        for _ in range(len(self._line)):
            if len(self._held) + len(works) >= self._capacity:
                break
            work = self._line.popleft()
            if work.key in taken:
                self._line.append(work)
            else:
                taken.add(work.key)
                works.append(work)
        return works

    def _plan(self, work: Work) -> Batch:
        """Return the next batch of an org, as the ledger holds it now.

        In the writer's thread; the whole list is forgotten here, or memory would grow with the range.
        """
        org = work.org
        span = self._wanted.span(org)
        if span is None:
            return Batch()
        coverage = self._ledger.coverage(work.key, span)
        slices = outstanding(org, span, coverage, self._wanted.asks)
        waiting = work.lane.waiting if work.lane else []
        known = {s: coverage.get((s.population, s.window.start)) for s in waiting}
        done = [s for s in waiting if not self._wanted.asks(org, s.window, known[s])]
        last = work.plan.last
        if last is not None:
            slices = [s for s in slices if _place(s) > _place(last)]
        return Batch(
            slices=slices[:_BATCH],
            beyond=spans_of(slices[_BATCH:]),
            left=Counter(s.population for s in slices),
            done=done,
        )

    def _begin(self, work: Work, batch: Batch, now: float) -> None:
        work.busy_since = None
        work.held_since = now
        if work.lane and batch.done:
            work.lane.forget(batch.done)
            work.plan.begun.subtract(s.population for s in batch.done)
        work.plan.refill(batch.slices, behind=batch.left.total() - len(batch.slices), beyond=batch.beyond)
        begun = work.plan.begun + batch.left
        for population, summary in self._summary.org(work.org).populations.items():
            summary.planned = begun[population]
        self._emit(LanePlanned(org=work.org, slices=begun.total()))
        if work.lane:
            work.lane.hold(True, now=now)
            self._dispatch.changed(work.lane)

    async def _wait_for(self, work: Work, holder: Holder, now: float) -> None:
        """Line up again for an org that another process holds, or give it up after the longest wait."""
        if work.busy_since is None:
            work.busy_since = now
        if now - work.busy_since < self._wait_s:
            self._line.append(work)
            return
        self.busy[work.org.name] = holder
        if work.lane:
            await self._dispatch.end(work.lane, Rejected(code="busy", message=held_by(holder)))


def _place(slice_: Slice) -> tuple[datetime, int]:
    return slice_.window.start, slice_.org.populations.index(slice_.population)
