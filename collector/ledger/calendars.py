"""The calendars of each org: a time zone and a granularity, valid from an instant until the next calendar begins.

Days of two calendars overlap and would be counted twice. So a new calendar begins only where no window of another
one is covered. What counts are the boundaries: a new name, or new rules, of a zone with the same windows over all
that is covered is no new calendar. Slices are only compared if the noted rules differ.

A calendar is written by a process that has the org's lease, or if no process has it (`Calendars.confirm`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select

from collector.core.ledger_entries import CalendarChanged, CutOver, EarlierCalendar, Holder
from collector.core.windows import Calendar, start_of_date
from collector.ledger import ranges
from collector.ledger.codec import instant_of, micros
from collector.ledger.coverage_fit import COVERED, Fit, compare, incomplete
from collector.ledger.schema import BEGINNING, calendar, org, slice_
from collector.model import Org, Window

_OF, _FROM, _UNTIL = (bindparam(name, type_=BigInteger) for name in ("of", "from", "until"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The calendar of an org, and who has the org's lease."""

    since: int
    zone: str
    granularity: str
    rules: str | None  # None: noted by no collector yet
    holder: str | None

    def is_of(self, org_: Org) -> bool:
        """Return whether it is the calendar of the config, with the same rules."""
        return (self.zone, self.granularity, self.rules) == (
            org_.zone.name,
            org_.granularity.value,
            org_.zone.rules,
        )

    def has_windows_of(self, org_: Org) -> bool:
        """Return whether the windows are the same, whatever the zone and the version of its rules are called."""
        return (
            self.rules is not None
            and self.granularity == org_.granularity.value
            and _content(self.zone, self.rules) == _content(org_.zone.name, org_.zone.rules)
        )


