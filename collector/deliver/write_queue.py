"""The writing task: outcomes queue up for the writer, in the order in which their slices ended.

The queue is bounded, so a slow output slows the fetching. A slice is counted when it is committed.
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
_RECORDS = 2048  # in the queue, and in a batch: a hostile answer has 1,000 of them

PARTIAL = ("partial", "the answers stayed partial: some products could not be fetched")


Item = SliceOutcome | asyncio.Event | None  # an outcome; an event to set when all before it is committed; the end


class _Outcomes(asyncio.Queue[Item]):
    """A queue that is full with so many outcomes, or with so many records in them."""

    _records = 0

    def full(self) -> bool:
        """Return whether `put` waits."""
        return self._records >= _RECORDS or super().full()

    def _put(self, item: Item) -> None:
        super()._put(item)
        self._records += _records_of(item)

    def _get(self) -> Item:
        item: Item = super()._get()
        self._records -= _records_of(item)
        return item


def _records_of(item: Item) -> int:
    return len(item.finding.products) if isinstance(item, SliceOutcome) and item.finding else 0


class WriteQueue:
    """Feeds the writer. Run `run` beside the fetching; end with `close`."""

    def __init__(
        self,
        writer: Writer,
        *,
        offload: Offload,
        summary: RunSummary,
        emit: Callable[[Event], None],
        gather_s: float,
    ) -> None:
        self.failure: CollectorError | None = None
        self.failed = asyncio.Event()
        self._writer = writer
        self._offload = offload
        self._summary = summary
        self._emit = emit
        self._gather_s = gather_s
        self._queue = _Outcomes(_QUEUE)

    async def put(self, outcome: SliceOutcome) -> None:
        """Hand over the end of a slice; wait while the output is behind."""
        self._summary.of_slice(outcome.slice).requests += outcome.requests
        if self.failure is None:
            await self._queue.put(outcome)

    def fail(self, error: CollectorError) -> None:
        """Write nothing more, and set `failed`."""
        if self.failure is None:
            self.failure = error
            self.failed.set()

    async def flush(self) -> None:
        """Wait until everything that was put before is committed, or can't be."""
        if self.failure is None:
            committed = asyncio.Event()
            await self._queue.put(committed)
            await committed.wait()

    async def close(self) -> None:
        """Mark the end: nothing is put after it."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write until closed. After a failure the rest is taken and dropped, so that nobody waits."""
        closed = False
        while not closed:
            batch, reached, closed = await self._next_batch()
            if batch and self.failure is None:
                await self._write(batch)
            if reached is not None:
                reached.set()

    async def _next_batch(self) -> tuple[list[SliceOutcome], asyncio.Event | None, bool]:
        """Take what is there or comes within the gathering time: each batch costs a commit and an fsync or two.

        Return it with the event to set behind it, if there is one, and whether the queue is closed.
        """
        loop = asyncio.get_running_loop()
        batch: list[SliceOutcome] = []
        until, records = None, 0
        while len(batch) < _BATCH and records < _RECORDS:
            if self._queue.empty():
                try:
                    async with asyncio.timeout_at(until):
                        item = await self._queue.get()
                except TimeoutError:
                    break
            else:
                item = self._queue.get_nowait()
            match item:
                case None:
                    return batch, None, True
                case asyncio.Event():
                    return batch, item, False
                case SliceOutcome():
                    batch.append(item)
                    records += _records_of(item)
                    until = until or loop.time() + self._gather_s
        return batch, None, False

    async def _write(self, outcomes: list[SliceOutcome]) -> None:
        try:
            for commit in await self._offload(lambda: self._writer.write(outcomes)):
                self._emit(commit)
                self._count(commit)
            if self._writer.full:
                await self._offload(self._writer.seal)
                self._summary.mark()
        except (OutputError, LedgerError) as error:
            self.fail(error)

    def _count(self, commit: SliceCommitted) -> None:
        outcome = commit.outcome
        if (organization := outcome.finding or outcome.restates) is not None:
            org = self._summary.org(outcome.slice.org)
            org.org_id, org.org_name = organization.org_id, organization.org_name
        why = None
        if outcome.state is not SliceState.COMPLETE:
            why = (outcome.failure.code, outcome.failure.message) if outcome.failure is not None else PARTIAL
        population = self._summary.of_slice(outcome.slice)
        population.end(outcome.state, outcome.slice.window, why=why, records=commit.records)
        if outcome.finding is not None and outcome.finding.inferred:
            population.infer()
        population.flag(outcome.slice.window, commit.flags, restated=commit.restated)
        if population.comparison is not None:
            population.comparison.committed(outcome.slice.window, restated=commit.restated, kept=commit.kept)
