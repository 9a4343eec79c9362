"""The next batch of an org, planned from what the ledger holds of it now; and what is left at the end of a run."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from collector.core.grid import Grids
from collector.core.ledger_entries import DoubtfulSlice
from collector.core.plan import Batch, next_batch, open_span
from collector.core.summary import RunSummary
from collector.core.wanted import ReconcileWanted, needs_at, searching_at
from collector.errors import CollectorError
from collector.events import Event, OrgPlanned
from collector.ports import Clock, Offload
from collector.run.expecting import Expecting
from collector.run.org_task import OrgTask
from collector.run.session import LedgerSession

_BATCH = 64  # slices
_COUNT_S = 3.0
_COUNTED_AT_ONCE = 100  # orgs


class Planning:
    """Plans batches on the writer's thread, and notes what they leave. Never knows when an org is leased."""

    def __init__(
        self,
        session: LedgerSession,
        *,
        offload: Offload,
        clock: Clock,
        summary: RunSummary,
        emit: Callable[[Event], None],
    ) -> None:
        self._ledger = session.ledger
        self._wanted = session.wanted
        self._offload = offload
        self._clock = clock
        self._summary = summary
        self._emit = emit
        self._grids = Grids()
        wanted = session.wanted
        self._expecting = Expecting(session.ledger, wanted) if isinstance(wanted, ReconcileWanted) else None

    async def estimate(self, tasks: Iterable[OrgTask]) -> None:
        """Set what is expected of orgs that are not planned yet: all windows that the command considers.

        That is an upper bound, and costs no look at the ledger: planning every org at the start would take long.
        """
        await self._offload(lambda: self._estimate(tasks))

    async def plan(self, tasks: Sequence[OrgTask]) -> list[Batch]:
        """Return the next batch of each org. Raises LedgerError."""
        return await self._offload(lambda: [self._plan(task) for task in tasks])

    def note(self, task: OrgTask, batch: Batch) -> None:
        """Note that the run goes on with a batch: what it fetches of the org is known now."""
        planned = task.lane.plan.planned_with(batch)
        task.planned = True
        self._summary.plan(task.org, planned)
        if self._expecting is not None:
            self._expecting.note(self._summary.org(task.org))
        self._emit(OrgPlanned(org=task.org, slices=planned.total()))

    async def count_rest(self, tasks: Iterable[OrgTask]) -> None:
        """Count what the ledger leaves to fetch of the orgs that the run never came to.

        For some seconds at most, since whoever stopped the run waits; orgs that are not reached count nothing.
        """
        rest = [task for task in tasks if not task.planned]
        until = asyncio.get_running_loop().time() + _COUNT_S
        with suppress(CollectorError):
            while rest and asyncio.get_running_loop().time() < until:
                some, rest = rest[:_COUNTED_AT_ONCE], rest[_COUNTED_AT_ONCE:]
                batches = await self.plan(some)
                for task, batch in zip(some, batches, strict=True):
                    self.note(task, batch)
                    task.lane.plan.begin(batch)
                    task.lane.plan.cut()

    async def count_in_doubt(self, tasks: Iterable[OrgTask], file_ids: Collection[int]) -> None:
        """Count what the command considers and the ledger has as fetched, though its file may still be lost.

        `file_ids` are the files that awaited their directories when the run began; those that were sealed meanwhile
        leave nothing in doubt. A failure of the ledger is reported by what follows.
        """
        if not file_ids:
            return
        by_key: dict[int, list[DoubtfulSlice]] = defaultdict(list)
        with suppress(CollectorError):
            for one in await self._offload(lambda: self._ledger.doubtful_slices(file_ids)):
                by_key[one.slice.key].append(one)
        for task in tasks:
            span = self._wanted.span(task.org)
            for one in by_key.pop(task.key, ()) if span else ():  # two names may be one organization
                population = self._summary.org(task.org).populations.get(one.slice.population)
                if population is not None and span and span.start <= one.window.start < span.end:
                    population.doubt(one.window, one.file)

    def _estimate(self, tasks: Iterable[OrgTask]) -> None:
        for task in tasks:
            org, span = task.org, self._wanted.span(task.org)
            found = self._grids.of(org).windows_in(span) if span else None
            task.lane.plan.expected = found[0] * len(org.populations) if found else 0

    def _plan(self, task: OrgTask) -> Batch:
        org, plan, now = task.org, task.lane.plan, self._clock.now()
        whole = self._wanted.span(org)
        span = open_span(org, whole, after=plan.after) if whole else None
        coverage = self._ledger.coverage(task.key, span) if span else {}
        if self._expecting is not None and not plan.after:
            self._expecting.look(org, self._grids.of(org).windows(span) if span else (), coverage)
        if span is None:
            return Batch(org=org)
        batch = next_batch(
            org,
            self._grids.of(org).windows(span),
            coverage,
            needs_at(self._wanted, now),
            size=_BATCH,
            after=plan.after,
            searching=searching_at(self._wanted, now, plan.ends),
        )
        return batch if self._expecting is None else self._expecting.expect(task.key, batch)
