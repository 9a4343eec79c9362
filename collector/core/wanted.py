"""What a command fetches from an org: the span that it considers, and which windows of that span.

`collect` considers the time that catching up, repairing and rechecking need; `backfill` considers
its range. Whether a window needs fetching follows from its coverage (`coverage`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from collector.core.coverage import Ages, Known, to_backfill, to_collect
from collector.core.ledger_entries import CalendarChanged
from collector.core.plan import Needs
from collector.core.ranges import Range, select
from collector.core.windows import Calendar, merge, start_of_date
from collector.model import Org, Window

_HALF_A_DAY = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From when an org is wanted: by every run, by backfills, and never before its present calendar began."""

    wanted_from: datetime
    ranges: Sequence[Window] = ()
    calendar_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectWanted:
    """What a `collect` fetches: new windows, gaps, repairs, rechecks."""

    now: datetime
    ages: Ages
    since: dict[str, Since]  # by org name

    def span(self, org: Org) -> Window | None:
        """Return the span of whole windows that the command considers; None if there is none."""
        calendar = Calendar(org.zone, org.granularity)
        start = max(calendar.floor(self.now - self.ages.horizon), earliest(org, self.since[org.name]))
        end = calendar.floor(self.now - self.ages.settle)
        return Window(start, end) if start < end else None

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window needs fetching, given its coverage in the ledger."""
        since = self.since[org.name]
        wanted = window.start >= since.wanted_from or any(
            span.start <= window.start < span.end for span in since.ranges
        )
        return wanted and to_collect(window, known, self.ages, now=self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillWanted:
    """What a `backfill` fetches: windows of its range that are not complete; with `force`, all of them."""

    now: datetime
    settle: timedelta
    range_: Range
    since: dict[str, Since]
    force: bool = False

    def span(self, org: Org) -> Window | None:
        """Return the span of whole windows that the command considers; None if there is none."""
        calendar = Calendar(org.zone, org.granularity)
        span = select(self.range_, calendar, now=self.now, settle=self.settle, since=org.since).span
        began = self.since[org.name].calendar_since
        if span is None or began is None or began <= span.start:
            return span
        return Window(began, span.end) if began < span.end else None

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window needs fetching, given its coverage in the ledger."""
        del org, window
        return to_backfill(known, force=self.force, now=self.now)


Wanted = CollectWanted | BackfillWanted


def needs_at(wanted: Wanted, now: datetime) -> Needs:
    """Return which windows need fetching later in the run: a completion after its start is by no wrong clock."""
    return replace(wanted, now=max(wanted.now, now)).needs


def wanted_since(org: Org, known: datetime, *, first: datetime | None = None) -> datetime:
    """Return from when an org is wanted. The ledger has `known` as that instant.

    The org's `since` may be earlier. A first `collect` may also want earlier windows now (`first`), if the
    clock was ahead when the org was registered.
    """
    instants = [known] if first is None else [known, first]
    return min(instants if org.since is None else [*instants, start_of_date(org.since, org.zone)])


def on_boundaries(org: Org, since: Since) -> Since:
    """Return the same range of windows on the org's present calendar.

    The instants are boundaries of the calendar that held when they were written. Other rules of the zone have moved
    them by an hour or so: then the boundary that is near means the same date.
    """
    calendar = Calendar(org.zone, org.granularity)
    ranges = [(_near(span.start, calendar), _near(span.end, calendar)) for span in since.ranges]
    return replace(
        since,
        wanted_from=_near(since.wanted_from, calendar),
        ranges=[Window(start, end) for start, end in ranges if start < end],
    )


def _near(instant: datetime, calendar: Calendar) -> datetime:
    """Return the nearest boundary, if it is nearer than half a day; else the instant."""
    before = calendar.floor(instant)
    if before == instant:
        return instant
    nearest = min(before, calendar.after(instant), key=lambda boundary: abs(boundary - instant))
    return nearest if abs(nearest - instant) < _HALF_A_DAY else instant


def earliest(org: Org, since: Since) -> datetime:
    """Return the first boundary of an org's present calendar from which windows may be fetched."""
    calendar = Calendar(org.zone, org.granularity)
    starts = [since.wanted_from, *(span.start for span in since.ranges)]
    bounds = [calendar.ceil(min(starts))]
    if org.since is not None:
        bounds.append(calendar.ceil(start_of_date(org.since, org.zone)))
    if since.calendar_since is not None:
        bounds.append(calendar.ceil(since.calendar_since))
    return max(bounds)


def due_spans(org: Org, since: Since, *, settle: timedelta, now: datetime) -> list[Window]:
    """Return the spans of an org's whole windows that are wanted and due, oldest first."""
    calendar = Calendar(org.zone, org.granularity)
    due, first = calendar.floor(now - settle), earliest(org, since)
    spans = [(calendar.ceil(since.wanted_from), due), *((span.start, span.end) for span in since.ranges)]
    whole = [(max(calendar.ceil(start), first), min(calendar.floor(end), due)) for start, end in spans]
    return merge(Window(start, end) for start, end in whole if start < end)


def calendars_overlap(org: Org, changed: CalendarChanged) -> str:
    """Return the message for an org that was collected by another calendar, with what to do."""
    covered_until = changed.covered_until
    since = first_free_date(org, covered_until)
    begins = start_of_date(since, org.zone)
    gap = (
        f"; neither calendar has windows from {covered_until.isoformat()} to {begins.isoformat()}"
        if begins > covered_until
        else ""
    )
    if (changed.zone, changed.granularity) == (org.zone.name, org.granularity):
        theirs = f"the rules of {_database(changed.rules)}" if changed.rules else "other rules of this zone"
        return (
            f"org {org.name!r} is collected by {org.granularity} in {org.zone.name} through "
            f"{covered_until.isoformat()} with {theirs}; with those of {_database(org.zone.rules)} its windows would "
            "overlap with that and count twice: install the same tzdata for all processes that share the ledger, "
            f"or set `since: {since}` for it, so that windows by the new rules begin there{gap}"
        )
    return (
        f"org {org.name!r} is collected by {changed.granularity} in {changed.zone} through "
        f"{covered_until.isoformat()}; "
        f"windows by {org.granularity} in {org.zone.name} would overlap with it and count twice: "
        f"set `since: {since}` for it, so that the new calendar begins there{gap}"
    )


def _database(rules: str) -> str:
    return f"tzdata {rules.split(maxsplit=1)[0]}" if rules else "a fixed offset"


def first_free_date(org: Org, covered_until: datetime) -> date:
    """Return the `since` with which a changed calendar begins after all windows of the old one."""
    day = covered_until.astimezone(org.zone.tz).date() - timedelta(days=1)
    calendar = Calendar(org.zone, org.granularity)
    while True:
        start = start_of_date(day, org.zone)
        if start >= covered_until and calendar.floor(start) == start:
            return day
        day += timedelta(days=1)
