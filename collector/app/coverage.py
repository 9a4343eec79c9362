"""The status of every org, from the ledger: nothing is asked of the API, nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.app.command import ages_of, first_wanted
from collector.config import LoadedConfig
from collector.config.sections import Schedule
from collector.core.coverage_status import IN_DOUBT, PopulationStatus, population_status, stranded
from collector.core.grid import Grid
from collector.core.wanted import Since, due_spans, wanted_since
from collector.core.windows import Calendar
from collector.ledger import SqlLedger
from collector.ledger.views import Organization
from collector.model import Granularity, Org, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgStatus:
    """One org of the config."""

    org: Org
    org_id: str | None
    org_name: str | None
    populations: list[PopulationStatus]
    beyond_catch_up: Window | None = None  # holds gaps that no `collect` fills any more

    @property
    def lacking(self) -> int:
        """How many wanted, due windows are not complete."""
        return sum(population.lacking for population in self.populations)


class Grids:
    """The calendars of orgs, each worked out once."""

    def __init__(self) -> None:
        self._grids: dict[tuple[str, Granularity], Grid] = {}

    def of(self, org: Org) -> Grid:
        """Return the one of an org."""
        key = (org.zone.name, org.granularity)
        if key not in self._grids:
            self._grids[key] = Grid(Calendar(org.zone, org.granularity))
        return self._grids[key]


def since_of(
    org: Org, row: Organization | None, ranges: Sequence[Window], *, schedule: Schedule, now: datetime
) -> Since:
    """Return from when an org is wanted: as its row in the ledger says, else as the first `collect` would."""
    if row is None:
        return Since(wanted_from=first_wanted(org, schedule, now=now))
    return Since(wanted_from=wanted_since(org, row.wanted_from), ranges=ranges, calendar_since=row.calendar_since)


def org_statuses(ledger: SqlLedger, config: LoadedConfig, orgs: Sequence[Org], *, now: datetime) -> list[OrgStatus]:
    """Return the status of orgs, in the order of the config. Raises LedgerError."""
    rows = ledger.locate(orgs, names=[org.name for org in config.orgs])
    grids = Grids()
    schedule = config.settings.schedule
    return [_status(ledger, schedule, org, row=rows.get(org.name), grid=grids.of(org), now=now) for org in orgs]


def _status(
    ledger: SqlLedger, schedule: Schedule, org: Org, *, row: Organization | None, grid: Grid, now: datetime
) -> OrgStatus:
    ranges = ledger.wanted(row.key) if row else ()
    wanted = due_spans(org, since_of(org, row, ranges, schedule=schedule, now=now), settle=schedule.settle, now=now)
    stretches = ledger.stretches(row.key) if row else ()
    populations = []
    for population in org.populations:
        states = [(IN_DOUBT if s.in_doubt else s.state, s.span) for s in stretches if s.population is population]
        status = population_status(population, grid, wanted, states)
        status.oldest_usage = ledger.oldest_usage(row.key, population) if row else None
        populations.append(status)
    lacks = [piece for status in populations for piece in status.lacks]
    return OrgStatus(
        org=org,
        org_id=row.org_id if row else None,
        org_name=row.org_name if row else None,
        populations=populations,
        beyond_catch_up=stranded(sorted(lacks, key=lambda piece: piece[1].start), grid, ages_of(schedule), now=now),
    )
