"""Which row of the ledger an org of the config is.

An org is found again by the organization that its entry pins, by its name, or by its credential's
user: renaming it in the config asks no slice again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from collector.core.ledger_entries import CalendarChanged, Standing
from collector.core.wanted import wanted_since
from collector.ledger.calendars import Calendars
from collector.ledger.codec import instant_of, micros
from collector.ledger.schema import alias, org
from collector.ledger.statements import insert_into
from collector.model import BasicCredential, Org


@dataclass(frozen=True, slots=True)
class _Row:
    """An org as the ledger has it."""

    key: int
    org_id: str | None
    name: str
    wanted_from: int


@dataclass(frozen=True, slots=True)
class _Alias:
    """A name that an org has or had, and the user that it then was."""

    key: int
    fingerprint: str | None


def fingerprint(org_: Org) -> str | None:
    """Return what tells a credential's user from others; None for a token, which has no name."""
    match org_.credential:
        case BasicCredential(username=username):
            return hashlib.sha256(f"{org_.base_url}\0{username}".encode()).hexdigest()
        case _:
            return None


def register(
    tx: Connection,
    orgs: Sequence[Org],
    *,
    wanted_from: Mapping[str, datetime],
    names: Collection[str],
) -> dict[str, Standing | CalendarChanged]:
    """Find or make the row of each org (`Ledger.register`); `names` are all that the config has."""
    registry = _Registry(tx, names)
    calendars = Calendars(tx)
    found = registry.find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    refused = {name: one for name, one in Calendars(tx).look(entries).items() if isinstance(one, CalendarChanged)}
    if refused:
        return dict(refused)  # the config is refused whole, so that the one before still fits
    new = [org_ for org_ in orgs if org_.name not in found]
    made = _insert(tx, new, wanted_from)
    calendars.begin({made[org_.name].key: org_ for org_ in new})
    settled = calendars.settle(entries)
    standings: dict[str, Standing | CalendarChanged] = {}
    kept: list[tuple[Org, _Row]] = []
    for org_ in orgs:
        row = made.get(org_.name) or found[org_.name]
        since = settled.get(org_.name)
        kept.append((org_, row))
        standings[org_.name] = Standing(
            key=row.key,
            org_id=row.org_id,
            wanted_from=wanted_since(org_, instant_of(row.wanted_from)),
            calendar_since=None if isinstance(since, CalendarChanged) else since,
        )
    registry.name(kept)
    registry.want(kept)
    return standings


def identified(tx: Connection) -> dict[str, str]:
    """Return the organization behind each name that a row is now known by, where an answer told it."""
    told = select(org.c.name, org.c.org_id).where(org.c.org_id.is_not(None))
    return {row.name: row.org_id for row in tx.execute(told)}


def locate(tx: Connection, orgs: Sequence[Org], names: Collection[str]) -> dict[str, int]:
    """Return the key of the row that the next run will find for each org, by name; writes nothing."""
    return {name: row.key for name, row in _Registry(tx, names).find(orgs).items()}


def overlaps(tx: Connection, orgs: Sequence[Org], names: Collection[str]) -> dict[str, CalendarChanged]:
    """Return the orgs whose calendar `register` would refuse, by name; writes nothing."""
    found = _Registry(tx, names).find(orgs)
    looked = Calendars(tx).look({org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found})
    return {name: changed for name, changed in looked.items() if isinstance(changed, CalendarChanged)}


class _Registry:
    """All orgs and aliases of the ledger, which are few, by what they are found by."""

    def __init__(self, tx: Connection, names: Collection[str]) -> None:
        self._tx = tx
        self._names = set(names)
        rows = tx.execute(select(org.c.id, org.c.org_id, org.c.name, org.c.wanted_from))
        self._rows = {row.id: _Row(*row) for row in rows}
        self._by_org_id = {row.org_id: row for row in self._rows.values() if row.org_id is not None}
        self._aliases = {row.name: _Alias(row.org, row.fingerprint) for row in tx.execute(select(alias))}
        self._by_user: dict[str, set[int]] = {}
        for known in self._aliases.values():
            if known.fingerprint is not None:
                self._by_user.setdefault(known.fingerprint, set()).add(known.key)

    def find(self, orgs: Sequence[Org]) -> dict[str, _Row]:
        """Return the rows of those that have one, by name; the surest way first, for all of them."""
        found: dict[str, _Row] = {}
        for way in (self._by_pin, self._by_name, self._by_user_renamed):
            for org_ in orgs:
                if org_.name not in found and (row := way(org_)) is not None:
                    found[org_.name] = row
                    self._rows[row.key] = replace(row, name=org_.name)  # no other is a renamed one of this now
        return found

    def name(self, kept: Sequence[tuple[Org, _Row]]) -> None:
        """Write the names by which the rows are now known."""
        names, renamed = [], []
        for org_, row in kept:
            now_known = _Alias(row.key, fingerprint(org_))
            if self._aliases.get(org_.name) != now_known:
                names.append({"name": org_.name, "org": now_known.key, "fingerprint": now_known.fingerprint})
            if row.name != org_.name:
                renamed.append({"key": row.key, "to": org_.name})
        if names:
            statement = insert_into(alias, self._tx)
            new = statement.excluded
            same = [alias.c.name]
            statement = statement.on_conflict_do_update(
                index_elements=same, set_={"org": new.org, "fingerprint": new.fingerprint}
            )
            self._tx.execute(statement, names)
        if renamed:
            self._tx.execute(update(org).where(org.c.id == bindparam("key")).values(name=bindparam("to")), renamed)

    def want(self, kept: Sequence[tuple[Org, _Row]]) -> None:
        """Write from when orgs are wanted whose `since` is earlier than what was known."""
        earlier = [
            {"key": row.key, "from": wanted_from}
            for org_, row in kept
            if (wanted_from := micros(wanted_since(org_, instant_of(row.wanted_from)))) < row.wanted_from
        ]
        if earlier:
            changed = update(org).where(org.c.id == bindparam("key")).values(wanted_from=bindparam("from"))
            self._tx.execute(changed, earlier)

    def _by_pin(self, org_: Org) -> _Row | None:
        return None if org_.org_id is None else self._by_org_id.get(org_.org_id)

    def _by_name(self, org_: Org) -> _Row | None:
        known = self._aliases.get(org_.name)
        if known is None:
            return None
        row = self._rows[known.key]
        # A name that the org of the row had once: another has it now, unless it's the same user.
        given_away = row.name != org_.name and row.name in self._names
        same_user = known.fingerprint is not None and known.fingerprint == fingerprint(org_)
        return None if given_away and not same_user else _unless_another(row, org_)

    def _by_user_renamed(self, org_: Org) -> _Row | None:
        user = fingerprint(org_)
        rows = [self._rows[key] for key in self._by_user.get(user, ())] if user is not None else []
        renamed = [row for row in rows if row.name not in self._names]
        return _unless_another(renamed[0], org_) if len(renamed) == 1 else None


def _unless_another(row: _Row, org_: Org) -> _Row | None:
    """Return the row, unless it is of another organization than the one that the config pins."""
    return None if org_.org_id is not None and row.org_id not in (None, org_.org_id) else row


def _insert(tx: Connection, orgs: Sequence[Org], wanted_from: Mapping[str, datetime]) -> dict[str, _Row]:
    if not orgs:
        return {}
    values = [{"name": org_.name, "wanted_from": micros(wanted_from[org_.name])} for org_ in orgs]
    statement = insert(org).returning(org.c.id, org.c.name, org.c.wanted_from)
    return {row.name: _Row(row.id, None, row.name, row.wanted_from) for row in tx.execute(statement, values)}
