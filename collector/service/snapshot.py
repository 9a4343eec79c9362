"""The ledger as operators see it, kept up to date: read anew where something happened or fell due.

For one thread at a time, with a ledger handle of its own. Each call reads only the orgs that it
is given, in one transaction, so that its caller decides how long anything may take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime, timedelta

from collector.app.coverage import Grids
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.ledger import SqlLedger
from collector.ledger.history import Asked, Digest
from collector.ledger.views import Organization
from collector.model import Granularity, Org
from collector.service.org_view import Calendar, org_view
from collector.service.view import OrgView

READ_ANEW = timedelta(hours=1)  # whatever happens: other processes may write to the same ledger
LOCATE_ANEW = timedelta(minutes=1)
LOCATE_UNKNOWN_ANEW = timedelta(seconds=1)
Key = tuple[str, Granularity]  # of a calendar
Position = tuple[datetime, date]  # of a calendar: what is due of it, and its day


class Snapshots:
    """What is kept between two looks: the calendars, and digests of what is old and doesn't change."""

    def __init__(self, config: LoadedConfig, scope: Scope = EVERYTHING) -> None:
        self._scope = scope
        self._grids = Grids()
        self._digests: dict[int, Digest] = {}
        self._read: dict[str, tuple[datetime, Position]] = {}
        self._rows: dict[str, Organization] = {}
        self.adopt(config)

    def adopt(self, config: LoadedConfig) -> None:
        """Go on with another config: everything is to be read anew."""
        self._schedule = config.settings.schedule
        self._orgs = {org.name: org for org in self._scope.of(config.orgs)}
        self._names = [org.name for org in config.orgs]  # of other shards too: a renamed org is recognised
        self._read.clear()
        self._located_at: datetime | None = None

    @property
    def names(self) -> Set[str]:
        """The orgs that are shown."""
        return self._orgs.keys()

    def stale(self, now: datetime) -> list[str]:
        """Return the orgs that are to be read: never yet, no longer as due as they were, or not for long."""
        calendars = self._calendars(self._orgs.values(), now)
        stale = []
        for org in self._orgs.values():
            read = self._read.get(org.name)
            if read is None or read[1] != _position(calendars[_key(org)]) or now - read[0] >= READ_ANEW:
                stale.append(org.name)
        return stale

    def refresh(self, ledger: SqlLedger, names: Iterable[str], now: datetime) -> dict[str, OrgView]:
        """Return the orgs of those names as the ledger has them now. Raises LedgerError."""
        orgs = [self._orgs[name] for name in dict.fromkeys(names) if name in self._orgs]
        by_key = self._calendars(orgs, now)
        calendars = {org.name: by_key[_key(org)] for org in orgs}
        rows = self._locate(ledger, orgs, now)
        asked = {
            name: Asked(key=row.key, recent_from=calendars[name].recent_from, digest=self._digests.get(row.key))
            for name, row in rows.items()
        }
        histories = dict(zip(asked, ledger.histories(list(asked.values())), strict=True))
        for name, history in histories.items():
            self._digests[rows[name].key] = history.digest
        self._read |= {org.name: (now, _position(calendars[org.name])) for org in orgs}
        return {
            org.name: org_view(
                org,
                rows.get(org.name),
                histories.get(org.name),
                schedule=self._schedule,
                calendar=calendars[org.name],
            )
            for org in orgs
        }

    def _locate(self, ledger: SqlLedger, orgs: list[Org], now: datetime) -> dict[str, Organization]:
        """Return the rows of orgs. One look finds all of them, and holds for a while: longer for those identified."""
        age = now - self._located_at if self._located_at else None
        identified = all((row := self._rows.get(org.name)) and row.org_id for org in orgs)
        if age is None or age < timedelta(0) or age >= (LOCATE_ANEW if identified else LOCATE_UNKNOWN_ANEW):
            self._rows = dict(ledger.locate(list(self._orgs.values()), names=self._names))
            self._located_at = now
        return {org.name: self._rows[org.name] for org in orgs if org.name in self._rows}

    def _calendars(self, orgs: Iterable[Org], now: datetime) -> dict[Key, Calendar]:
        calendars: dict[Key, Calendar] = {}
        for org in orgs:
            if _key(org) not in calendars:
                calendars[_key(org)] = Calendar.of(org, self._grids.of(org), self._schedule, now)
        return calendars


def _key(org: Org) -> Key:
    return (org.zone.name, org.granularity)


def _position(calendar: Calendar) -> Position:
    return (calendar.due, calendar.last_day)


def in_order(views: Mapping[str, OrgView], config: LoadedConfig) -> dict[str, OrgView]:
    """Return those views that are of the config's orgs, in its order."""
    return {org.name: views[org.name] for org in config.orgs if org.name in views}
