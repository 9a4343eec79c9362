"""The fetching task: the only part of the fetching that awaits anything.

Batches come in by a queue; each goes to its org's lane. One coroutine takes lanes off the board and
starts a request for each; at most `concurrency` requests are under way, and each delivers what it ended
before its permit is free again, so that a slow output slows the fetching instead of filling memory.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress

from collector.core.plan import Abandoned, Batch
from collector.core.request import build_request
from collector.core.response import Reply, interpret
from collector.errors import Failure, Postponed, Rejected, defect, kind_of, place_of
from collector.events import Event, RequestEnded, SliceDefect, SliceOutcome
from collector.fetch.backlog import Backlog
from collector.fetch.board import Board
from collector.fetch.hosts import Hosts
from collector.fetch.lane import Lane, Step
from collector.fetch.limiter import Limiter, Permit
from collector.fetch.limits import Limits
from collector.fetch.slice_fetch import SliceFetch
from collector.model import Answer, ApiRequest, BearerCredential, Org, SliceState
from collector.ports import Clock, Transport

RELOADED = Rejected(
    code="reloaded", message="the config changed during the run: the next run continues with the new config"
)
GAVE_WAY = Rejected(
    code="gave_way", message="a run that was due went first: what is left here is compared again after it"
)
STOPPED = Rejected(code="stopped", message="the run was stopped before this was fetched")

Batches = asyncio.Queue[Batch | Abandoned]
Verify = Callable[[Org, Answer], Awaitable[Failure | Postponed | None]]


class Dispatcher:
    """Fetches the batches of all lanes within all limits, and delivers each slice's outcome once.

    `verify` returns why an answer must not be committed for an org, or not now. `on_idle` is called
    when the batch of a leased lane runs out, and when nothing of it is under way: its lease may be released.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        batches: Batches,
        *,
        limits: Limits,
        backlog: Backlog,
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
        self._backlog = backlog
        self._board = Board(lanes, is_long=backlog.is_long)
        self._limits = limits
        self._limiter = Limiter(limits.rate.requests, limits.rate.period_s)
        self._hosts = Hosts(lanes, emit=emit, rng=rng)
        self._trusted: set[Lane] = set()  # that have something left to fetch
        self._transport = transport
        self._clock = clock
        self._verify = verify
        self._deliver = deliver
        self._on_idle = on_idle
        self._emit = emit
        self._rng = rng
        self._in_flight = 0
        self._untrusted_in_flight = 0
        self._requests: dict[asyncio.Task[None], bool] = {}  # under way, and whether each has left
        self._cut_off: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.stopping = False  # nothing more is sent

    def stop(self) -> None:
        """Send nothing more; requests under way go on, except those that have not left: they may never do."""
        self.stopping = True
        self._end([task for task, has_left in self._requests.items() if not has_left])
        self._changed.set()

    def cut(self) -> None:
        """End the requests that are under way."""
        self._end(list(self._requests))

    def _end(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task not in self._cut_off:
                self._cut_off.add(task)
                task.cancel()

    def wind_up(self) -> None:
        """Begin no new slice: what was begun goes on to its end, retries included."""
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
                for lanes, failure in self._hosts.given_up(loop.time()):
                    await self._close(lanes, failure)
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
                    self._hosts.expect(lane)
            case Abandoned(failure=failure):
                steps = lane.close(SliceState.NOT_ASKED, failure)
        self._look_again(lane)
        return steps

    def _look_again(self, lane: Lane) -> None:
        """Queue a lane whose state has changed."""
        self._backlog.note(lane)
        if lane.trusted and not lane.done:
            self._trusted.add(lane)
        else:
            self._trusted.discard(lane)
        self._board.put(lane, asyncio.get_running_loop().time())
        self._changed.set()
        if lane.leased and (lane.idle or lane.runs_out):
            self._on_idle()

    def _next(self, now: float) -> Lane | float | None:
        """Return the lane that sends now, or until when to wait (None: until something changes)."""
        if self._in_flight >= self._limits.concurrency:
            return None
        when = self._limiter.ready_at(now)
        if when is None or when > now:
            return when
        # Half of the permits are kept for lanes whose last request was answered, as long as there are any.
        most_untrusted = max(1, self._limits.concurrency // 2)
        trusted_only = bool(self._trusted) and self._untrusted_in_flight >= most_untrusted
        return self._board.next(now, trusted_only=trusted_only)

    async def _wait_until(self, when: float | None) -> None:
        moments = [moment for moment in (when, self._hosts.next_end) if moment is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(moments, default=None)):
                await self._changed.wait()

    def _begin(self, lane: Lane, now: float) -> Coroutine[None, None, None]:
        """Take the permits at once, so that the next turn sees them taken; then send the request."""
        untrusted = not lane.trusted
        self._in_flight += 1
        self._untrusted_in_flight += untrusted
        probe = self._hosts.begin(lane)
        fetch = lane.take(now)
        permit = self._limiter.take(now)
        self._board.put(lane, now)
        return self._fetch(lane, fetch, permit, probe=probe, untrusted=untrusted)

    async def _fetch(self, lane: Lane, fetch: SliceFetch, permit: Permit, *, probe: bool, untrusted: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await self._request(lane, fetch, permit)
        host = self._hosts.note(lane, reply, sent_at=began, now=loop.time(), probe=probe)
        result = await self._verified(fetch, reply) if isinstance(reply, Answer) else reply
        now = loop.time()
        permit.end(now)
        self._backlog.took(lane, now - began)
        self._emit(
            RequestEnded(slice=fetch.slice, result=_name(result), latency_s=now - began, waited_s=fetch.waited_s)
        )
        if host.closed is not None:
            await self._close(self._hosts.lanes_beside(lane), host.closed)
        if isinstance(result, Postponed):
            await self._follow(lane.postpone(fetch, now=now))
        else:
            await self._follow(lane.received(fetch, result, now=now, jitter=self._rng.random(), probe=probe))
        self._in_flight -= 1
        self._untrusted_in_flight -= untrusted
        if host.freed:
            for other in self._hosts.in_turn(lane):
                self._look_again(other)
        self._look_again(lane)

    async def _request(self, lane: Lane, fetch: SliceFetch, permit: Permit) -> Answer | Failure:
        """Return what a request brings. Whatever goes wrong with one slice is that slice's failure, never the run's."""
        try:
            request = build_request(fetch.slice, range_end=self._limits.range_end, max_span=self._limits.max_span)
        except ValueError as error:
            return Rejected(code="window", message=f"the window can't be requested: {error}")
        try:
            return await self._send(lane, fetch, request, permit)
        except Exception as error:  # noqa: BLE001 - a defect of ours in one org's slice hurts no other
            return self._defect(fetch, error)

    async def _verified(self, fetch: SliceFetch, answer: Answer) -> Answer | Failure | Postponed:
        """Return the answer if it may be committed for its org now, else why not."""
        try:
            return await self._verify(fetch.slice.org, answer) or answer
        except Exception as error:  # noqa: BLE001 - see `_request`
            return self._defect(fetch, error)

    def _defect(self, fetch: SliceFetch, error: Exception) -> Failure:
        self._emit(SliceDefect(slice=fetch.slice, kind=kind_of(error), place=place_of(error)))
        return defect(error)

    async def _send(self, lane: Lane, fetch: SliceFetch, request: ApiRequest, permit: Permit) -> Answer | Failure:
        if self.stopping:
            return STOPPED
        loop, task = asyncio.get_running_loop(), _this_task()

        def sent() -> None:
            self._requests[task] = True
            lane.sent(fetch, loop.time())
            permit.sent(loop.time())
            self._board.put(lane, loop.time())  # when the next may leave is known now
            self._changed.set()

        self._requests[task] = False
        try:
            reply = await self._transport.fetch(lane.org, request, on_sent=sent)
        except asyncio.CancelledError:
            if task not in self._cut_off:
                raise
            task.uncancel()
            return STOPPED
        finally:
            del self._requests[task]
            self._cut_off.discard(task)
        if not isinstance(reply, Reply):
            return reply
        if wrong := self._hosts.wrong_clock(lane, reply, self._clock.now()):
            return wrong
        by_token = isinstance(lane.org.credential, BearerCredential)
        return interpret(reply, request, now=self._clock.now(), pinned_org_id=lane.org.org_id, by_token=by_token)

    async def _close(self, lanes: Iterable[Lane], failure: Failure) -> None:
        """Fetch nothing more of these orgs in this run."""
        for lane in lanes:
            await self._follow(lane.close(SliceState.NOT_ASKED, failure))
            self._look_again(lane)

    async def _follow(self, steps: list[Step]) -> None:
        for step in steps:
            self._emit(step)
            if isinstance(step, SliceOutcome):
                await self._deliver(step)


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request is sent outside a task")
    return task


def _name(result: Answer | Failure | Postponed) -> str:
    match result:
        case Answer():
            return "partial" if result.partial else "ok"
        case _:
            return result.code
