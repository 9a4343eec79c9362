"""The ranges that users give (`--from`, `--to`, `--last`), and the windows that they select on a calendar.

A range is widened to the whole windows that it touches, and cut to windows that are due and
not older than `since`. The user is told of both. A duration selects the windows that ended
within it (contract.md, "Words"). An open or a clipped window is never fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from collector.core.echo import echo
from collector.core.windows import Calendar, first_instant_reading, last_instant_reading, start_of_date
from collector.model import Window, Zone

EARLIEST = date(2015, 1, 1)  # before the vendor existed: there can be no usage
LATEST = date(9000, 12, 31)  # a later one could overflow the calendar: zones and ends of windows reach further
_NEARLY = re.compile(r"\s?\d{1,8}(?:[TtWxZ:+./ -]{1,2}\d{1,4}){0,8}[TZz]?\s?|[a-z]{1,12}")
_WRITTEN = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)  # fromisoformat accepts more: it reads 20260623 as midnight, 2026-06-23+02:00 as two o'clock
_MONTH = re.compile(r"(?P<y>\d{4})-(?P<m>0[1-9]|1[0-2])", re.ASCII)
_DAY_AND_MONTH = r"(?P<d>0[1-9]|[12]\d|3[01])", r"(?P<m>0[1-9]|1[0-2])"
_YEAR_LAST = re.compile(r"\.".join((*_DAY_AND_MONTH, r"(?P<y>\d{4})")), re.ASCII)  # 06/07/2026 can mean two days
_OTHER_SIGNS = re.compile(r"[/.]?".join((r"(?P<y>\d{4})", *reversed(_DAY_AND_MONTH))), re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or a time as a user writes it. Its instant depends on the org's zone."""

    value: date | datetime

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read `2026-06-23`, `2026-06-23T10:00`, or either with an offset or `Z` behind a time.

        Raises ValueError with a message that shows the right format.
        """
        try:
            if not _WRITTEN.fullmatch(text):
                raise ValueError(text)
            value = date.fromisoformat(text) if len(text) == len("2026-06-23") else datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{echo(text, _NEARLY)} {_what_is_right(text)}") from None
        day = value.date() if isinstance(value, datetime) else value
        if day < EARLIEST:
            raise ValueError(f"{echo(text, _NEARLY)} is out of range: there is no usage before {EARLIEST}")
        if day > LATEST:
            raise ValueError(f"{echo(text, _NEARLY)} is out of range: {LATEST} is the last possible date")
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


def _what_is_right(text: str) -> str:
    """Return what to write instead of a text that is not a date or time."""
    if _WRITTEN.fullmatch(text):
        return "does not exist: check the month, the day, the time and the offset"
    if month := _MONTH.fullmatch(text):
        return f"is a month, and a day is needed: write {month['y']}-{month['m']}-01 for its first day"
    if other := _YEAR_LAST.fullmatch(text) or _OTHER_SIGNS.fullmatch(text):
        return f"is not written as year-month-day: write {other['y']}-{other['m']}-{other['d']}"
    return "is not a date or time; write 2026-06-23, 2026-06-23T14:00 or 2026-06-23T14:00:00+02:00"


@dataclass(frozen=True, slots=True)
class Between:
    """From one moment to another; without an end, to the last window that is due."""

    start: Moment
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The windows that ended within this duration."""

    duration: timedelta


Range = Between | Last


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The span that a range selects on one calendar, and how it differs from the range."""

    span: Window | None  # whole windows, due, not older than `since`; None if there are none
    widened_from: Window | None = None  # the given range, if it had to be widened
    cut_due: datetime | None = None  # the end of the last window that is due, if the range ends later
    cut_since: datetime | None = None  # the start of the first wanted window, if the range starts earlier


def select(
    range_: Range, calendar: Calendar, *, now: datetime, settle: timedelta, since: date | None = None
) -> Selection:
    """Return the span of whole windows that a range selects on a calendar at an instant.

    Raises ValueError if the range ends before it starts.
    """
    return _select(range_, calendar, tz=calendar.zone.tz, now=now, settle=settle, since=since)


@lru_cache(maxsize=256)  # thousands of orgs share a calendar; zones of one name may have different rules
def _select(
    range_: Range, calendar: Calendar, *, tz: tzinfo, now: datetime, settle: timedelta, since: date | None
) -> Selection:
    del tz  # it is a part of the key
    due = calendar.floor(now - settle)
    widened_from = None
    match range_:
        case Last(duration):
            # The window around now - duration is the first one that ended after that instant.
            earliest = start_of_date(EARLIEST, calendar.zone)
            start, end = calendar.floor(now - min(duration, now - earliest)), calendar.floor(now)
        case Between():
            start = range_.start.as_start(calendar.zone)
            end = range_.end.as_end(calendar.zone) if range_.end else max(due, start)
            if range_.end == range_.start and start == end:
                raise ValueError(f"the range is empty: it starts and ends at {range_.start.value}. --to must be later")
            if range_.end and start >= end:
                raise ValueError(
                    f"the range ends ({range_.end.value}) before it starts ({range_.start.value}): swap --from and --to"
                )
            if start < end:
                given = Window(start, end)
                span = calendar.widen(given)
                widened_from = given if span != given else None
                start, end = span.start, span.end
    wanted = calendar.ceil(start_of_date(min(since, LATEST), calendar.zone)) if since else start
    return Selection(
        span=Window(max(start, wanted), min(end, due)) if max(start, wanted) < min(end, due) else None,
        widened_from=widened_from,
        cut_due=due if end > due else None,
        cut_since=wanted if start < wanted else None,
    )
