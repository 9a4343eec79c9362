"""What a run would fetch, by what the ledger holds now. Sends nothing, and writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.app.calendars import refused_calendars, warn_of_older_calendar
from collector.app.command import ages_of, sparse_of
from collector.app.coverage import since_of
from collector.config import LoadedConfig
from collector.core.coverage import Coverage
from collector.core.grid import Grids
from collector.core.plan import needed
from collector.core.ranges import Range
from collector.core.search_cost import Costs, cost
from collector.core.wanted import BackfillWanted, CollectWanted, Wanted
from collector.errors import Refused
from collector.ledger import Organization, Readable
from collector.model import Org, Population, Slice, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgPreview:
    """What would be fetched of one org: so many slices, in windows between two instants; nothing if it is refused.

    `costs` says of each population how many requests a search may save.
    """

    org: Org
    windows: int
    slices: int
    costs: Costs = field(default_factory=dict)
    first: datetime | None = None
    end: datetime | None = None
    refused: Refused | None = None


def preview(
    ledger: Readable,
    config: LoadedConfig,
    orgs: Sequence[Org],
    *,
    range_: Range | None,
    now: datetime,
    sparse: bool = False,
) -> list[OrgPreview]:
    """Return what `collect` fetches by itself, or a `backfill` of a range. Raises LedgerError."""
    refused = refused_calendars(ledger, config, orgs)
    rows = ledger.locate(orgs, names=[org.name for org in config.orgs])
    wanted = _wanted(ledger, rows, config, orgs, range_=range_, now=now, sparse=sparse)
    grids = Grids()
    previews = []
    for org in orgs:
        if org.name in refused:
            previews.append(OrgPreview(org=org, windows=0, slices=0, refused=refused[org.name]))
            continue
        span, row = wanted.span(org), rows.get(org.name)
        if row and isinstance(wanted, BackfillWanted):
            warn_of_older_calendar(ledger, org, row.key, wanted)
        coverage = ledger.coverage(row.key, span) if row and span else {}
        windows = grids.of(org).windows(span) if span else ()
        slices = list(needed(org, windows, coverage, wanted.needs))
        previews.append(
            OrgPreview(
                org=org,
                windows=len({slice_.window.start for slice_ in slices}),
                slices=len(slices),
                costs=_costs(wanted, slices, coverage),
                first=min((slice_.window.start for slice_ in slices), default=None),
                end=max((slice_.window.end for slice_ in slices), default=None),
            )
        )
    return previews


def _costs(wanted: Wanted, slices: Sequence[Slice], coverage: Coverage) -> Costs:
    sparse = wanted.sparse if isinstance(wanted, BackfillWanted) else None
    windows: dict[Population, list[Window]] = defaultdict(list)
    settled: dict[Population, set[datetime]] = defaultdict(set)
    for one in slices:
        windows[one.population].append(one.window)
        known = coverage.get((one.population, one.window.start))
        if isinstance(wanted, BackfillWanted) and wanted.settles(one.org, one.window, known):
            settled[one.population].add(one.window.start)
    return {
        population: cost(
            of,
            lambda window, starts=settled[population]: window.start in starts,  # type: ignore[misc]
            max_span=sparse.max_span if sparse else timedelta(0),
        )
        for population, of in windows.items()
    }


def _wanted(
    ledger: Readable,
    rows: Mapping[str, Organization],
    config: LoadedConfig,
    orgs: Sequence[Org],
    *,
    range_: Range | None,
    now: datetime,
    sparse: bool,
) -> Wanted:
    schedule = config.settings.schedule
    ranges = ledger.wanted_of([row.key for row in rows.values()])
    since = {}
    for org in orgs:
        row = rows.get(org.name)
        since[org.name] = since_of(org, row, ranges.get(row.key, ()) if row else (), schedule=schedule, now=now)
    if range_ is None:
        return CollectWanted(now=now, ages=ages_of(schedule), since=since)
    return BackfillWanted(
        now=now,
        settle=schedule.settle,
        range_=range_,
        since=since,
        sparse=sparse_of(config.settings) if sparse else None,
    )
