"""The calendars of each org: a time zone and a granularity, valid from an instant until the next calendar begins.

Days of two calendars overlap and would be counted twice. So a new calendar begins only where nothing is covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Integer, bindparam, delete, func, insert, or_, select

from collector.core.ledger_entries import CalendarChanged
from collector.core.windows import Calendar, start_of_date
from collector.ledger.codec import STATE, instant_of, micros
from collector.ledger.schema import BEGINNING, calendar, slice_
from collector.ledger.statements import batches
from collector.model import Org, SliceState

# A slice that was reset because its file was lost may still have revisions in sealed files.
_COVERED = or_(
    slice_.c.state == STATE[SliceState.COMPLETE],
    slice_.c.state == STATE[SliceState.PARTIAL],
    slice_.c.emission.is_not(None),
)


class Calendars:
    """The current calendar of each org in the ledger."""

    def __init__(self, tx: Connection) -> None:
        self._tx = tx
        rows = tx.execute(select(calendar).order_by(calendar.c.org, calendar.c.since))
        self._new: dict[int, dict[str, object]] = {}
        self._current = {row.org: (row.since, row.zone, row.granularity) for row in rows}

    def add_first(self, orgs: Mapping[int, Org]) -> None:
        """Write the first calendar of new orgs."""
        if orgs:
            self._tx.execute(insert(calendar), [_row(key, BEGINNING, org) for key, org in orgs.items()])

    def update(self, orgs: Mapping[str, tuple[int, Org]]) -> dict[str, datetime | CalendarChanged | None]:
        """Begin the calendar of the config where it is new; return when each org's calendar began, or a conflict."""
        results = self.preview(orgs)
        self._write()
        return results

    def preview(self, orgs: Mapping[str, tuple[int, Org]]) -> dict[str, datetime | CalendarChanged | None]:
        """Return what `update` would return, and write nothing."""
        changed = [key for key, org in orgs.values() if self._differs(key, org)]
        covered = self._covered(changed)
        return {name: self._resolve(key, org, covered.get(key)) for name, (key, org) in orgs.items()}

    def _resolve(self, key: int, org: Org, covered: int | None) -> datetime | CalendarChanged | None:
        if self._differs(key, org):
            begins = BEGINNING
            if covered is not None:
                begins = _cut_over(org)
                if begins < covered:
                    _, zone, granularity = self._current[key]
                    return CalendarChanged(zone=zone, granularity=granularity, covered_until=instant_of(covered))
            self._change(key, org, begins)
        since, *_ = self._current[key]
        return None if since == BEGINNING else instant_of(since)

    def _differs(self, key: int, org: Org) -> bool:
        return self._current[key][1:] != (org.zone.name, org.granularity.value)

    def _covered(self, keys: Sequence[int]) -> dict[int, int]:
        """Return the end of the newest covered slice of each org that has one."""
        ends: dict[int, int] = {}
        for batch in batches(keys):
            of_batch = slice_.c.org.in_(batch)
            newest = select(slice_.c.org, func.max(slice_.c.end)).where(of_batch, _COVERED).group_by(slice_.c.org)
            ends.update((key, end) for key, end in self._tx.execute(newest))
        return ends

    def _change(self, key: int, org: Org, since: int) -> None:
        self._current[key] = (since, org.zone.name, org.granularity.value)
        self._new[key] = _row(key, since, org)

    def _write(self) -> None:
        """Write the new calendars, and delete failed slices of windows that no longer exist."""
        if self._new:
            keys = [{"of": row["org"], "from": row["since"]} for row in self._new.values()]
            of, from_ = bindparam("of", type_=Integer), bindparam("from", type_=BigInteger)
            self._tx.execute(delete(calendar).where(calendar.c.org == of, calendar.c.since >= from_), keys)
            self._tx.execute(insert(calendar), list(self._new.values()))
            self._tx.execute(delete(slice_).where(slice_.c.org == of, slice_.c.end > from_, ~_COVERED), keys)


def _cut_over(org: Org) -> int:
    """Return the first window boundary from the org's `since` on; BEGINNING if it has no `since`."""
    if org.since is None:
        return BEGINNING
    return micros(Calendar(org.zone, org.granularity).ceil(start_of_date(org.since, org.zone)))


def _row(key: int, since: int, org: Org) -> dict[str, object]:
    return {"org": key, "since": since, "zone": org.zone.name, "granularity": org.granularity.value}
