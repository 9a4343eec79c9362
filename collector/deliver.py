"""The writer: the one place where outcomes become records and leave.

One coroutine takes outcomes in the order in which they ended, turns them into records and
writes them in batches; the queue before it is bounded, so a slow output slows the asking.
A slice counts as complete only after its records were written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from collector.core.normalise import missing_products, normalise
from collector.core.summary import RunSummary
from collector.dispatch import SliceOutcome
from collector.errors import OutputError
from collector.model import Record, SliceState
from collector.ports import Clock, Sink

log = structlog.get_logger(__name__)

_QUEUE = 256  # outcomes, of about ten records each
_BATCH = 128

PARTIAL = ("partial", "the answers stayed partial: some products could not be fetched")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRules:
    """What the records of a run have in common."""

    run_id: str
    trust_zero_for: timedelta


class Writer:
    """Owns the sink for the length of a run. Run `run` beside the dispatch; end with `close`."""

    def __init__(
        self, sink: Sink, *, clock: Clock, rules: RecordRules, summary: RunSummary, on_failure: Callable[[], None]
    ) -> None:
        self.failure: OutputError | None = None
        self._sink = sink
        self._clock = clock
        self._rules = rules
        self._summary = summary
        self._on_failure = on_failure
        self._queue: asyncio.Queue[SliceOutcome | None] = asyncio.Queue(_QUEUE)
        self._collected_at: datetime | None = None

    async def put(self, outcome: SliceOutcome) -> None:
        """Hand over the end of a slice; waits while the output is behind."""
        if self.failure is None:
            await self._queue.put(outcome)

    async def close(self) -> None:
        """Say that nothing follows."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write until closed. After a failure the rest is taken and dropped, so that nobody waits."""
        closed = False
        while not closed:
            batch = [await self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            closed = batch[-1] is None
            if self.failure is None:
                await self._write([outcome for outcome in batch if outcome is not None])

    async def _write(self, outcomes: list[SliceOutcome]) -> None:
        written = [(outcome, self._records(outcome)) for outcome in outcomes]
        records = [record for _, records in written for record in records]
        try:
            if records:
                await self._sink.write(records)
        except OutputError as error:
            self.failure = error
            self._on_failure()
            return
        for outcome, own in written:
            self._count(outcome, len(own))

    def _records(self, outcome: SliceOutcome) -> list[Record]:
        finding = outcome.finding
        if finding is None:
            return []
        if missing := missing_products(finding):
            slice_ = outcome.slice
            log.warning(
                "answer.product_missing",
                org=slice_.org.name,
                population=slice_.population.value,
                window=str(slice_.window),
                products=missing,
            )
        return list(
            normalise(
                outcome.slice,
                finding,
                collected_at=self._rising_now(),
                run_id=self._rules.run_id,
                trust_zero_for=self._rules.trust_zero_for,
            )
        )

    def _rising_now(self) -> datetime:
        """Return the time of the clock, or a little more: the newest `collected_at` wins downstream."""
        now = self._clock.now()
        if self._collected_at is not None and now <= self._collected_at:
            now = self._collected_at + timedelta(microseconds=1)
        self._collected_at = now
        return now

    def _count(self, outcome: SliceOutcome, records: int) -> None:
        org = self._summary.orgs[outcome.slice.org.name]
        if outcome.finding is not None:
            org.org_id, org.org_name = outcome.finding.org_id, outcome.finding.org_name
        failure = outcome.failure
        why = None
        if outcome.state is not SliceState.COMPLETE:
            why = (failure.code, failure.message) if failure is not None else PARTIAL
        org.populations[outcome.slice.population].end(
            outcome.state, outcome.slice.window, why=why, asked=outcome.asked, records=records
        )
