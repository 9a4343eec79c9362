"""The loop that sends: the only part of the dispatch that awaits anything.

One coroutine takes lanes off the board and starts a request for each; at most
`concurrency` of them are under way, and each delivers what it ended before its permit is
free again, so that a slow output slows the asking instead of filling memory.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from collector.core.plan import Plan
from collector.core.request import MAX_SPAN, RangeEnd, build_request
from collector.core.response import Reply, interpret
from collector.core.retry import RetryPolicy
from collector.errors import Broken, Failure, Rejected, Retriable
from collector.events import ApiDown, ApiUp, Event, RequestEnded, SliceOutcome
from collector.fetch.board import Board
from collector.fetch.identity import Identities, Settles
from collector.fetch.lane import Inquiry, Lane, Step
from collector.fetch.limiter import Limiter, Permit
from collector.fetch.outage import Outage
from collector.model import Answer, SliceState
from collector.ports import Clock, Transport


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many requests in any such period."""

    requests: int
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the API is asked at most, all orgs together and each by itself."""

    concurrency: int = 16
    rate: RateLimit = RateLimit(10, 1.0)
    org_concurrency: int = 2
    org_rate: RateLimit = RateLimit(2, 1.0)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    range_end: RangeEnd = RangeEnd.INCLUSIVE
    max_span: timedelta = MAX_SPAN
    allow_same_organization: bool = False


RELOADED = Rejected(code="reloaded", message="the config changed: the next run goes on with it")
STOPPED = Rejected(code="stopped", message="the run was stopped before an answer came")


class Dispatcher:
    """Asks everything that the plans hold, within all limits, and delivers each slice's outcome once."""

    def __init__(
        self,
        plans: Iterable[Plan],
        *,
        limits: Limits,
        transport: Transport,
        clock: Clock,
        deliver: Callable[[SliceOutcome], Awaitable[None]],
        emit: Callable[[Event], None],
        rng: random.Random,
        identities: Settles | None = None,
        on_idle: Callable[[Lane], None] | None = None,
    ) -> None:
        self.lanes = [
            Lane(
                plan,
                permits=limits.org_concurrency,
                limiter=Limiter(limits.org_rate.requests, limits.org_rate.period_s),
                policy=limits.retry,
            )
            for plan in plans
        ]
        self._board = Board(self.lanes)
        self._limits = limits
        self._limiter = Limiter(limits.rate.requests, limits.rate.period_s)
        self._outage = Outage(limits.retry, orgs=sum(not lane.done for lane in self.lanes))
        self._identities: Settles = identities or Identities(allow_same=limits.allow_same_organization)
        self._on_idle = on_idle
        self._transport = transport
        self._clock = clock
        self._deliver = deliver
        self._emit = emit
        self._rng = rng
        self._in_flight = 0
        self._fetches: set[asyncio.Timeout] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self.winding_up = False

    def stop(self, grace_s: float) -> None:
        """Send nothing more; what is under way may take up to `grace_s` seconds. Idempotent."""
        if not self._stopping:
            self._stopping = True
            self._changed.set()
            asyncio.get_running_loop().call_later(grace_s, self._cut_fetches)

    def wind_up(self, grace_s: float) -> None:
        """Begin no new slice: what was begun may take up to `grace_s` seconds to end, retries included. Idempotent."""
        if not self.winding_up:
            self.winding_up = True
            now = asyncio.get_running_loop().time()
            for lane in self.lanes:
                lane.wind_up()
                self._board.put(lane, now)
            self._changed.set()
            asyncio.get_running_loop().call_later(grace_s, self.stop, grace_s)

    @property
    def stopping(self) -> bool:
        """Whether nothing more is sent."""
        return self._stopping

    def changed(self, lane: Lane) -> None:
        """Look at a lane again, whose plan or lease has changed."""
        self._board.put(lane, asyncio.get_running_loop().time())
        self._changed.set()
        if self._on_idle is not None and lane.idle:
            self._on_idle(lane)

    async def end(self, lane: Lane, failure: Failure) -> None:
        """Ask nothing more of a lane."""
        await self._follow(lane.close(SliceState.NOT_ASKED, failure))
        self.changed(lane)

    async def run(self) -> None:
        """Ask until nothing is left or `stop` is called; every slice that was asked ends in an outcome."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while self._board.open and not self._stopping:
                self._changed.clear()
                if self._outage.spent(loop.time()):
                    await self._give_up_on_api(loop.time())
                    continue
                turn = self._next(loop.time())
                if isinstance(turn, Lane):
                    tasks.create_task(self._begin(turn, loop.time()))
                else:
                    await self._wait_until(turn)
        for lane in self.lanes:
            if not lane.done:
                await self._follow(lane.close(SliceState.NOT_ASKED, STOPPED))

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
        """Take the permits at once, so that the next turn sees them taken; then ask."""
        self._in_flight += 1
        inquiry = lane.take(now, uptime=self._outage.uptime(now))
        permit = self._limiter.take()
        self._board.put(lane, now)
        return self._ask(lane, inquiry, permit, probe=self._outage.down)

    async def _ask(self, lane: Lane, inquiry: Inquiry, permit: Permit, *, probe: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._fetch(lane, inquiry, permit)
        now = loop.time()
        permit.end(now)
        self._emit(
            RequestEnded(slice=inquiry.slice, result=_word(result), latency_s=now - began, waited_s=inquiry.waited_s)
        )
        self._note_life(lane, result, now, probe=probe)
        steps = lane.settle(
            inquiry, result, now=now, uptime=self._outage.uptime(now), jitter=self._rng.random(), probe=probe
        )
        await self._follow(steps)
        self._in_flight -= 1
        self.changed(lane)

    async def _fetch(self, lane: Lane, inquiry: Inquiry, permit: Permit) -> Answer | Failure:
        loop = asyncio.get_running_loop()
        request = build_request(inquiry.slice, range_end=self._limits.range_end, max_span=self._limits.max_span)

        def sent() -> None:
            lane.sent(inquiry, loop.time())
            permit.sent(loop.time())
            self._board.put(lane, loop.time())  # when the next may leave is known now
            self._changed.set()

        try:
            async with asyncio.timeout(None) as fetch:
                self._fetches.add(fetch)
                reply = await self._transport.fetch(lane.org, request, on_sent=sent)
        except TimeoutError:
            return STOPPED
        finally:
            self._fetches.discard(fetch)
        if not isinstance(reply, Reply):
            return reply
        result = interpret(reply, request, now=self._clock.now(), pinned_org_id=lane.org.org_id)
        if isinstance(result, Answer):
            return await self._identities.settle(lane.org, result) or result
        return result

    def _note_life(self, lane: Lane, result: Answer | Failure, now: float, *, probe: bool) -> None:
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
            await self.end(lane, failure)
        self._outage.alive(now)

    async def _follow(self, steps: list[Step]) -> None:
        for step in steps:
            self._emit(step)
            if isinstance(step, SliceOutcome):
                await self._deliver(step)

    def _cut_fetches(self) -> None:
        for fetch in self._fetches:
            fetch.reschedule(asyncio.get_running_loop().time())


def _word(result: Answer | Failure) -> str:
    match result:
        case Answer():
            return "partial" if result.partial else "ok"
        case _:
            return result.code
