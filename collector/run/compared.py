"""What a run that compares came to, as JSON: for its manifest, its log line and scripts. What differs comes first."""

from __future__ import annotations

from typing import Any

from collector.core.comparison import Comparison, Row
from collector.core.extent import Extent
from collector.core.summary import OrgSummary, RunSummary
from collector.model import Population, Window

Compared = tuple[OrgSummary, Population, Comparison]


def compared(summary: RunSummary) -> list[Compared]:
    """Return the populations that were compared, those that differ first; none of a run that doesn't compare."""
    found = [
        (org, name, population.comparison)
        for org in summary.orgs.values()
        for name, population in org.populations.items()
        if population.comparison is not None
    ]
    return sorted(found, key=lambda one: (not one[2].differs, not one[2].left_out))


def rows(comparison: Comparison) -> list[Row]:
    """Return the numbers of a population, those that differ first."""
    return sorted(comparison.rows, key=lambda row: not row.difference)


def totals_as_json(summary: RunSummary, *, only_differing: bool) -> list[dict[str, Any]]:
    """Return an entry for each number."""
    return [
        _names(org, population)
        | {"product": row.metric[0], "metric": ".".join(row.metric[1:])}
        | {"api": row.api, "collected": row.collected, "difference": row.difference}
        for org, population, comparison in compared(summary)
        for row in rows(comparison)
        if row.difference or not only_differing
    ]


def populations_as_json(summary: RunSummary) -> list[dict[str, Any]]:
    """Return an entry for each population: which windows were compared, restated, kept, or left out."""
    return [
        _names(org, population)
        | {
            "windows": comparison.windows,
            "differs": comparison.differs,
            "restated": extent_as_json(comparison.restated, org),
            "kept": extent_as_json(comparison.kept, org),
            "not_compared": {state: extent_as_json(extent, org) for state, extent in comparison.left_out.items()},
        }
        for org, population, comparison in compared(summary)
    ]


def extent_as_json(extent: Extent, org: OrgSummary) -> dict[str, Any]:
    """Return how many slices there are, and where in time."""
    return {"slices": extent.slices} | windows_as_json(extent, org)


def windows_as_json(extent: Extent, org: OrgSummary) -> dict[str, Any]:
    """Return where in time slices are, in the org's zone."""
    return {"windows": [_local(window, org) for window in extent.spans], "more_windows": extent.more_spans}


def _local(window: Window, org: OrgSummary) -> dict[str, str]:
    zone = org.org.zone.tz
    return {"start": window.start.astimezone(zone).isoformat(), "end": window.end.astimezone(zone).isoformat()}


def _names(org: OrgSummary, population: Population) -> dict[str, Any]:
    return {"org": org.org.name, "org_id": org.org_id, "population": population.value}
