"""What is there and what is missing: the ledger's states laid over what is wanted and due.

A gap is a window that is wanted, due and not complete (contract.md, "Words").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from collector.core.coverage import Ages
from collector.core.grid import Grid
from collector.core.windows import merge
from collector.model import Population, SliceState, Window

MISSING = "missing"
IN_DOUBT = "in_doubt"  # told by an answer, but in a file that a dead process left and nobody has sealed yet
State = SliceState | str
Piece = tuple[State, Window]
_LAST_INSTANT = timedelta(microseconds=1)
_ONE_DAY = timedelta(days=1)
# What a day shows whose windows ended differently: the worst of them.
_WORST_LAST: tuple[State, ...] = (
    SliceState.COMPLETE,
    IN_DOUBT,
    SliceState.PARTIAL,
    SliceState.FAILED,
    SliceState.REFUSED,
    MISSING,
)


@dataclass(slots=True, kw_only=True)
class PopulationStatus:
    """One population of one org: its wanted, due windows by state."""

    population: Population
    counts: Counter[State] = field(default_factory=Counter)
    lacks: list[Piece] = field(default_factory=list)  # what is not complete, by state, oldest first
    days: dict[date, State] = field(default_factory=dict)
    oldest_usage: Window | None = None

    @property
    def windows(self) -> int:
        """How many are wanted and due."""
        return self.counts.total()

    @property
    def lacking(self) -> int:
        """How many of them are not complete."""
        return self.windows - self.counts[SliceState.COMPLETE]

    @property
    def gaps(self) -> list[Window]:
        """The time that they fill, oldest first."""
        return merge(span for _, span in self.lacks)


def population_status(
    population: Population,
    grid: Grid,
    wanted: Sequence[Window],
    known: Sequence[Piece],
    *,
    days_from: date = date.min,
) -> PopulationStatus:
    """Return the status of a population; of its days those from `days_from` on.

    `wanted` are spans of whole windows that are due; `known` are spans of slices in one state. Both oldest first.
    """
    status = PopulationStatus(population=population)
    for state, span in _pieces(wanted, known):
        found = grid.windows_in(span)
        if found is None:
            continue
        windows, filled = found
        status.counts[state] += windows
        _paint(status.days, state, filled, grid, days_from)
        if state is SliceState.COMPLETE:
            continue
        if status.lacks and status.lacks[-1][0] == state and status.lacks[-1][1].end == filled.start:
            filled = Window(status.lacks.pop()[1].start, filled.end)
        status.lacks.append((state, filled))
    return status


def stranded(lacks: Sequence[Piece], grid: Grid, ages: Ages, *, now: datetime) -> Window | None:
    """Return the span from the first to the last window that no `collect` asks any more: only a backfill does."""
    old = []
    for state, span in lacks:
        reach = ages.repair_for if state in (SliceState.PARTIAL, SliceState.FAILED) else ages.catch_up
        end = min(span.end, grid.calendar.floor(now - reach))
        if span.start < end:
            old.append(Window(span.start, end))
    return Window(old[0].start, max(span.end for span in old)) if old else None


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
                yield MISSING, Window(at, seen.start)
            start, end = max(at, seen.start), min(seen.end, span.end)
            if start < end:
                yield state, Window(start, end)
                at = end
        if at < span.end:
            yield MISSING, Window(at, span.end)


def _paint(days: dict[date, State], state: State, span: Window, grid: Grid, days_from: date) -> None:
    tz = grid.calendar.zone.tz
    day = max(span.start.astimezone(tz).date(), days_from)
    last = (span.end - _LAST_INSTANT).astimezone(tz).date()
    while day <= last:
        days[day] = max(days.get(day, SliceState.COMPLETE), state, key=_WORST_LAST.index)
        day += _ONE_DAY
