"""Numbers, times and names as people read them: exact where one points at them, brief where one glances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from collector.adapters.text import duration, printable
from collector.model import Granularity, Window, Zone

LONGEST_NAME = 300
_LONGEST_LINE = 2000
_LAST_INSTANT = timedelta(microseconds=1)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class When:
    """An instant: how long ago or ahead, its exact time in a zone, and what a machine reads."""

    brief: str
    exact: str
    iso: str


def when(instant: datetime, *, now: datetime, zone: str = "UTC") -> When:
    """Return an instant for a person in that zone."""
    local = instant.astimezone(Zone.parse(zone).tz)
    return When(
        brief=relative((now - instant).total_seconds()),
        exact=f"{local:%Y-%m-%d %H:%M:%S} {zone_text(local, zone)}",
        iso=local.isoformat(timespec="seconds"),
    )


def maybe_when(instant: datetime | None, *, now: datetime, zone: str = "UTC") -> When | None:
    """Return an instant for a person, if there is one."""
    return None if instant is None else when(instant, now=now, zone=zone)


def relative(seconds: float) -> str:
    """Return how long ago that was, in one unit; `in …` for what is yet to come."""
    if abs(seconds) < 2:
        return "just now" if seconds >= 0 else "now"
    for length, unit in _UNITS:
        if abs(seconds) >= 1.5 * length or length == 1:
            count = round(abs(seconds) / length)
            return f"{count:,} {unit} ago" if seconds > 0 else f"in {count:,} {unit}"
    raise AssertionError


def zone_text(local: datetime, zone: str) -> str:
    """Return a zone with what it is ahead of UTC, where its name doesn't say so."""
    offset = f"{local:%z}"
    if zone == "UTC" or isinstance(local.tzinfo, timezone):
        return zone
    return f"{zone} ({offset[:3]}:{offset[3:]})"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def lag(seconds: float) -> str:
    """Return a lag; empty if there is none."""
    return duration(seconds) if seconds >= 1 else ""


def name_text(text: str) -> str:
    """Return a name from a config or the API: what steers a terminal or a page is shown instead of obeyed."""
    return printable(text, LONGEST_NAME)


def line_text(text: str) -> str:
    """Return a message that may quote such a name."""
    return printable(text, _LONGEST_LINE)


def dates(first: date, last: date) -> str:
    """Return days as few words: `2026-06-01 to 06-03`."""
    if first == last:
        return first.isoformat()
    return f"{first} to {last:%m-%d}" if first.year == last.year else f"{first} to {last}"


def local_dates(window: Window, zone: str) -> tuple[date, date]:
    """Return the first and the last day of a window on the calendar of a zone."""
    tz = Zone.parse(zone).tz
    return window.start.astimezone(tz).date(), (window.end - _LAST_INSTANT).astimezone(tz).date()


def window_text(window: Window, zone: str, granularity: Granularity) -> str:
    """Return a window on the org's calendar: its days, or its hours."""
    if granularity is not Granularity.HOUR:
        return dates(*local_dates(window, zone))
    tz = Zone.parse(zone).tz
    start, end = window.start.astimezone(tz), window.end.astimezone(tz)
    return (
        f"{start:%Y-%m-%d %H:%M} to {end:%H:%M}"
        if start.date() == end.date()
        else f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    )
