"""The boundaries of one calendar, computed once: many orgs share it, and zone arithmetic is slow.

Owns counting windows without walking over them. Never knows the state of a window.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime

from collector.core.windows import Calendar
from collector.model import Granularity, Org, Window


class Grid:
    """A calendar that keeps the boundaries of all spans it has counted."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._boundaries: list[datetime] = []

    def windows_in(self, span: Window) -> tuple[int, Window] | None:
        """Return how many windows start within a span, and the time that they fill; None if none does."""
        known = self._reach(span)
        first, end = bisect_left(known, span.start), bisect_left(known, span.end)
        return (end - first, Window(known[first], known[end])) if first < end else None

    def windows(self, span: Window) -> Iterator[Window]:
        """Yield the windows that start within a span, oldest first."""
        known = self._reach(span)
        for place in range(bisect_left(known, span.start), bisect_left(known, span.end)):
            yield Window(known[place], known[place + 1])

    def _reach(self, span: Window) -> list[datetime]:
        known, after = self._boundaries, self.calendar.after
        if not known:
            known.append(self.calendar.floor(span.start))
        if span.start < known[0]:
            earlier = [self.calendar.floor(span.start)]
            while (following := after(earlier[-1])) < known[0]:
                earlier.append(following)
            known[:0] = earlier
        while known[-1] < span.end:
            known.append(after(known[-1]))
        return known


class Grids:
    """The calendars of orgs, each worked out once."""

    def __init__(self) -> None:
        self._grids: dict[tuple[str, Granularity], Grid] = {}

    def of(self, org: Org) -> Grid:
        """Return the calendar of an org."""
        key = (org.zone.name, org.granularity)
        if key not in self._grids:
            self._grids[key] = Grid(Calendar(org.zone, org.granularity))
        return self._grids[key]
