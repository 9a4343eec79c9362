"""The API in virtual time: it tells the truth, or what the scenario makes of it, and keeps book of who asked what.

It is the other side: what it counts is what the limits are held against, and what it answered is what records
are held against.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from collector.core.response import Reply
from collector.errors import Failure, Retriable
from collector.model import ApiRequest, BasicCredential, Org, Population
from tests.simulation.faults import Answered, faulty
from tests.simulation.scenario import Episode, Fault, OrgSpec, Scenario
from tests.simulation.trace import Broken, Trace
from tests.simulation.truth import SliceId, Truth, windows_of

_WIRE = "%Y-%m-%d %H:%M:%S"
JITTER_S = 0.019  # of the way to the API: the limits' margin is a little more
RESET = Retriable(code="connection_lost", message="the connection was lost")


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One request, as the API and the one who asked saw it."""

    run: str
    slice: SliceId
    begun: float
    is_span: bool = False  # for several windows
    arrived: float | None = None
    ended: float | None = None  # when the answer was there, or the asking was given up
    answer: Answered | None = None  # a 200 of the documented shape
    refused: bool = False
    code: str = ""  # of what came back
    retry_after: float = 0.0


@dataclass(slots=True)
class Api:
    """All of the API; `transport` is one process's way to it."""

    scenario: Scenario
    rng: random.Random
    trace: Trace
    truth: Truth
    requests: list[Request] = field(default_factory=list)
    identified: set[str] = field(default_factory=set)  # organizations that the ledger knows for sure
    answered: set[tuple[str, SliceId]] = field(default_factory=set)  # by run
    _under_way: dict[Request, int] = field(default_factory=dict)
    _stalled: dict[int, float] = field(default_factory=dict)

    def transport(self, run: str) -> ApiTransport:
        return ApiTransport(self, run)

    def forget(self, run: str) -> None:
        """See the connections of a process close."""
        for request in [request for request in self._under_way if request.run == run]:
            del self._under_way[request]

    def of_run(self, run: str) -> list[Request]:
        return [request for request in self.requests if request.run == run]

    def instant(self, now: float) -> datetime:
        """Return the true time."""
        return self.scenario.start + timedelta(seconds=now)

    def arrives(self, request: Request, spec: OrgSpec, now: float) -> None:
        """Take a request in, and see whether it may be there at all."""
        request.arrived = now
        if request.slice.end > self.instant(now) + timedelta(hours=12):
            raise Broken("due", f"{request.slice} is asked long before its end")
        other = next(
            (r for r in self._under_way if r.slice.org_id == spec.org_id and r.run != request.run and r.arrived), None
        )
        if other is not None:
            raise Broken("lease", f"{request.run} and {other.run} ask {spec.org_id} at the same time")

    def began(self, request: Request, number: int) -> None:
        self.requests.append(request)
        self._under_way[request] = number
        limits = self.scenario.limits
        mine = [r for r in self._under_way if r.run == request.run]
        of_org = sum(self._under_way[r] == number for r in mine)
        if len(mine) > limits.concurrency or of_org > limits.org_concurrency:
            raise Broken("concurrency", f"{request.run} has {len(mine)} requests under way, {of_org} of org {number}")

    def ended(self, request: Request, now: float) -> None:
        request.ended = now
        self._under_way.pop(request, None)

    def fault_for(self, number: int, now: float) -> tuple[Fault, str] | None:
        """Draw what goes wrong with a request that arrives now; the first that is drawn, if several could."""
        for episode in self.scenario.episodes:
            if episode.covers(number, now) and self.rng.random() < episode.share and self._possible(episode, number):
                return episode.fault, episode.value
        return None

    def _possible(self, episode: Episode, number: int) -> bool:
        """Nobody could tell that a credential is another organization's if its own never answered."""
        spec = self.scenario.orgs[number]
        return episode.fault is not Fault.SWAPPED or spec.pinned or spec.org_id in self.identified

    def stall(self, number: int, now: float) -> float:
        """Return for how long a connection can't be made."""
        for episode in self.scenario.episodes:
            if episode.fault is Fault.STALL and episode.covers(number, now):
                until = self._stalled.get(number, 0.0)
                if until <= now:
                    until = self._stalled[number] = now + self.rng.uniform(0.5, 4.0)
                return until - now
        return 0.0


@dataclass(slots=True)
class ApiTransport:
    """The way to the API of one process (`collector.ports.Transport`)."""

    api: Api
    run: str
    alive: Callable[[], None] = lambda: None

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        loop = asyncio.get_running_loop()
        spec = self.api.scenario.orgs[number_of(org)]
        self.alive()
        slice_ = _slice(spec, request)
        asked = Request(run=self.run, slice=slice_, begun=loop.time(), is_span=len(windows_of(spec, slice_)) > 1)
        self.api.began(asked, spec.number)
        try:
            async with asyncio.timeout(self.api.scenario.timeout):
                reply = await self._exchange(asked, spec, request, on_sent)
        except TimeoutError:
            reply = Retriable(code="timeout", message="no complete answer in time")
        finally:
            self.api.ended(asked, loop.time())
        asked.code = reply.code if not isinstance(reply, Reply) else str(reply.status)
        self.api.trace(self.run, f"asked {asked.slice}: {asked.code} {asked.answer or ''}")
        return reply

    async def _exchange(
        self, asked: Request, spec: OrgSpec, request: ApiRequest, on_sent: Callable[[], None]
    ) -> Reply | Failure:
        api, loop = self.api, asyncio.get_running_loop()
        await asyncio.sleep(api.stall(spec.number, loop.time()) + api.rng.choice((0.0, 0.0, 0.03)))
        on_sent()
        await asyncio.sleep(api.rng.uniform(0, JITTER_S))
        now = loop.time()
        api.arrives(asked, spec, now)
        fault = api.fault_for(spec.number, now)
        await asyncio.sleep(self._latency(spec, fault))
        match fault:
            case (Fault.RESET, _):
                return RESET
            case _:
                return faulty(asked, spec, request, fault, api=api, at=api.instant(loop.time()))

    def _latency(self, spec: OrgSpec, fault: tuple[Fault, str] | None) -> float:
        usual = spec.latency * self.api.rng.uniform(0.5, 1.5)
        match fault:
            case (Fault.SLOW, _):
                return usual + self.api.rng.uniform(1.0, 0.9 * self.api.scenario.timeout)
            case (Fault.TIMEOUT, _):
                return self.api.scenario.timeout * 2
            case _:
                return usual


def number_of(org: Org) -> int:
    """Return which of the scenario's organizations an entry's credential belongs to."""
    if not isinstance(org.credential, BasicCredential):
        raise Broken("api", "the scenario's credentials have user names")
    return int(org.credential.username.removeprefix("user-"))


def _slice(spec: OrgSpec, request: ApiRequest) -> SliceId:
    """Read a request as the documents say: wall clocks at an offset, the last second included."""
    start, last = (_instant(text, request.timezone) for text in (request.from_, request.to))
    return SliceId(spec.org_id, Population(request.population), start, last + timedelta(seconds=1))


@lru_cache(10_000)
def _instant(text: str, offset: str) -> datetime:
    return datetime.strptime(f"{text} {offset}", f"{_WIRE} %z").astimezone(UTC)
