"""What is there and what is missing: the ledger's states laid over what is wanted and due.

A gap is a window that is wanted, due and not complete (contract.md, "Words").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from collector.core.windows import Calendar, merge
from collector.model import Population, SliceState, Window

MISSING = "missing"
IN_DOUBT = "in_doubt"  # told by an answer, but in a file that a dead process left and nobody has sealed yet
State = SliceState | str
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
    gaps: list[Window] = field(default_factory=list)
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


def population_status(
    population: Population,
    calendar: Calendar,
    wanted: Sequence[Window],
    known: Sequence[tuple[State, Window]],
) -> PopulationStatus:
    """Return the status of a population.

    `wanted` are spans of whole windows that are due; `known` are spans of slices in one state. Both oldest first.
    """
    status = PopulationStatus(population=population)
    lacking = []
    for window, state in _states(calendar, wanted, known):
        status.counts[state] += 1
        day = window.start.astimezone(calendar.zone.tz).date()
        status.days[day] = max(status.days.get(day, SliceState.COMPLETE), state, key=_WORST_LAST.index)
        if state is not SliceState.COMPLETE:
            lacking.append(window)
    status.gaps = merge(lacking)
    return status


def _states(
    calendar: Calendar, wanted: Sequence[Window], known: Sequence[tuple[State, Window]]
) -> Iterator[tuple[Window, State]]:
    place = 0
    for span in merge(wanted):
        for window in calendar.split(span):
            while place < len(known) and known[place][1].end <= window.start:
                place += 1
            covered = place < len(known) and known[place][1].start <= window.start
            yield window, known[place][0] if covered else MISSING
