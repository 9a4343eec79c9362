"""The calendar: where windows begin and end, in any zone.

A day starts at the first instant of its local date, an hour at every instant whose
wall clock reads a full hour, a week on Monday, a month on its first day, whatever the
zone does (contract.md, "Calendar"). A window reaches from one boundary to the next. So windows
never overlap and leave no gap, days are 23 to 25 hours long where clocks change, and a date
that a zone skipped has no window.

Owns boundaries, and splitting and merging of windows. Never knows what is due or wanted: that
is in `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from collector.model import Granularity, Window, Zone

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
# The longest time between two full hours of a wall clock: clocks shift by two hours at most.
_LONGEST_HOUR = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The windows of one granularity in one zone."""

    zone: Zone
    granularity: Granularity

    def floor(self, instant: datetime) -> datetime:
        """Return the last boundary at or before the instant, in UTC."""
        if self.granularity is Granularity.HOUR:
            boundary = self.after(instant - _LONGEST_HOUR)
            while (following := self.after(boundary)) <= instant:
                boundary = following
            return boundary
        # Begin one period later than the local date: where a clock goes back over midnight,
        # the new day has begun although the clock shows the old date again.
        first = self._step(self._first_date(instant.astimezone(self.zone.tz).date()), 1)
        while (boundary := start_of_date(first, self.zone)) > instant:
            first = self._step(first, -1)
        return boundary

    def after(self, instant: datetime) -> datetime:
        """Return the first boundary that is later than the instant, in UTC."""
        if self.granularity is Granularity.HOUR:
            return _next_full_hour(instant.astimezone(UTC), self.zone.tz)
        first = self._first_date(instant.astimezone(self.zone.tz).date())
        while True:
            first = self._step(first, 1)
            boundary = start_of_date(first, self.zone)
            if boundary > instant:
                return boundary

    def ceil(self, instant: datetime) -> datetime:
        """Return the first boundary at or after the instant, in UTC."""
        boundary = self.floor(instant)
        return boundary if boundary == instant else self.after(instant)

    def widen(self, span: Window) -> Window:
        """Return the smallest span of whole windows that contains the given one."""
        return Window(self.floor(span.start), self.ceil(span.end))

    def split(self, span: Window) -> Iterator[Window]:
        """Yield the windows of a span that begins and ends on boundaries, oldest first.

        Raises ValueError for any other span: the total of a clipped window would be wrong.
        """
        if self.floor(span.start) != span.start or self.floor(span.end) != span.end:
            raise ValueError(f"{span} does not begin and end on {self.granularity} boundaries of {self.zone.name}")
        start = span.start
        while start < span.end:
            end = self.after(start)
            yield Window(start, end)
            start = end

    def _first_date(self, day: date) -> date:
        match self.granularity:
            case Granularity.WEEK:
                return day - timedelta(days=day.weekday())
            case Granularity.MONTH:
                return day.replace(day=1)
            case _:
                return day

    def _step(self, first: date, periods: int) -> date:
        match self.granularity:
            case Granularity.WEEK:
                return first + timedelta(weeks=periods)
            case Granularity.MONTH:
                years, month = divmod(first.month - 1 + periods, 12)
                return date(first.year + years, month + 1, 1)
            case _:
                return first + timedelta(days=periods)


def start_of_date(day: date, zone: Zone) -> datetime:
    """Return the first instant, in UTC, whose local date is that day (or a later one, if the zone skipped it)."""
    return _start_of_date(day, zone.tz)


@lru_cache(maxsize=4096)  # thousands of orgs share a zone; zones of one name may have different rules, so not by name
def _start_of_date(day: date, tz: tzinfo) -> datetime:
    return first_instant_reading(datetime(day.year, day.month, day.day, tzinfo=tz))


def first_instant_reading(wall: datetime) -> datetime:
    """Return the first instant, in UTC, at which the wall clock of `wall`'s zone reads it or more.

    Of a time that comes twice, the first is returned; for a skipped time, the instant of the shift.
    """
    instant = wall.replace(fold=0).astimezone(UTC)
    local = wall.replace(tzinfo=None, fold=0)
    if instant.astimezone(wall.tzinfo).replace(tzinfo=None, fold=0) == local:
        return instant
    # Skipped: fold=1 reads it with the offset after the shift, which lies before it, and fold=0 the
    # other way round (PEP 495), so the shift is between the two.
    early = wall.replace(fold=1).astimezone(UTC) - _SECOND
    return _first_second(early, instant, lambda t: t.astimezone(wall.tzinfo).replace(tzinfo=None, fold=0) >= local)


def last_instant_reading(wall: datetime) -> datetime:
    """Return the last instant, in UTC, at which the wall clock reads `wall`; for a skipped time, the shift."""
    first = first_instant_reading(wall)
    again = wall.replace(fold=1).astimezone(UTC)
    return max(first, again)


def merge(windows: Iterable[Window]) -> list[Window]:
    """Return the same time in as few windows as possible, oldest first: windows that touch become one."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda w: w.start):
        if merged and window.start <= merged[-1].end:
            last = merged.pop()
            merged.append(Window(last.start, max(last.end, window.end)))
        else:
            merged.append(window)
    return merged


def without(windows: Iterable[Window], others: Iterable[Window]) -> list[Window]:
    """Return the time of windows that isn't in others, oldest first."""
    left = []
    taken = merge(others)
    for window in merge(windows):
        start = window.start
        for other in taken:
            if start < other.end and other.start < window.end:
                if start < other.start:
                    left.append(Window(start, other.start))
                start = other.end
        if start < window.end:
            left.append(Window(start, window.end))
    return left


def _next_full_hour(instant: datetime, tz: tzinfo) -> datetime:
    while True:
        local = instant.astimezone(tz)
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        candidate = instant + (_HOUR - into)
        if candidate.astimezone(tz).utcoffset() == local.utcoffset():
            return candidate
        shift = _shift_between(instant.replace(microsecond=0), candidate, tz)
        reads = shift.astimezone(tz)
        if reads.minute == 0 and reads.second == 0:
            return shift
        instant = shift


def _shift_between(before: datetime, after: datetime, tz: tzinfo) -> datetime:
    offset = before.astimezone(tz).utcoffset()
    return _first_second(before, after, lambda t: t.astimezone(tz).utcoffset() != offset)


def _first_second(low: datetime, high: datetime, reached: Callable[[datetime], bool]) -> datetime:
    """Return the first whole second in (low, high] for which `reached` is true. It is false at low, true at high."""
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if reached(middle):
            high = middle
        else:
            low = middle
    return high
