"""The file beside the records that says of every org, population and window of a run what it is.

Written at the end, from what the ledger holds then, some orgs at a time: so many orgs cost no more
memory than few. Without a ledger nothing is known at the end, and there is no file; nor is there one on stdout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

from collector.core.coverage_lines import CoverageLine, SliceAccount, Unfetched, lines_of, to_json_lines
from collector.core.grid import Grids
from collector.core.org_coverage import CoverageState
from collector.core.summary import RunSummary
from collector.core.wanted import ReconcileWanted, needs_at
from collector.model import SliceState, Window
from collector.ports import Clock, Offload, SealedFile, Sink
from collector.run.org_task import OrgTask
from collector.run.session import LedgerSession
from collector.run.stop import Stop

_AT_ONCE = 20  # orgs
_STOPPED_S = 3.0  # for all orgs, if someone waits for the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The sealed file, and how many orgs it leaves out, since the run had to end."""

    file: SealedFile
    orgs_left_out: int

    @property
    def as_json(self) -> dict[str, Any]:
        """Return it for the manifest."""
        described = asdict(self.file)
        return {"name": described.pop("name"), "windows": described.pop("records"), **described} | {
            "orgs_left_out": self.orgs_left_out
        }


@dataclass(slots=True, kw_only=True)
class CoverageWriting:
    """Writes the file of one run."""

    session: LedgerSession
    run_id: str
    since: datetime  # no slice of the run was committed earlier
    summary: RunSummary
    sink: Sink
    offload: Offload
    clock: Clock
    stop: Stop

    async def write(self, tasks: Sequence[OrgTask]) -> Coverage | None:
        """Write and seal the file; return None if no window has a line. Raises OutputError or LedgerError."""
        if not (self.session.ledger.remembers and self.session.directory):
            return None
        rest = [task for task in tasks if self._has_windows(task)]
        until = asyncio.get_running_loop().time() + _STOPPED_S
        grids = Grids()
        while rest and (not self._hurry or asyncio.get_running_loop().time() < until):
            some, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
            await self.offload(partial(self._append, some, grids))
        file = await self.offload(self.sink.seal_coverage)
        return None if file is None else Coverage(file=file, orgs_left_out=len(rest))

    @property
    def _hurry(self) -> bool:
        return self.stop.signalled.is_set() or self.stop.wound_up.is_set()

    def _has_windows(self, task: OrgTask) -> bool:
        summary = self.summary.org(task.org)
        return bool(summary.planned or summary.in_doubt)

    def _append(self, tasks: Sequence[OrgTask], grids: Grids) -> None:
        for task in tasks:
            if (span := self.session.wanted.span(task.org)) is not None:
                lines = self._lines(task, span, grids)
                self.sink.append_coverage(to_json_lines(lines), len(lines))

    def _lines(self, task: OrgTask, span: Window, grids: Grids) -> list[CoverageLine]:
        """Return the windows that the run fetched, those that still need it, and those in doubt.

        Windows that were only compared are as they were before: they get no line.
        """
        org, awaited = task.org, self.session.awaited
        compares = isinstance(self.session.wanted, ReconcileWanted)
        needs = needs_at(self.session.wanted, self.clock.now())

        def includes(window: Window, account: SliceAccount | None) -> bool:
            if account is not None and (account.asked_at >= self.since or account.file in awaited):
                return True
            return not compares and needs(org, window, account.known if account else None)

        return list(
            lines_of(
                org,
                self.summary.org(org).org_id or self.session.standings[org.name].org_id,
                grids.of(org).windows(span),
                self.session.ledger.accounts(task.key, span),
                in_doubt=awaited,
                unfetched=self._unfetched(task),
                run_id=self.run_id,
                includes=includes,
            )
        )

    def _unfetched(self, task: OrgTask) -> Unfetched:
        """Return what the run says of windows that it didn't request, and no earlier one did."""
        end = task.lane.end
        if end is None:
            return Unfetched(reason=self.stop.reason.code if self._hurry else None)
        state = CoverageState(end.state.value) if end.state is not SliceState.NOT_ASKED else CoverageState.MISSING
        return Unfetched(state=state, reason=end.failure.code)
