"""Runs the real dispatch in virtual time against an API in memory."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from collector.core.identities import Identities
from collector.core.plan import Abandoned, Batch
from collector.errors import Failure, Retriable
from collector.events import Event, SliceOutcome
from collector.fetch import Backlog, Dispatcher, Lane, Limits, RateLimit, lanes_of
from collector.model import Answer, Org, SliceState
from tests.support.fake_api import FakeApi, FakeClock
from tests.support.virtual_time import run_virtual

E = TypeVar("E")
COMPLETE, PARTIAL, FAILED, REFUSED, NOT_ASKED = SliceState
FAST = Limits(concurrency=16, rate=RateLimit(1000, 1.0), org_concurrency=2, org_rate=RateLimit(1000, 1.0))


@dataclass
class Dispatched:
    """What came of a dispatch, with the loop's time of each outcome."""

    api: FakeApi
    outcomes: list[tuple[float, SliceOutcome]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ended_at: float = 0.0
    lanes: list[Lane] = field(default_factory=list)

    def states(self, org: str | None = None) -> Counter[SliceState]:
        return Counter(o.state for _, o in self.outcomes if org in (None, o.slice.org.name))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def finished_at(self, org: str) -> float:
        return max(at for at, o in self.outcomes if o.slice.org.name == org)


def dispatch(
    batches: list[Batch],
    api: FakeApi,
    limits: Limits = FAST,
    *,
    seed: int = 1,
    during: Callable[[Dispatcher], Awaitable[None]] | None = None,
    deliver: Callable[[SliceOutcome], Awaitable[None]] | None = None,
    allow_same: bool = False,
    busy: bool = False,
) -> Dispatched:
    """Dispatch a batch of each org to its end; `during` runs beside it. If `busy`, other leases are in the way."""
    result = Dispatched(api)
    identities = Identities(allow_same=allow_same)

    async def verify(org: Org, answer: Answer) -> Failure | None:
        return Retriable(code="busy", message="busy") if busy else identities.check(org, answer)

    async def take(outcome: SliceOutcome) -> None:
        result.outcomes.append((asyncio.get_running_loop().time(), outcome))
        if deliver is not None:
            await deliver(outcome)

    async def main() -> None:
        queue = asyncio.Queue[Batch | Abandoned]()
        for batch in batches:
            queue.put_nowait(batch)
        result.lanes = lanes_of((batch.org for batch in batches), limits)
        dispatcher = Dispatcher(
            result.lanes,
            queue,
            limits=limits,
            backlog=Backlog(limits),
            transport=api,
            clock=FakeClock(),
            verify=verify,
            deliver=take,
            on_idle=lambda: None,
            emit=result.events.append,
            rng=random.Random(seed),
        )
        async with asyncio.TaskGroup() as tasks:
            if during is not None:
                tasks.create_task(_run(during, dispatcher))
            await dispatcher.run()
            result.ended_at = asyncio.get_running_loop().time()

    run_virtual(main())
    return result


async def _run(during: Callable[[Dispatcher], Awaitable[None]], dispatcher: Dispatcher) -> None:
    await during(dispatcher)
