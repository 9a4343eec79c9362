"""The calendars of each org: a zone and a granularity from an instant on, until the next one begins.

Days of two calendars overlap, and would count twice: a new one begins where nothing is covered.
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

# A slice that was taken back ("lost") may still have revisions in sealed files.
_COVERED = or_(
    slice_.c.state == STATE[SliceState.COMPLETE],
    slice_.c.state == STATE[SliceState.PARTIAL],
    slice_.c.emission.is_not(None),
)


class Calendars:
    """The present calendar of each org of the ledger."""

    def __init__(self, tx: Connection) -> None:
        self._tx = tx
        rows = tx.execute(select(calendar).order_by(calendar.c.org, calendar.c.since))
        self._begun: dict[int, dict[str, object]] = {}
        self._present = {row.org: (row.since, row.zone, row.granularity) for row in rows}

    def begin(self, orgs: Mapping[int, Org]) -> None:
        """Write the first calendar of new orgs."""
        if orgs:
            self._tx.execute(insert(calendar), [_row(key, BEGINNING, org) for key, org in orgs.items()])

    def settle(self, orgs: Mapping[str, tuple[int, Org]]) -> dict[str, datetime | CalendarChanged | None]:
        """Return since when each org has its present calendar, or that the config has another one."""
        settled = self.look(orgs)
        self._write()
        return settled

    def look(self, orgs: Mapping[str, tuple[int, Org]]) -> dict[str, datetime | CalendarChanged | None]:
        """Return what `settle` would, and write nothing."""
        changed = [key for key, org in orgs.values() if self._differs(key, org)]
        covered = self._covered(changed)
        return {name: self._settle(key, org, covered.get(key)) for name, (key, org) in orgs.items()}

    def _settle(self, key: int, org: Org, covered: int | None) -> datetime | CalendarChanged | None:
        if self._differs(key, org):
            begins = BEGINNING
            if covered is not None:
                begins = _cut_over(org)
                if begins < covered:
                    _, zone, granularity = self._present[key]
                    return CalendarChanged(zone=zone, granularity=granularity, covered_until=instant_of(covered))
            self._change(key, org, begins)
        since, *_ = self._present[key]
        return None if since == BEGINNING else instant_of(since)

    def _differs(self, key: int, org: Org) -> bool:
        return self._present[key][1:] != (org.zone.name, org.granularity.value)

    def _covered(self, keys: Sequence[int]) -> dict[int, int]:
        """Return the end of what is covered of each org that has anything covered."""
        ends: dict[int, int] = {}
        for batch in batches(keys):
            of_batch = slice_.c.org.in_(batch)
            newest = select(slice_.c.org, func.max(slice_.c.end)).where(of_batch, _COVERED).group_by(slice_.c.org)
            ends.update((key, end) for key, end in self._tx.execute(newest))
        return ends

    def _change(self, key: int, org: Org, since: int) -> None:
        self._present[key] = (since, org.zone.name, org.granularity.value)
        self._begun[key] = _row(key, since, org)

    def _write(self) -> None:
        """Let calendars begin, and forget what failed of windows that are no more."""
        if self._begun:
            begun = [{"of": row["org"], "from": row["since"]} for row in self._begun.values()]
            of, from_ = bindparam("of", type_=Integer), bindparam("from", type_=BigInteger)
            self._tx.execute(delete(calendar).where(calendar.c.org == of, calendar.c.since >= from_), begun)
            self._tx.execute(insert(calendar), list(self._begun.values()))
            self._tx.execute(delete(slice_).where(slice_.c.org == of, slice_.c.end > from_, ~_COVERED), begun)


def _cut_over(org: Org) -> int:
    """Return where the calendar of an entry may begin: at its `since`, else nowhere."""
    if org.since is None:
        return BEGINNING
    return micros(Calendar(org.zone, org.granularity).ceil(start_of_date(org.since, org.zone)))


def _row(key: int, since: int, org: Org) -> dict[str, object]:
    return {"org": key, "since": since, "zone": org.zone.name, "granularity": org.granularity.value}
