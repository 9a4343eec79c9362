"""The fetching task of a `relabel`: it takes from the ledger what others request from the API.

Batches come in by the same queue, and each slice ends at once: its records are emitted again with the
present names and labels. Nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from collector.core.naming import Named
from collector.core.plan import Abandoned, Batch
from collector.events import Event, SliceOutcome
from collector.fetch import STOPPED, Batches, Lane
from collector.model import SliceState


class Restating:
    """Feeds the writing. `organizations` are those that have answered, by org name."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        batches: Batches,
        *,
        organizations: Mapping[str, Named],
        deliver: Callable[[SliceOutcome], Awaitable[None]],
        on_idle: Callable[[], None],
        emit: Callable[[Event], None],
    ) -> None:
        self.lanes = lanes
        self._by_name = {lane.org.name: lane for lane in lanes}
        self._batches = batches
        self._organizations = organizations
        self._deliver = deliver
        self._on_idle = on_idle
        self._emit = emit
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Begin no slice any more."""
        self._stopped.set()

    def cut(self) -> None:
        """Nothing is under way that could be cut off."""

    def wind_up(self) -> None:
        """Begin no slice any more: each ends as soon as it has begun."""
        self.stop()

    async def run(self) -> None:
        """Restate until nothing is left or `stop` is called."""
        stopped = asyncio.create_task(self._stopped.wait())
        left = {lane.org.name for lane in self.lanes}
        while left and not self._stopped.is_set():
            taking = asyncio.create_task(self._batches.get())
            await asyncio.wait({taking, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                break
            lane = await self._take(taking.result())
            if lane.done:
                left.discard(lane.org.name)
        stopped.cancel()
        while not self._batches.empty():
            self._end(self._batches.get_nowait())
        for lane in self.lanes:
            if not lane.done:
                self._emit_all(lane.close(SliceState.NOT_ASKED, STOPPED))

    async def _take(self, item: Batch | Abandoned) -> Lane:
        lane = self._end(item)
        while lane.plan.remaining and not self._stopped.is_set():
            outcome = SliceOutcome(
                slice=next(lane.plan),
                state=SliceState.COMPLETE,
                finding=None,
                failure=None,
                requests=0,
                restates=self._organizations[lane.org.name],
            )
            self._emit(outcome)
            await self._deliver(outcome)
        self._on_idle()
        return lane

    def _end(self, item: Batch | Abandoned) -> Lane:
        """Hand a batch to its lane, or end the lane."""
        lane = self._by_name[item.org.name]
        match item:
            case Batch():
                lane.begin(item, now=asyncio.get_running_loop().time())
            case Abandoned(failure=failure):
                self._emit_all(lane.close(SliceState.NOT_ASKED, failure))
        return lane

    def _emit_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._emit(event)
