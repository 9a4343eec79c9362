"""What a run would ask, by what the ledger holds now. Nothing is asked, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.app.command import ages_of
from collector.app.coverage import since_of
from collector.app.prepare import refuse_overlaps
from collector.config import LoadedConfig
from collector.core.coverage import outstanding
from collector.core.plan import LanePlan
from collector.core.ranges import Range
from collector.core.wanted import BackfillWanted, CollectWanted, Wanted
from collector.ledger import SqlLedger
from collector.model import Org


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would be asked of one org: so many slices, in windows between two instants."""

    org: Org
    windows: int
    slices: int
    first: datetime | None = None
    end: datetime | None = None


def by_plans(lanes: Iterable[LanePlan]) -> list[Forecast]:
    """Return what is asked where nothing is known of before."""
    return [
        Forecast(
            org=lane.org,
            windows=lane.windows,
            slices=lane.total,
            first=lane.span.start if lane.span else None,
            end=lane.span.end if lane.span else None,
        )
        for lane in lanes
    ]


def by_ledger(
    ledger: SqlLedger | None, config: LoadedConfig, orgs: Sequence[Org], *, range_: Range | None, now: datetime
) -> list[Forecast]:
    """Return what `collect` asks by itself, or `backfill` of a range. Without a ledger yet: what the first one would.

    Raises LedgerError, and ConfigError for calendars that would overlap.
    """
    if ledger:
        refuse_overlaps(ledger, config, orgs)
    schedule = config.settings.schedule
    rows = ledger.locate(orgs, names=[org.name for org in config.orgs]) if ledger else {}
    ranges = ledger.wanted_of([row.key for row in rows.values()]) if ledger else {}
    since = {}
    for org in orgs:
        row = rows.get(org.name)
        since[org.name] = since_of(org, row, ranges.get(row.key, ()) if row else (), schedule=schedule, now=now)
    if range_ is None:
        wanted: Wanted = CollectWanted(now=now, ages=ages_of(schedule), since=since)
    else:
        wanted = BackfillWanted(now=now, settle=schedule.settle, range_=range_, since=since)
    forecasts = []
    for org in orgs:
        span, row = wanted.span(org), rows.get(org.name)
        coverage = ledger.coverage(row.key, span) if ledger and row and span else {}
        windows = [one.window for one in (outstanding(org, span, coverage, wanted.asks) if span else ())]
        forecasts.append(
            Forecast(
                org=org,
                windows=len({window.start for window in windows}),
                slices=len(windows),
                first=min((window.start for window in windows), default=None),
                end=max((window.end for window in windows), default=None),
            )
        )
    return forecasts