class Calendars:
    """The current calendar of each org in the ledger, or of some `keys`."""

    def __init__(self, tx: Connection, keys: Collection[int] | None = None) -> None:
        self._tx = tx
        query = select(calendar, org.c.holder).join(org).order_by(calendar.c.org, calendar.c.since)
        rows = tx.execute(query if keys is None else query.where(calendar.c.org.in_(keys)))
        self._rows: dict[int, list[_Row]] = {}  # of each org, oldest first
        for row in rows:
            one = _Row(since=row.since, zone=row.zone, granularity=row.granularity, rules=row.rules, holder=row.holder)
            self._rows.setdefault(row.org, []).append(one)
        self._current = {key: all_[-1] for key, all_ in self._rows.items()}
        self._new: dict[int, list[tuple[int, int]]] = {}  # with the windows that no longer exist

    def add_first(self, orgs: Mapping[int, Org]) -> None:
        """Write the first calendar of new orgs."""
        if orgs:
            first = _Row(since=BEGINNING, zone="", granularity="", rules=None, holder=None)
            self._tx.execute(insert(calendar), [_values(key, _changed(first, org_)) for key, org_ in orgs.items()])

    def resolve(self, orgs: Mapping[str, tuple[int, Org]]) -> dict[str, datetime | CalendarChanged | None]:
        """Return when each org's calendar of the config begins, or a conflict. Nothing is written before `write`."""
        others = {
            key: org_
            for key, org_ in orgs.values()
            if not self._current[key].has_windows_of(org_) or BEGINNING < _cut_over(org_) < self._current[key].since
        }
        fits = compare(self._tx, others)
        results: dict[str, datetime | CalendarChanged | None] = {}
        for name, (key, org_) in orgs.items():
            row = self._current[key]
            begins = _begins(self._rows[key], org_, fits[key].until) if key in fits else row.since
            results[name] = self._change(key, org_, begins, fits.get(key, Fit()))
        return results

    def begins(self, key: int) -> datetime | None:
        """Return when the present calendar of an org begins; None for its first one."""
        since = self._current[key].since
        return None if since == BEGINNING else instant_of(since)

    def earlier(self, key: int) -> list[EarlierCalendar]:
        """Return the calendars that an org had before its present one, oldest first."""
        rows = self._rows[key]
        return [
            EarlierCalendar(
                zone=row.zone,
                granularity=row.granularity,
                since=None if row.since == BEGINNING else instant_of(row.since),
                until=instant_of(following.since),
            )
            for row, following in pairwise(rows)
        ]

    def cut_over(self, key: int, org_: Org, *, wanted_from: datetime, known: datetime) -> CutOver | None:
        """Return what the calendar of the config leaves out, unless it was returned before.

        It was if the calendar began there already and the org is wanted from no earlier than `known` on.
        """
        begins, rows = self._current[key].since, self._rows[key]
        moved = wanted_from < known
        if begins == rows[-1].since and not moved:
            return None
        old = self._before(key)
        start = wanted_from if old is None or moved else max(wanted_from, instant_of(old.since))
        spans = [Window(start, instant_of(begins))] if micros(start) < begins else []
        return self.left_out(key, org_, [*spans, *ranges.wanted(self._tx, key)])

    def left_out(self, key: int, org_: Org, spans: Sequence[Window]) -> CutOver | None:
        """Return what isn't complete of spans, and is older than the present calendar."""
        begins, old = self._current[key].since, self._before(key)
        cut = [Window(span.start, min(span.end, instant_of(begins))) for span in spans if micros(span.start) < begins]
        left = incomplete(self._tx, key, org_.populations, cut)
        if old is None or not left:
            return None
        return CutOver(
            zone=old.zone,
            granularity=old.granularity,
            rules=old.rules,
            begins=instant_of(begins),
            left_out=left,
        )

    def _before(self, key: int) -> _Row | None:
        """Return the calendar that ends where the present one begins; None if there is none."""
        begins = self._current[key].since
        return next((row for row in reversed(self._rows[key]) if row.since < begins), None)

    def confirm(self, orgs: Mapping[int, tuple[Org, datetime | None]]) -> dict[int, CalendarChanged]:
        """Write the calendars by which orgs are to be fetched now; return those that would overlap.

        Each is given with the instant from which on it was planned. Another process, with another config or other
        rules, may have covered windows since then.
        """
        begins = {key: BEGINNING if planned is None else micros(planned) for key, (_, planned) in orgs.items()}
        others = {
            key: org_
            for key, (org_, _) in orgs.items()
            if not self._current[key].has_windows_of(org_) or self._current[key].since != begins[key]
        }
        fits = compare(self._tx, others)
        refused = {}
        for key, (org_, _) in orgs.items():
            fit = fits.get(key, Fit())
            found = self._change(key, org_, begins[key] if begins[key] >= fit.until else None, fit)
            if isinstance(found, CalendarChanged):
                refused[key] = found
        return refused

    def write(self, me: Holder) -> None:
        """Write the new calendars, and delete failed slices of windows that no longer exist.

        An org that another process has leased is left out: this one confirms the calendar when it has the lease.
        """
        new = {key: gone for key, gone in self._new.items() if self._current[key].holder in (None, me.holder_id)}
        if new:
            rows = {key: self._current[key] for key in new}
            later = delete(calendar).where(calendar.c.org == _OF, calendar.c.since >= _FROM)
            self._tx.execute(later, [{"of": key, "from": row.since} for key, row in rows.items()])
            self._tx.execute(insert(calendar), [_values(key, row) for key, row in rows.items()])
        if gone := [{"of": key, "from": start, "until": end} for key, all_ in new.items() for start, end in all_]:
            one = (slice_.c.org == _OF, slice_.c.start == _FROM, slice_.c.end == _UNTIL)
            self._tx.execute(delete(slice_).where(*one, ~COVERED), gone)

    def _change(self, key: int, org_: Org, begins: int | None, fit: Fit) -> datetime | CalendarChanged | None:
        row = self._current[key]
        if begins is None:
            return CalendarChanged(
                zone=row.zone, granularity=row.granularity, rules=row.rules, covered_until=instant_of(fit.until)
            )
        if not row.is_of(org_) or row.since != begins:
            self._current[key] = replace(_changed(row, org_), since=begins)
            self._new[key] = [(start, end) for start, end in fit.gone if end > begins]
        return None if begins == BEGINNING else instant_of(begins)


def _begins(rows: Sequence[_Row], org_: Org, until: int) -> int | None:
    """Return the earliest instant from which the org's calendar may hold; other windows are covered until `until`.

    That is where its `since` is, or where a calendar has begun before: but only on a boundary of its own. Else it
    would leave out time that nobody has been told of.
    """
    if until == BEGINNING:
        return BEGINNING
    own = Calendar(org_.zone, org_.granularity)
    begun = [
        row.since for row in rows if row.since >= until and own.floor(instant_of(row.since)) == instant_of(row.since)
    ]
    return min((at for at in (*begun, _cut_over(org_)) if at >= until), default=None)


def _cut_over(org_: Org) -> int:
    """Return the first window boundary from the org's `since` on; BEGINNING if it has no `since`."""
    if org_.since is None:
        return BEGINNING
    return micros(Calendar(org_.zone, org_.granularity).ceil(start_of_date(org_.since, org_.zone)))


def _content(zone: str, rules: str) -> str:
    """Return what identifies the content of a zone's rules; an offset is its own."""
    return rules.rsplit(maxsplit=1)[-1] if rules else zone


def _changed(row: _Row, org_: Org) -> _Row:
    return replace(row, zone=org_.zone.name, granularity=org_.granularity.value, rules=org_.zone.rules)


def _values(key: int, row: _Row) -> dict[str, object]:
    return {
        "org": key,
        "since": row.since,
        "zone": row.zone,
        "granularity": row.granularity,
        "rules": row.rules,
    }
