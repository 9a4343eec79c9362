"""The ranges that people give: `--from`, `--to`, `--last`, and what becomes of them on a calendar.

A range is widened to the whole windows that it touches and cut to those that are due and
not older than `since`; both are told. A duration selects the windows that ended within it
(contract.md, "Words"). Nothing else is ever asked: no open window, no clipped one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from collector.core.windows import Calendar, first_instant_reading, last_instant_reading, start_of_date
from collector.model import Window, Zone

EARLIEST = date(2015, 1, 1)  # older than the vendor: nothing can have been used before
LATEST = date(9000, 12, 31)  # later ones would leave the calendar by way of a zone or a window's end
_WRITTEN = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)  # fromisoformat reads more: 20260623 as midnight, 2026-06-23+02:00 as two o'clock


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or a time of day as a person writes it; what instant it is depends on the org's zone."""

    value: date | datetime

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read `2026-06-23`, `2026-06-23T10:00`, or either with an offset or `Z` behind a time.

        Raises ValueError that says what would be right.
        """
        try:
            if not _WRITTEN.fullmatch(text):
                raise ValueError(text)
            value = date.fromisoformat(text) if len(text) == len("2026-06-23") else datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{text!r} is no date or time; write 2026-06-23, 2026-06-23T14:00 or 2026-06-23T14:00:00+02:00"
            ) from None
        day = value.date() if isinstance(value, datetime) else value
        if day < EARLIEST:
            raise ValueError(f"{text!r} is out of range: nothing was used before {EARLIEST}")
        if day > LATEST:
            raise ValueError(f"{text!r} is out of range: {LATEST} is the last date there is")
        return cls(value)

    def as_start(self, zone: Zone) -> datetime:
        """Return the first instant that it can mean in that zone."""
        match self.value:
            case datetime(tzinfo=None):
                return first_instant_reading(self.value.replace(tzinfo=zone.tz))
            case datetime():
                return self.value.astimezone(UTC)
            case day:
                return start_of_date(day, zone)

    def as_end(self, zone: Zone) -> datetime:
        """Return the last instant that it can mean in that zone; a bare date means through its end."""
        match self.value:
            case datetime(tzinfo=None):
                return last_instant_reading(self.value.replace(tzinfo=zone.tz))
            case datetime():
                return self.value.astimezone(UTC)
            case day:
                return start_of_date(day + timedelta(days=1), zone)


@dataclass(frozen=True, slots=True)
class Between:
    """From one moment to another; without an end, through all that is due."""

    start: Moment
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The windows that ended within this duration."""

    duration: timedelta


Range = Between | Last


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a range selects on one calendar."""

    span: Window | None  # whole windows, due, not older than `since`; None if there is none
    widened_from: Window | None = None  # what was asked for, where that wasn't whole windows
    cut_due: datetime | None = None  # the end of what is due, where more was asked for
    cut_since: datetime | None = None  # the start of what is wanted, where more was asked for


def select(
    range_: Range, calendar: Calendar, *, now: datetime, settle: timedelta, since: date | None = None
) -> Selection:
    """Return the span of whole windows that a range means on a calendar at an instant.

    Raises ValueError if the range ends before it starts.
    """
    due = calendar.floor(now - settle)
    widened_from = None
    match range_:
        case Last(duration):
            # The window that holds now - duration is the first that ended after it.
            earliest = start_of_date(EARLIEST, calendar.zone)
            start, end = calendar.floor(now - min(duration, now - earliest)), due
        case Between():
            start = range_.start.as_start(calendar.zone)
            end = range_.end.as_end(calendar.zone) if range_.end else max(due, start)
            if range_.end and start >= end:
                raise ValueError(f"the range ends ({range_.end.value}) before it starts ({range_.start.value})")
            if start < end:
                asked = Window(start, end)
                span = calendar.widen(asked)
                widened_from = asked if span != asked else None
                start, end = span.start, span.end
    wanted = calendar.ceil(start_of_date(min(since, LATEST), calendar.zone)) if since else start
    return Selection(
        span=Window(max(start, wanted), min(end, due)) if max(start, wanted) < min(end, due) else None,
        widened_from=widened_from,
        cut_due=due if end > due else None,
        cut_since=wanted if start < wanted else None,
    )
