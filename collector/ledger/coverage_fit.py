"""Whether the slices in the ledger are windows of an org's calendar, by the rules of its zone that hold now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, case, or_, select

from collector.core.windows import Calendar, merge, without
from collector.ledger.codec import POPULATION, STATE, instant_of, micros
from collector.ledger.schema import BEGINNING, slice_
from collector.ledger.statements import batches
from collector.model import Granularity, Org, Population, SliceState, Window

# A slice that was reset because its file was lost may still have revisions in sealed files.
COVERED = or_(
    slice_.c.state == STATE[SliceState.COMPLETE],
    slice_.c.state == STATE[SliceState.PARTIAL],
    slice_.c.emission.is_not(None),
)
_SLICES = select(slice_.c.org, slice_.c.start, slice_.c.end, case((COVERED, 1), else_=0))
_ORGS_AT_ONCE = 100


@dataclass(slots=True)
class Fit:
    """How the slices of an org fit a calendar."""

    until: int = BEGINNING  # the end of the newest covered slice that is none of its windows
    gone: list[tuple[int, int]] = field(default_factory=list)  # slices that cover nothing, and are none either


def compare(tx: Connection, orgs: Mapping[int, Org]) -> dict[int, Fit]:
    """Compare all slices of orgs with the windows of their calendars; many orgs share one."""
    fits = {key: Fit() for key in orgs}
    windows: dict[tuple[str, Granularity], _Windows] = {}
    for batch in batches(orgs, _ORGS_AT_ONCE):
        for key, start, end, covered in tx.execute(_SLICES.where(slice_.c.org.in_(batch))):
            org = orgs[key]
            name = (org.zone.name, org.granularity)
            if name not in windows:
                windows[name] = _Windows(Calendar(org.zone, org.granularity))
            if windows[name].has(start, end):
                continue
            if covered:
                fits[key].until = max(fits[key].until, end)
            else:
                fits[key].gone.append((start, end))
    return fits


def incomplete(tx: Connection, key: int, populations: Iterable[Population], spans: Sequence[Window]) -> list[Window]:
    """Return the time of spans that is not complete for one of an org's populations, oldest first."""
    if not spans:
        return []
    complete = select(slice_.c.start, slice_.c.end).where(
        slice_.c.org == key,
        slice_.c.state == STATE[SliceState.COMPLETE],
        slice_.c.end > micros(min(span.start for span in spans)),
        slice_.c.start < micros(max(span.end for span in spans)),
    )
    left: list[Window] = []
    for population in populations:
        rows = tx.execute(complete.where(slice_.c.population == POPULATION[population]))
        left += without(spans, (Window(instant_of(row.start), instant_of(row.end)) for row in rows))
    return merge(left)


class _Windows:
    """The windows of a calendar that were looked at: zone arithmetic is slow."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._known: dict[tuple[int, int], bool] = {}

    def has(self, start: int, end: int) -> bool:
        """Return whether there is a window with this start and this end."""
        if (start, end) not in self._known:
            begins = instant_of(start)
            boundary = self._calendar.floor(begins) == begins
            self._known[start, end] = boundary and self._calendar.after(begins) == instant_of(end)
        return self._known[start, end]
