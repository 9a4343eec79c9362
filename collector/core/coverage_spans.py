"""What the ledger knows, laid over what is wanted and due: by spans, never window by window.

Owns counts, gaps and the state of each day. A gap is a window that is wanted, due and not complete (contract.md,
"Words").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Self

from collector.core.coverage import Ages
from collector.core.grid import Grid
from collector.core.org_coverage import COUNTED, FETCHED, CoverageState, Gap
from collector.core.org_history import Piece
from collector.core.windows import merge
from collector.model import Window

_LAST_INSTANT = timedelta(microseconds=1)
_RANK = {state: rank for rank, state in enumerate((CoverageState.NOT_WANTED, CoverageState.NOT_DUE, *COUNTED))}


@dataclass(slots=True, kw_only=True)
class Overlay:
    """What is known of one population, laid over what is wanted of it."""

    first_day: date
    days: list[CoverageState]  # from `first_day` on; what came before is not shown
    counts: Counter[CoverageState] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)  # oldest first

    def lay(self, grid: Grid, wanted: Sequence[Window], known: Sequence[Piece]) -> Self:
        """Add spans of whole windows that are due, and spans of slices in one state; both oldest first."""
        for state, span in _pieces(wanted, known):
            if (found := grid.windows_in(span)) is not None:
                windows, filled = found
                self.counts[state] += windows
                self._paint(state, filled, grid.calendar.zone.tz)
                if state not in FETCHED:
                    self._add_gap(state, filled)
        return self

    def _add_gap(self, state: CoverageState, span: Window) -> None:
        last = self.gaps[-1] if self.gaps else None
        if last is not None and last.state is state and last.window.end == span.start:
            self.gaps[-1] = Gap(state, Window(last.window.start, span.end))
        else:
            self.gaps.append(Gap(state, span))

    def _paint(self, state: CoverageState, span: Window, tz: tzinfo) -> None:
        """Give days the state. Only the first and the last may have windows of other spans: the worst is shown."""
        first = max(0, (span.start.astimezone(tz).date() - self.first_day).days)
        last = ((span.end - _LAST_INSTANT).astimezone(tz).date() - self.first_day).days
        if last < first:
            return
        for edge in (first, last):
            self.days[edge] = max(self.days[edge], state, key=_RANK.__getitem__)
        self.days[first + 1 : last] = [state] * (last - first - 1)


def stranded(gaps: Sequence[Gap], grid: Grid, ages: Ages, *, now: datetime) -> list[Window]:
    """Return the spans of windows that no `collect` fetches any more: only a backfill does. Oldest first.

    What is in doubt is none of that: no backfill fetches it either, as its file may still be sealed.
    """
    old = []
    for gap in gaps:
        reach = ages.repair_for if gap.state in (CoverageState.PARTIAL, CoverageState.FAILED) else ages.catch_up
        end = min(gap.window.end, grid.calendar.floor(now - reach))
        if gap.state is not CoverageState.IN_DOUBT and gap.window.start < end:
            old.append(Window(gap.window.start, end))
    return merge(sorted(old, key=lambda span: span.start))


def _pieces(wanted: Sequence[Window], known: Sequence[Piece]) -> Iterator[Piece]:
    """Yield what is wanted, cut where the state changes; what isn't known is missing."""
    place = 0
    for span in merge(wanted):
        at = span.start
        while place < len(known) and known[place][1].end <= at:
            place += 1
        for state, seen in known[place:]:
            if seen.start >= span.end:
                break
            if at < seen.start:
                yield CoverageState.MISSING, Window(at, seen.start)
            start, end = max(at, seen.start), min(seen.end, span.end)
            if start < end:
                yield state, Window(start, end)
                at = end
        if at < span.end:
            yield CoverageState.MISSING, Window(at, span.end)
