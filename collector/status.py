"""The status of every org, from the ledger: nothing is asked of the API, nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from collector.adapters.ledger import SqlLedger
from collector.adapters.ledger.views import Organization
from collector.config import LoadedConfig
from collector.core.status import IN_DOUBT, MISSING, PopulationStatus, population_status
from collector.core.wanted import Since, earliest
from collector.core.windows import Calendar, merge, start_of_date
from collector.model import Org, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgStatus:
    """One org of the config."""

    org: Org
    org_id: str | None
    org_name: str | None
    populations: list[PopulationStatus]
    catch_up_from: datetime
    beyond_catch_up: int = field(default=0)

    @property
    def lacking(self) -> int:
        """How many wanted, due windows are not complete."""
        return sum(population.lacking for population in self.populations)


def org_statuses(ledger: SqlLedger, config: LoadedConfig, orgs: Sequence[Org], *, now: datetime) -> list[OrgStatus]:
    """Return the status of orgs, in the order of the config. Raises LedgerError."""
    known = {row.name: row for row in ledger.organizations()}
    return [_status(ledger, config, org, known.get(org.name), now) for org in orgs]


def _status(ledger: SqlLedger, config: LoadedConfig, org: Org, row: Organization | None, now: datetime) -> OrgStatus:
    schedule = config.settings.schedule
    calendar = Calendar(org.zone, org.granularity)
    wanted = _wanted(ledger, config, org, row, now)
    stretches = ledger.stretches(row.key) if row else ()
    populations = []
    for population in org.populations:
        states = [(IN_DOUBT if s.in_doubt else s.state, s.span) for s in stretches if s.population is population]
        status = population_status(population, calendar, wanted, states)
        status.oldest_usage = ledger.oldest_usage(row.key, population) if row else None
        populations.append(status)
    catch_up_from = calendar.floor(now - schedule.catch_up)
    return OrgStatus(
        org=org,
        org_id=row.org_id if row else None,
        org_name=row.org_name if row else None,
        populations=populations,
        catch_up_from=catch_up_from,
        beyond_catch_up=sum(
            status.counts[MISSING] > 0 and any(gap.start < catch_up_from for gap in status.gaps)
            for status in populations
        ),
    )


def _wanted(ledger: SqlLedger, config: LoadedConfig, org: Org, row: Organization | None, now: datetime) -> list[Window]:
    """Return the spans of whole windows that are wanted and due."""
    schedule = config.settings.schedule
    calendar = Calendar(org.zone, org.granularity)
    due = calendar.floor(now - schedule.settle)
    if row is not None:
        ranges = tuple(ledger.wanted(row.key))
        since = Since(wanted_from=row.wanted_from, ranges=ranges, calendar_since=row.calendar_since)
    else:
        begin = start_of_date(org.since, org.zone) if org.since else calendar.floor(now - schedule.lookback)
        since = Since(wanted_from=begin)
    first = earliest(org, since)
    spans = [(calendar.ceil(since.wanted_from), due), *((span.start, span.end) for span in since.ranges)]
    whole = [(max(calendar.ceil(start), first), min(calendar.floor(end), due)) for start, end in spans]
    return merge(Window(start, end) for start, end in whole if start < end)
