"""From the history of an org in the ledger to its coverage: pure, and without a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

from collector.core.anomalies import Anomaly
from collector.core.coverage import Ages
from collector.core.coverage_spans import Overlay, stranded
from collector.core.grid import Grid
from collector.core.identities import user_fingerprint
from collector.core.org_coverage import (
    FETCHED,
    AnomalySpan,
    CoverageState,
    CredentialStanding,
    CredentialStatus,
    OrgCoverage,
    PopulationCoverage,
)
from collector.core.org_history import History, LastFetch, PopulationHistory
from collector.core.wanted import Since, due_spans, earliest
from collector.core.windows import start_of_date
from collector.errors import RefusalReason, Refused
from collector.model import Granularity, Org, Population, ProductUsage, Quality, SliceState, Window

GAPS_KEPT = 40
_SHOWN_OF_USER = 12  # digits of the fingerprint: enough to tell users apart
_ONE_DAY = timedelta(days=1)
_NOTHING = PopulationHistory()


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The part of an org's calendar that is looked at, at one instant."""

    grid: Grid
    ages: Ages
    now: datetime
    due: datetime
    last_day: date
    first_day: date | None  # None: the first that is wanted, and all gaps are kept
    recent_from: datetime | None  # the boundary at or before that day

    @classmethod
    def of(cls, grid: Grid, ages: Ages, now: datetime, *, days: int | None) -> Self:
        """Return the period of the newest `days`; of all days without a number."""
        calendar = grid.calendar
        last_day = now.astimezone(calendar.zone.tz).date()
        first_day = None if days is None else last_day - (days - 1) * _ONE_DAY
        return cls(
            grid=grid,
            ages=ages,
            now=now,
            due=calendar.floor(now - ages.settle),
            last_day=last_day,
            first_day=first_day,
            recent_from=None if first_day is None else calendar.floor(start_of_date(first_day, calendar.zone)),
        )


def org_coverage(
    org: Org,
    since: Since,
    history: History,
    *,
    period: Period,
    identity: tuple[str | None, str | None],
    refused: Refused | None = None,
) -> OrgCoverage:
    """Return the coverage of an org; `identity` is the id and the name of the organization that answered.

    `refused` is why the next run refuses its calendar, if it will.
    """
    wanted = due_spans(org, since, settle=period.ages.settle, now=period.now)
    blank = _blank_days(org, since, wanted, period)
    populations, gaps = [], []
    for population in org.populations:
        known = history.populations.get(population, _NOTHING)
        overlay = Overlay(first_day=period.last_day - (len(blank) - 1) * _ONE_DAY, days=list(blank))
        overlay.lay(period.grid, wanted, known.spans)
        gaps += overlay.gaps
        populations.append(_population(population, overlay, known, period))
    return OrgCoverage(
        name=org.name,
        org_id=identity[0],
        org_name=identity[1],
        labels=org.labels,
        timezone=org.zone.name,
        granularity=org.granularity,
        credential=_credential(org, history, identified=identity[0] is not None, refused=refused),
        populations=populations,
        last_day=period.last_day,
        wanted=wanted,
        begins_later=None if wanted else earliest(org, since),
        old_gaps=stranded(gaps, period.grid, period.ages, now=period.now),
    )


def _blank_days(org: Org, since: Since, wanted: Sequence[Window], period: Period) -> list[CoverageState]:
    """Return the days before anything is known of them: not wanted, or wanted and not due yet."""
    tz = org.zone.tz
    begins = earliest(org, since).astimezone(tz).date()
    not_due_from = max(period.due.astimezone(tz).date(), begins)
    first_day = period.first_day
    if first_day is None:
        first_day = wanted[0].start.astimezone(tz).date() if wanted else period.last_day
    days = (period.last_day - first_day).days + 1
    not_due = min(days, max(0, (period.last_day - not_due_from).days + 1))
    return [CoverageState.NOT_WANTED] * (days - not_due) + [CoverageState.NOT_DUE] * not_due


