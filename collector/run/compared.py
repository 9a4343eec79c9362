"""What a run that compares came to, as JSON: for its manifest, its log line and scripts. What differs comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from collector.core.comparing import UNRESOLVED
from collector.core.comparison import Comparison, Row
from collector.core.extent import Extent
from collector.core.org_coverage import CoverageState
from collector.core.summary import OrgSummary, RunSummary
from collector.model import Population, Window
from collector.run.expecting import EARLIER_CALENDAR, UNAVAILABLE

Compared = tuple[OrgSummary, Population, Comparison]

_GAP = "these windows are not complete: `collector status` shows why, and which command fills the gap"
_MEANING = {  # of states in which windows are left out
    CoverageState.NOT_WANTED.value: "no run was to collect these windows: a `backfill` of them does",
    UNAVAILABLE: "a number of these windows was not known. They were fetched again: run it once more",
    EARLIER_CALENDAR: "these windows belong to a calendar that the org had before: no run fetches them",
}
_NOTHING_DUE = "nothing_due", "no window of the range is due and wanted: there is nothing to compare"
_NOT_REACHED = "not_reached", "the run ended before it came to this org: run it again"


class Reason(NamedTuple):
    """Windows that were not compared, and why."""

    extent: Extent
    message: str


def compared(summary: RunSummary) -> list[Compared]:
    """Return the populations that were to be compared; none of a run that doesn't compare.

    Those that differ come first, then those of which nothing could be compared, then those of which some couldn't.
    """
    found = [
        (org, name, population.comparison)
        for org in summary.orgs.values()
        for name, population in org.populations.items()
        if population.comparison is not None
    ]
    return sorted(found, key=lambda one: (not one[2].differs, bool(one[2].windows), not why_not(*one)))


def why_not(org: OrgSummary, population: Population, comparison: Comparison) -> dict[str, Reason]:
    """Return which windows were not compared: by their state in the ledger, or by what kept the run from it.

    Where nothing was compared there is always a reason.
    """
    found = {state: Reason(extent, _MEANING.get(state, _GAP)) for state, extent in comparison.left_out.items()}
    found |= {code: one for code, one in _causes(org, population) if code not in UNRESOLVED}
    if not found and not comparison.windows:
        code, message = _NOTHING_DUE if comparison.looked else _NOT_REACHED
        return {code: Reason(Extent(), message)}
    return found


def unresolved(org: OrgSummary, population: Population) -> dict[str, Reason]:
    """Return which windows differ as a whole, and were not fetched again, as it stays unknown which ones changed."""
    return {code: one for code, one in _causes(org, population) if code in UNRESOLVED}


def _causes(org: OrgSummary, population: Population) -> Iterator[tuple[str, Reason]]:
    for cause in org.populations[population].tally.causes.values():
        yield cause.code, Reason(cause, cause.message)


def rows(comparison: Comparison) -> list[Row]:
    """Return the numbers of a population, those that differ first."""
    return sorted(comparison.rows, key=lambda row: not row.changed)


def totals_as_json(summary: RunSummary, *, only_differing: bool) -> list[dict[str, Any]]:
    """Return an entry for each number."""
    return [
        _names(org, population)
        | {"product": row.metric[0], "metric": ".".join(row.metric[1:])}
        | {"api": row.api, "collected": row.collected, "difference": row.difference}
        | {"changed_windows": row.changed, "more_windows": row.more}
        for org, population, comparison in compared(summary)
        for row in rows(comparison)
        if row.changed or not only_differing
    ]


def populations_as_json(summary: RunSummary) -> list[dict[str, Any]]:
    """Return an entry for each population: which windows were compared, restated, kept, or not, and why."""
    return [
        _names(org, population)
        | {
            "windows": comparison.windows,
            "differs": comparison.differs,
            "restated": extent_as_json(comparison.restated, org),
            "kept": extent_as_json(comparison.kept, org),
            "not_compared": _reasons(why_not(org, population, comparison), org),
            "unresolved": _reasons(unresolved(org, population), org),
        }
        for org, population, comparison in compared(summary)
    ]


def _reasons(reasons: Mapping[str, Reason], org: OrgSummary) -> dict[str, Any]:
    return {code: extent_as_json(one.extent, org) | {"message": one.message} for code, one in reasons.items()}


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
