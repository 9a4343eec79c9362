"""The ledger's part in a run: what it holds of each org, and what the command wants of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from collector.core.calendar_changes import cut_over
from collector.core.delivered import Adopted
from collector.core.identities import Identities
from collector.core.ledger_entries import CalendarChanged, Standing
from collector.core.naming import Named
from collector.core.wanted import Since, Wanted, on_boundaries
from collector.errors import Refused
from collector.model import Org, Window
from collector.ports import Ledger, RecoveredFile

log = structlog.get_logger("collector")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSession:
    """Made by `app.prepare`, for one run. `standings` are by org name."""

    ledger: Ledger
    orgs: Sequence[Org]
    standings: Mapping[str, Standing]
    wanted: Wanted
    identities: Identities
    wait_s: float  # for an org whose lease another process has
    refused: Mapping[str, Refused] = field(default_factory=dict)  # orgs of which nothing is fetched, by name
    directory: str = ""  # the output's, where it has files
    directory_id: str | None = None  # where a path doesn't identify the directory
    unread: Sequence[datetime] = ()  # the ends of runs that a restored ledger doesn't know the records of
    adopted: Adopted | None = None  # what the ledger learned from its output directory
    ranges: Mapping[Window, Sequence[str]] = field(default_factory=dict)  # that the command was given: orgs by range
    awaited: Collection[int] = ()  # the ids of files of dead processes that this run could not seal
    recovered: Sequence[RecoveredFile] = ()  # sealed files of earlier runs that no manifest names yet

    @property
    def organizations(self) -> dict[str, Named]:
        """The organizations that have answered, by org name."""
        return {
            name: Named(org_id=standing.org_id, org_name=standing.org_name)
            for name, standing in self.standings.items()
            if standing.org_id is not None and standing.org_name is not None
        }

    def look_up(self, org: Org) -> Standing | CalendarChanged:
        """Find the row of an org again after it was merged into another, and from when the org is wanted there."""
        wanted_from = {org.name: self.standings[org.name].wanted_from}
        standing = self.ledger.register([org], wanted_from=wanted_from, now=self.wanted.now)[org.name]
        if isinstance(standing, Standing):
            if standing.cut_over:
                log.warning("calendar.cut_over", org=org.name, message=cut_over(org, standing.cut_over))
            self.wanted.since[org.name] = since_of(org, standing, self.ledger.wanted(standing.key))
            if standing.org_id is not None:
                self.identities.add(org, standing.org_id)
        return standing


def since_of(org: Org, standing: Standing, ranges: Sequence[Window]) -> Since:
    """Return from when on an org is wanted, by its row in the ledger and the ranges that were wanted of it."""
    since = Since(wanted_from=standing.wanted_from, ranges=ranges, calendar_since=standing.calendar_since)
    return on_boundaries(org, since)
