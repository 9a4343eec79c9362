"""The writer's side of the event loop: outcomes queue up for the books, in the order in which they ended.

The queue is bounded, so a slow output slows the asking. A slice counts as complete only
once no failure of the output can take its records back: booked, sealed, or on stdout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from collector.core.summary import RunSummary
from collector.deliver.writer import Writer
from collector.errors import CollectorError, LedgerError, OutputError
from collector.events import Event, SliceCommitted, SliceOutcome
from collector.model import SliceState
from collector.ports import Offload

_QUEUE = 256  # outcomes, of about six records each
_BATCH = 256

PARTIAL = ("partial", "the answers stayed partial: some products could not be fetched")


class WriteQueue:
    """Feeds the books. Run `run` beside the dispatch; end with `close`."""

    def __init__(
        self,
        books: Writer,
        *,
        offload: Offload,
        summary: RunSummary,
        on_failure: Callable[[], None],
        emit: Callable[[Event], None],
        gather_s: float = 0.0,
    ) -> None:
        self.failure: CollectorError | None = None
        self._books = books
        self._offload = offload
        self._summary = summary
        self._unsealed = RunSummary({})  # what is counted once it is kept
        self._on_failure = on_failure
        self._emit = emit
        self._gather_s = gather_s
        self._queue: asyncio.Queue[SliceOutcome | asyncio.Event | None] = asyncio.Queue(_QUEUE)

    async def put(self, outcome: SliceOutcome) -> None:
        """Hand over the end of a slice; waits while the output is behind."""
        self._summary.org(outcome.slice.org).populations[outcome.slice.population].requests += outcome.asked
        if self.failure is None:
            await self._queue.put(outcome)

    def fail(self, error: CollectorError) -> None:
        """Write nothing more, and say so to who asks."""
        if self.failure is None:
            self.failure = error
            self._on_failure()

    async def flush(self) -> None:
        """Wait until all that was put so far is written and booked, or can't be."""
        if self.failure is None:
            reached = asyncio.Event()
            await self._queue.put(reached)
            await reached.wait()

    async def close(self) -> None:
        """Say that nothing follows."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write until closed. After a failure the rest is taken and dropped, so that nobody waits."""
        end: asyncio.Event | None = asyncio.Event()
        while end is not None:
            batch, end = await self._next_batch()
            if batch and self.failure is None:
                await self._write(batch)
            if end is not None:
                end.set()

    async def _next_batch(self) -> tuple[list[SliceOutcome], asyncio.Event | None]:
        """Take what is there, or comes while a batch is gathered: each costs a commit and an fsync or two.

        With it goes who waits for it to be written, or None if it is the last.
        """
        loop = asyncio.get_running_loop()
        batch: list[SliceOutcome] = []
        until = None
        nobody = asyncio.Event()
        while len(batch) < _BATCH:
            try:
                async with asyncio.timeout_at(until):
                    item = await self._queue.get()
            except TimeoutError:
                return batch, nobody
            if not isinstance(item, SliceOutcome):
                return batch, item
            batch.append(item)
            if until is None:
                until = loop.time() + self._gather_s
        return batch, nobody

    async def _write(self, outcomes: list[SliceOutcome]) -> None:
        try:
            booked = await self._offload(lambda: self._books.write(outcomes))
        except (OutputError, LedgerError) as error:
            self.fail(error)
            return
        for one in booked:
            self._emit(one)
            self._count(one)
        self.settle()

    def settle(self) -> None:
        """Count what was written, if it is kept by now."""
        if self._books.all_kept:
            self._summary.absorb(self._unsealed)
            self._unsealed = RunSummary({})

    def _count(self, booked: SliceCommitted) -> None:
        outcome = booked.outcome
        org = self._unsealed.org(outcome.slice.org)
        if outcome.finding is not None:
            org.org_id, org.org_name = outcome.finding.org_id, outcome.finding.org_name
        failure = outcome.failure
        why = None
        if outcome.state is not SliceState.COMPLETE:
            why = (failure.code, failure.message) if failure is not None else PARTIAL
        population = org.populations[outcome.slice.population]
        population.end(outcome.state, outcome.slice.window, why=why, asked=0, records=booked.records)
        population.flag(booked.flags, restated=booked.restated)
