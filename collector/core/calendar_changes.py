"""An org whose calendar of the config is another than the ledger's: it is refused, or its calendar begins later.

Instants are shown in the org's zone: a person reads them there, and sets `since` there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from collector.core.ledger_entries import CalendarChanged, CutOver, Standing
from collector.core.windows import Calendar, start_of_date
from collector.errors import Problem, RefusalReason, Refused
from collector.model import Granularity, Org, Window, Zone

_HOUR = timedelta(hours=1)


def refusal(org: Org, changed: CalendarChanged, place: Problem | None = None) -> Refused:
    """Return the refusal of an org that was collected by another calendar; with its place in the config, if known."""
    message = calendars_overlap(org, changed)
    text = message if place is None else str(replace(place, message=message))
    return Refused(reason=RefusalReason.CALENDAR, message=text)


def standing_apart(org: Org, changed: CalendarChanged) -> Standing:
    """Return what the ledger holds of a refused org, as if it had the `since` that its message names.

    So the windows from there on are counted as not requested.
    """
    begins = start_of_date(first_free_date(org, changed.covered_until), org.zone)
    if changed.standing is None:
        raise ValueError("only `register` returns what the row holds")
    return replace(changed.standing, calendar_since=begins)


def by_the_ledger(org: Org, changed: CalendarChanged) -> Org:
    """Return a refused org with the zone and the granularity by which it was collected; as it is, if none is known."""
    try:
        return replace(org, zone=Zone.parse(changed.zone), granularity=Granularity(changed.granularity))
    except ValueError:
        return org


def calendars_overlap(org: Org, changed: CalendarChanged) -> str:
    """Return the message for an org that was collected by another calendar, with what to do."""
    covered_until = changed.covered_until
    since = first_free_date(org, covered_until)
    begins = start_of_date(since, org.zone)
    left_out = ""
    if covered_until < begins:
        spans = _spans([Window(covered_until, begins)], org)
        left_out = f"; neither calendar has windows for {spans}: docs/ledger.md says how to keep them"
    until = _local(covered_until, org)
    if (changed.zone, changed.granularity) == (org.zone.name, org.granularity):
        theirs = f"the rules of {_database(changed.rules)}" if changed.rules else "other rules of this zone"
        return (
            f"org {org.name!r} is collected by {org.granularity} in {org.zone.name} through "
            f"{until} with {theirs}; with those of {_database(org.zone.rules)} its windows would "
            "overlap with that and count twice: install the same tzdata for all processes that share the ledger, "
            f"or set `since: {since}` for it, so that windows by the new rules begin there{left_out}"
        )
    return (
        f"org {org.name!r} is collected by {changed.granularity} in {changed.zone} through {until}; "
        f"windows by {org.granularity} in {org.zone.name} would overlap with it and count twice: "
        f"set `since: {since}` for it, so that the new calendar begins there{left_out}"
    )


def cut_over(org: Org, new: CutOver) -> str:
    """Return the message for an org whose new calendar leaves out time that was wanted, with how to keep it."""
    rules = f" with the rules of {_database(new.rules)}" if new.zone == org.zone.name and new.rules else ""
    return (
        f"org {org.name!r}: its windows by {org.granularity} in {org.zone.name} begin at {_local(new.begins, org)}. "
        f"No run fetches what is wanted before that and not complete: {_spans(new.left_out, org)}. To keep it, set "
        f"the org back to {new.granularity} in {new.zone}{rules}, collect it, and then change the calendar; or set an "
        "earlier `since`, where a window can begin"
    )


def first_free_date(org: Org, covered_until: datetime) -> date:
    """Return the `since` with which a changed calendar begins after all windows of the old one."""
    day = covered_until.astimezone(org.zone.tz).date() - timedelta(days=1)
    calendar = Calendar(org.zone, org.granularity)
    while True:
        start = start_of_date(day, org.zone)
        if start >= covered_until and calendar.floor(start) == start:
            return day
        day += timedelta(days=1)


def _spans(spans: Sequence[Window], org: Org) -> str:
    """Return how many hours spans have, and their ends; of many, the first and the last."""
    within = "" if len(spans) == 1 else f" in {len(spans)} parts"
    first, end = _local(spans[0].start, org), _local(spans[-1].end, org)
    return f"{hours_of(spans)}{within} from {first} to {end}"


def hours_of(spans: Sequence[Window]) -> str:
    """Return how many hours spans have, in words."""
    hours = sum((span.end.astimezone(UTC) - span.start.astimezone(UTC) for span in spans), timedelta()) / _HOUR
    amount = f"{hours:.2f}".rstrip("0").rstrip(".")
    return f"{amount} hour{'s' * (amount != '1')}"


def _local(instant: datetime, org: Org) -> str:
    return instant.astimezone(org.zone.tz).isoformat()


def _database(rules: str | None) -> str:
    return f"tzdata {rules.split(maxsplit=1)[0]}" if rules else "a fixed offset"