def _population(
    population: Population, overlay: Overlay, known: PopulationHistory, period: Period
) -> PopulationCoverage:
    gaps, anomalies = overlay.gaps, _anomaly_spans(known)
    kept = max(len(gaps), len(anomalies)) if period.first_day is None else GAPS_KEPT
    complete = [span for state, span in known.spans if state in FETCHED and span.start < period.due]
    newest = complete[-1].end if complete else None  # by another calendar, if none of this one is due
    usage, users = _newest(known, period)
    return PopulationCoverage(
        population=population,
        counts=dict(overlay.counts),
        first_gap=gaps[0].window.start if gaps else None,
        last_success=known.last_success,
        newest_complete=min(newest, period.due) if newest and overlay.counts else newest,
        newest_due=period.due if overlay.counts else None,
        oldest_usage=known.oldest_usage,
        days=overlay.days,
        tests=() if period.first_day is None else _tests(known, overlay, period.grid),
        gaps=gaps[-kept:],
        gaps_left_out=max(0, len(gaps) - kept),
        reasons=dict(known.reasons),
        anomalies=anomalies[-kept:],
        anomalies_left_out=max(0, len(anomalies) - kept),
        newest_usage=usage,
        newest_users=users,
    )


def _anomaly_spans(known: PopulationHistory) -> list[AnomalySpan]:
    """Return the anomalies as few spans, oldest first."""
    open_: dict[Anomaly, AnomalySpan] = {}
    found = []
    for window, anomalies in known.anomalies:
        for anomaly, products in anomalies.items():
            last = open_.get(anomaly)
            if last is not None and last.window.end == window.start:
                about = tuple(dict.fromkeys([*last.products, *products]))
                open_[anomaly] = AnomalySpan(anomaly, Window(last.window.start, window.end), about)
                continue
            if last is not None:
                found.append(last)
            open_[anomaly] = AnomalySpan(anomaly, window, tuple(products))
    return sorted([*found, *open_.values()], key=lambda one: (one.window.end, one.window.start))


def _tests(known: PopulationHistory, overlay: Overlay, grid: Grid) -> Sequence[int | None]:
    """Return the tests of each day; of a day of hours only if all of them are known."""
    zone, hourly = grid.calendar.zone, grid.calendar.granularity is Granularity.HOUR
    by_day: dict[date, list[int]] = {}
    for start, tests in known.tests.items():
        if tests is not None:
            by_day.setdefault(start.astimezone(zone.tz).date(), []).append(tests)
    whole = {day: sum(known) for day, known in by_day.items() if len(known) == (_hours_of(day, grid) if hourly else 1)}
    return [whole.get(overlay.first_day + n * _ONE_DAY) for n in range(len(overlay.days))]


def _hours_of(day: date, grid: Grid) -> int:
    zone = grid.calendar.zone
    found = grid.windows_in(Window(start_of_date(day, zone), start_of_date(day + _ONE_DAY, zone)))
    return found[0] if found else 0


def _newest(known: PopulationHistory, period: Period) -> tuple[Mapping[str, ProductUsage], int | None]:
    """Return what is known of the newest due window, by product, and its users."""
    if known.newest is None or known.newest[0].end != period.due:
        return {}, None
    emission = known.newest[1]
    products = emission.products.items()
    return {name: one.usage for name, one in products if one.quality is not Quality.UNAVAILABLE}, emission.users


def _credential(org: Org, history: History, *, identified: bool, refused: Refused | None) -> CredentialStatus:
    """Return what the ledger knows of an org's credential.

    A refused calendar is known from the config and the ledger alone, once the organization is: then the ledger's
    refusal only says since when, and it is over as soon as the calendar fits.
    """
    refusal = history.refusal
    by_calendar = refusal is not None and refusal.reason is RefusalReason.CALENDAR
    if refused is not None:
        return CredentialStatus(
            standing=CredentialStanding.REFUSED,
            reason=refused.reason,
            message=refused.message,
            since=refusal.first_at if refusal and by_calendar else None,
            last_at=refusal.last_at if refusal and by_calendar else None,
        )
    if refusal is not None and not (by_calendar and identified):
        then, now = refusal.fingerprint, user_fingerprint(org)
        return CredentialStatus(
            standing=CredentialStanding.REFUSED,
            reason=refusal.reason,
            message=refusal.message,
            since=refusal.first_at,
            last_at=refusal.last_at,
            user=then and then[:_SHOWN_OF_USER],
            changed=None if then is None and now is None else then != now,
        )
    if (last := history.last_fetch) is None:
        return CredentialStatus()
    answered = any(population.last_answer for population in history.populations.values())
    accepted = _accepted(last, answered=answered)
    return CredentialStatus(standing=CredentialStanding.ACCEPTED if accepted else CredentialStanding.UNKNOWN)


def _accepted(last: LastFetch, *, answered: bool) -> bool:
    """Say whether the credential was accepted when last used.

    A complete slice that was fetched again in vain stays complete, and doesn't say why.
    """
    match last.state:
        case SliceState.COMPLETE:
            return last.complete_at == last.at
        case SliceState.PARTIAL:
            return last.code is None or answered
        case _:
            return answered
