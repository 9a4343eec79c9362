"""The fetching task: the only part of the fetching that awaits anything.

Batches come in by a queue; each goes to its org's lane. One coroutine takes lanes off the board and
starts a request for each; at most `concurrency` requests are under way, and each delivers what it ended
before its permit is free again, so that a slow output slows the fetching instead of filling memory.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress

from collector.core.plan import Abandoned, Batch
from collector.core.request import build_request
from collector.core.response import Reply, interpret
from collector.errors import Broken, Failure, Rejected, Retriable
from collector.events import ApiDown, ApiUp, Event, RequestEnded, SliceOutcome
from collector.fetch.board import Board
from collector.fetch.lane import Lane, Step
from collector.fetch.limiter import Limiter, Permit
from collector.fetch.limits import Limits
from collector.fetch.outage import Outage
from collector.fetch.slice_fetch import SliceFetch
from collector.model import Answer, Org, SliceState
from collector.ports import Clock, Transport

RELOADED = Rejected(code="reloaded", message="the config changed: the next run goes on with it")
STOPPED = Rejected(code="stopped", message="the run was stopped before an answer came")

Batches = asyncio.Queue[Batch | Abandoned]
Verify = Callable[[Org, Answer], Awaitable[Failure | None]]


class Dispatcher:
    """Fetches the batches of all lanes within all limits, and delivers each slice's outcome once.

    `verify` returns why an answer must not be committed for an org, if it must not. `on_idle` is called
    when the batch of a leased lane is begun and nothing of it is under way: its lease may be released.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        batches: Batches,
        *,
        limits: Limits,
        transport: Transport,
        clock: Clock,
        verify: Verify,
        deliver: Callable[[SliceOutcome], Awaitable[None]],
        on_idle: Callable[[], None],
        emit: Callable[[Event], None],
        rng: random.Random,
    ) -> None:
        self.lanes = lanes
        self._by_name = {lane.org.name: lane for lane in lanes}
        self._batches = batches
        self._board = Board(lanes)
        self._limits = limits
        self._limiter = Limiter(limits.rate.requests, limits.rate.period_s)
        self._outage = Outage(limits.retry)
        self._transport = transport
        self._clock = clock
        self._verify = verify
        self._deliver = deliver
        self._on_idle = on_idle
        self._emit = emit
        self._rng = rng
        self._in_flight = 0
        self._fetches: set[asyncio.Timeout] = set()
        self._changed = asyncio.Event()
        self.stopping = False  # nothing more is sent
        self.winding_up = False  # no new slice begins

    def stop(self) -> None:
        """Send nothing more; requests under way go on."""
        self.stopping = True
        self._changed.set()

    def cut(self) -> None:
        """End the requests that are under way."""
        for fetch in self._fetches:
            fetch.reschedule(asyncio.get_running_loop().time())

    def wind_up(self) -> None:
        """Begin no new slice: what was begun goes on to its end, retries included."""
        self.winding_up = True
        for lane in self.lanes:
            lane.plan.end()
            self._look_again(lane)

    async def run(self) -> None:
        """Fetch until nothing is left or `stop` is called; every slice that was begun ends in an outcome."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(self._take_batches(tasks))
            while self._board.open and not self.stopping:
                self._changed.clear()
                if self._outage.spent(loop.time()):
                    await self._give_up_on_api(loop.time())
                    continue
                turn = self._next(loop.time())
                if isinstance(turn, Lane):
                    tasks.create_task(self._begin(turn, loop.time()))
                else:
                    await self._wait_until(turn)
            taking.cancel()
        while not self._batches.empty():
            self._take(self._batches.get_nowait())
        for lane in self.lanes:
            if not lane.done:
                await self._follow(lane.close(SliceState.NOT_ASKED, STOPPED))

    async def _take_batches(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            steps = self._take(await self._batches.get())
            tasks.create_task(self._follow(steps))

    def _take(self, item: Batch | Abandoned) -> list[Step]:
        """Hand a batch to its lane, or end the lane; return what follows from it."""
        lane = self._by_name[item.org.name]
        steps: list[Step] = []
        match item:
            case Batch():
                lane.begin(item, now=asyncio.get_running_loop().time())
                if item.slices:
                    self._outage.orgs.add(item.org.name)
            case Abandoned(failure=failure):
                steps = lane.close(SliceState.NOT_ASKED, failure)
        self._look_again(lane)
        return steps

    def _look_again(self, lane: Lane) -> None:
        """Queue a lane whose state has changed."""
        self._board.put(lane, asyncio.get_running_loop().time())
        self._changed.set()
        if lane.leased and lane.idle:
            self._on_idle()

    def _next(self, now: float) -> Lane | float | None:
        """Return the lane that sends now, or until when to wait (None: until something changes)."""
        if self._in_flight >= (1 if self._outage.down else self._limits.concurrency):
            return None
        when = self._limiter.ready_at(now)
        if when is None:
            return None
        if self._outage.down:
            when = max(when, self._outage.probe_at)
        return when if when > now else self._board.next(now)

    async def _wait_until(self, when: float | None) -> None:
        moments = [moment for moment in (when, self._outage.ends_at) if moment is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(moments, default=None)):
                await self._changed.wait()

    def _begin(self, lane: Lane, now: float) -> Coroutine[None, None, None]:
        """Take the permits at once, so that the next turn sees them taken; then send the request."""
        self._in_flight += 1
        fetch = lane.take(now, uptime=self._outage.uptime(now))
        permit = self._limiter.take()
        self._board.put(lane, now)
        return self._fetch(lane, fetch, permit, probe=self._outage.down)

    async def _fetch(self, lane: Lane, fetch: SliceFetch, permit: Permit, *, probe: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._request(lane, fetch, permit)
        now = loop.time()
        permit.end(now)
        self._emit(
            RequestEnded(slice=fetch.slice, result=_name(result), latency_s=now - began, waited_s=fetch.waited_s)
        )
        self._watch_api(lane, result, now, probe=probe)
        steps = lane.settle(
            fetch, result, now=now, uptime=self._outage.uptime(now), jitter=self._rng.random(), probe=probe
        )
        await self._follow(steps)
        self._in_flight -= 1
        self._look_again(lane)

    async def _request(self, lane: Lane, fetch: SliceFetch, permit: Permit) -> Answer | Failure:
        loop = asyncio.get_running_loop()
        request = build_request(fetch.slice, range_end=self._limits.range_end, max_span=self._limits.max_span)

        def sent() -> None:
            lane.sent(fetch, loop.time())
            permit.sent(loop.time())
            self._board.put(lane, loop.time())  # when the next may leave is known now
            self._changed.set()

        try:
            async with asyncio.timeout(None) as timeout:
                self._fetches.add(timeout)
                reply = await self._transport.fetch(lane.org, request, on_sent=sent)
        except TimeoutError:
            return STOPPED
        finally:
            self._fetches.discard(timeout)
        if not isinstance(reply, Reply):
            return reply
        result = interpret(reply, request, now=self._clock.now(), pinned_org_id=lane.org.org_id)
        if isinstance(result, Answer):
            return await self._verify(lane.org, result) or result
        return result

    def _watch_api(self, lane: Lane, result: Answer | Failure, now: float, *, probe: bool) -> None:
        """Tell an API that is down from an org that fails."""
        match result:
            case Broken() | Retriable(rate_limited=False):
                if self._outage.failed(lane.org.name, now):
                    self._emit(ApiDown(failures=self._outage.failures, last=result))
                if probe or self._outage.down:
                    self._outage.probed(now, self._rng.random())
            case _:
                down_s = self._outage.alive(now)
                if down_s is not None:
                    self._emit(ApiUp(down_s=down_s))

    async def _give_up_on_api(self, now: float) -> None:
        failure = Retriable(
            code="api_down",
            message="every org failed until the budget for retries was spent: the API or the way to it is down",
        )
        for lane in self.lanes:
            await self._follow(lane.close(SliceState.NOT_ASKED, failure))
            self._look_again(lane)
        self._outage.alive(now)

    async def _follow(self, steps: list[Step]) -> None:
        for step in steps:
            self._emit(step)
            if isinstance(step, SliceOutcome):
                await self._deliver(step)


def _name(result: Answer | Failure) -> str:
    match result:
        case Answer():
            return "partial" if result.partial else "ok"
        case _:
            return result.code
