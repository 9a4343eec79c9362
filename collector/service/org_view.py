"""From what the ledger holds of an org to what operators see of it: pure, and without a clock.

Owns what is told apart on the page (due, wanted, complete) by the very rules of `collector status`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.app.command import ages_of
from collector.app.coverage import since_of
from collector.config.sections import Schedule
from collector.core.coverage_status import MISSING, PopulationStatus, population_status, stranded
from collector.core.emission import Emission
from collector.core.grid import Grid
from collector.core.wanted import due_spans, earliest
from collector.core.windows import start_of_date
from collector.errors import REFUSED_CODES, RefusalReason
from collector.ledger.history import Asking, History, PopulationHistory
from collector.ledger.views import Organization
from collector.model import Granularity, Org, Population, ProductUsage, Quality, SliceState, Window
from collector.service.view import CredentialView, DayState, Gap, OrgView, PopulationView, Standing

DAYS = 90
GAPS_KEPT = 40
_ONE_DAY = timedelta(days=1)
_NOTHING = PopulationHistory()
_STATES: dict[SliceState | str, DayState] = {
    SliceState.COMPLETE: DayState.COMPLETE,
    SliceState.PARTIAL: DayState.PARTIAL,
    SliceState.FAILED: DayState.FAILED,
    SliceState.REFUSED: DayState.REFUSED,
    MISSING: DayState.MISSING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What of time is looked at on an org's calendar at an instant."""

    grid: Grid
    now: datetime
    last_day: date
    recent_from: datetime  # a boundary, at or before the first of the days shown
    due: datetime
    days: Sequence[date]  # those that are shown, oldest first

    @classmethod
    def of(cls, org: Org, grid: Grid, schedule: Schedule, now: datetime) -> Calendar:
        """Return it for an org."""
        last_day = now.astimezone(org.zone.tz).date()
        days = [last_day - n * _ONE_DAY for n in reversed(range(DAYS))]
        return cls(
            grid=grid,
            now=now,
            last_day=last_day,
            recent_from=grid.calendar.floor(start_of_date(days[0], org.zone)),
            due=grid.calendar.floor(now - schedule.settle),
            days=days,
        )


def org_view(
    org: Org, row: Organization | None, history: History | None, *, schedule: Schedule, calendar: Calendar
) -> OrgView:
    """Return what operators see of an org; `row` and `history` are None for one that the ledger doesn't know yet."""
    since = since_of(org, row, history.ranges if history else (), schedule=schedule, now=calendar.now)
    wanted = due_spans(org, since, settle=schedule.settle, now=calendar.now)
    begins = earliest(org, since).astimezone(org.zone.tz).date()
    histories = history.populations if history else {}
    views, lacks = [], []
    for population in org.populations:
        held = histories.get(population, _NOTHING)
        status = population_status(population, calendar.grid, wanted, held.stretches, days_from=calendar.days[0])
        lacks += status.lacks
        views.append(_population(population, status, held, calendar=calendar, begins=begins))
    beyond = stranded(
        sorted(lacks, key=lambda piece: piece[1].start), calendar.grid, ages_of(schedule), now=calendar.now
    )
    return OrgView(
        name=org.name,
        org_id=row.org_id if row else None,
        org_name=row.org_name if row else None,
        labels=org.labels,
        timezone=org.zone.name,
        granularity=org.granularity,
        credential=_credential(history, views),
        populations=views,
        last_day=calendar.last_day,
        beyond_catch_up=beyond is not None,
        stranded=beyond,
    )


def _population(
    population: Population, status: PopulationStatus, held: PopulationHistory, *, calendar: Calendar, begins: date
) -> PopulationView:
    due = calendar.due if status.windows else None
    complete = [span.end for state, span in held.stretches if state is SliceState.COMPLETE and span.end <= calendar.due]
    gaps = [Gap(_STATES[state], span) for state, span in status.lacks]
    usage, users = _newest(held, calendar)
    return PopulationView(
        population=population,
        counts={str(state): count for state, count in status.counts.items()},
        lacking=status.lacking,
        first_gap=gaps[0].window.start if gaps else None,
        last_success=held.last_success,
        newest_complete=max(complete, default=None),
        newest_due=due,
        oldest_usage=held.oldest_usage.start if held.oldest_usage else None,
        days=_days(status, calendar, begins),
        tests=_tests(held, calendar),
        gaps=gaps[-GAPS_KEPT:],
        gaps_left_out=max(0, len(gaps) - GAPS_KEPT),
        reasons=dict(held.reasons),
        newest_usage=usage,
        newest_users=users,
    )


def _days(status: PopulationStatus, calendar: Calendar, begins: date) -> list[DayState]:
    not_due_from = max(calendar.due.astimezone(calendar.grid.calendar.zone.tz).date(), begins)
    blank = (DayState.NOT_WANTED, DayState.NOT_DUE)
    return [_STATES[status.days[day]] if day in status.days else blank[day >= not_due_from] for day in calendar.days]


def _tests(held: PopulationHistory, calendar: Calendar) -> list[int | None]:
    """Return the tests of each day; of a day of hours only if all of them are known."""
    granularity, tz = calendar.grid.calendar.granularity, calendar.grid.calendar.zone.tz
    by_day: dict[date, int | None] = {}
    hours: dict[date, int] = {}
    for start, tests in held.tests.items():
        day = start.astimezone(tz).date()
        before = by_day.get(day, 0)
        by_day[day] = None if before is None or tests is None else before + tests
        hours[day] = hours.get(day, 0) + 1
    if granularity is Granularity.HOUR:
        by_day = {day: tests for day, tests in by_day.items() if hours[day] == _hours_of(day, calendar)}
    return [by_day.get(day) for day in calendar.days]


def _hours_of(day: date, calendar: Calendar) -> int:
    zone = calendar.grid.calendar.zone
    found = calendar.grid.windows_in(Window(start_of_date(day, zone), start_of_date(day + _ONE_DAY, zone)))
    return found[0] if found else 0


def _newest(held: PopulationHistory, calendar: Calendar) -> tuple[dict[str, ProductUsage], int | None]:
    """Return what is known of the newest due window, by product, and its users."""
    if held.newest is None or held.newest[0].end != calendar.due:
        return {}, None
    emission: Emission = held.newest[1]
    known = {name: one.usage for name, one in emission.products.items() if one.quality is not Quality.UNAVAILABLE}
    return known, emission.users


def _credential(history: History | None, populations: Sequence[PopulationView]) -> CredentialView:
    """Return what the ledger alone knows: a service that has just started has seen no refusal itself."""
    asked = history.last_asking if history else None
    if history is None or asked is None:
        return CredentialView()
    if asked.code in REFUSED_CODES:
        reason = RefusalReason(str(asked.code).removeprefix("refused_"))
        return CredentialView(standing=Standing.REFUSED, reason=reason, since=history.refused_since or asked.at)
    succeeded = any(population.last_success for population in populations)
    return CredentialView(standing=Standing.ACCEPTED if _answered(asked, succeeded=succeeded) else Standing.UNKNOWN)


def _answered(asked: Asking, *, succeeded: bool) -> bool:
    """Say whether the credential was accepted when last used.

    A complete slice that was asked again in vain stays complete, and doesn't tell why.
    """
    match asked.state:
        case SliceState.COMPLETE:
            return asked.complete_at == asked.at
        case SliceState.PARTIAL:
            return asked.code is None or succeeded
        case _:
            return succeeded
