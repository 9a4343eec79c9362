"""Find the row of the ledger that belongs to an org of the config.

An org is found by the organization that its config entry pins, else by its name, else by the user of its
credential. So after a rename in the config, no slice is fetched again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from collector.core.ledger_entries import CalendarChanged, CutOver, Holder, Standing
from collector.core.wanted import wanted_since
from collector.ledger.calendars import Calendars
from collector.ledger.codec import instant_of, micros
from collector.ledger.schema import alias, org
from collector.ledger.statements import insert_into
from collector.model import BasicCredential, Org, UnreadCredential, Window


@dataclass(frozen=True, slots=True)
class _Row:
    """An org's row."""

    key: int
    org_id: str | None
    name: str
    wanted_from: int


@dataclass(frozen=True, slots=True)
class _Alias:
    """A name that an org has or had, and the fingerprint of its credential's user at that time."""

    key: int
    fingerprint: str | None


def fingerprint(org_: Org) -> str | None:
    """Return a hash of the credential's user and base URL; None for a token, which has no user name."""
    match org_.credential:
        case BasicCredential(username=username) | UnreadCredential(username=str() as username):
            return hashlib.sha256(f"{org_.base_url}\0{username}".encode()).hexdigest()
        case _:
            return None


def register(
    tx: Connection,
    orgs: Sequence[Org],
    *,
    wanted_from: Mapping[str, datetime],
    names: Collection[str],
    me: Holder,
) -> dict[str, Standing | CalendarChanged]:
    """Find or create the row of each org (`Ledger.register`). `names` are the names of all orgs in the config."""
    registry = _Registry(tx, names)
    calendars = Calendars(tx)
    found = registry.find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars_since = calendars.resolve(entries)
    if refused := _refused(calendars_since):
        return dict(refused)  # nothing is written: the whole config is refused, and the last one still fits
    cuts = _cuts(calendars, entries, found, wanted_from)
    new = [org_ for org_ in orgs if org_.name not in found]
    created = _insert(tx, new, wanted_from)
    calendars.add_first({created[org_.name].key: org_ for org_ in new})
    calendars.write(me)
    standings: dict[str, Standing | CalendarChanged] = {}
    matched: list[tuple[Org, _Row]] = []
    for org_ in orgs:
        row = created.get(org_.name) or found[org_.name]
        since = calendars_since.get(org_.name)
        matched.append((org_, row))
        standings[org_.name] = Standing(
            key=row.key,
            org_id=row.org_id,
            wanted_from=wanted_since(org_, instant_of(row.wanted_from), first=wanted_from.get(org_.name)),
            calendar_since=None if isinstance(since, CalendarChanged) else since,
            cut_over=cuts.get(org_.name),
        )
    registry.write_names(matched)
    registry.write_wanted_from([(row, standings[org_.name]) for org_, row in matched])
    return standings


def identified(tx: Connection) -> dict[str, str]:
    """Return the organization id of each org by its current name, for all orgs that are identified."""
    query = select(org.c.name, org.c.org_id).where(org.c.org_id.is_not(None))
    return {row.name: row.org_id for row in tx.execute(query)}


def locate(tx: Connection, orgs: Sequence[Org], names: Collection[str]) -> dict[str, tuple[int, datetime | None]]:
    """Return the key of the row that the next run will find for each org, and when its calendar begins, by name.

    Where a run would refuse the calendar, it is when the one of the ledger began. Writes nothing.
    """
    found = _Registry(tx, names).find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars = Calendars(tx)
    resolved = calendars.resolve(entries)
    return {
        name: (key, calendars.begins(key) if isinstance(since := resolved[name], CalendarChanged) else since)
        for name, (key, _) in entries.items()
    }


def calendar_changes(
    tx: Connection, orgs: Sequence[Org], names: Collection[str]
) -> dict[str, CalendarChanged | CutOver]:
    """Return the orgs whose calendar `register` would refuse, else those with a new one that leaves time out."""
    found = _Registry(tx, names).find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars = Calendars(tx)
    refused = _refused(calendars.resolve(entries))
    return dict(refused) if refused else dict(_cuts(calendars, entries, found, {}))


def left_out(tx: Connection, key: int, org_: Org, span: Window) -> CutOver | None:
    """Return what isn't complete of a span because it is older than the org's present calendar."""
    return Calendars(tx, [key]).left_out(key, org_, [span])


def _cuts(
    calendars: Calendars,
    entries: Mapping[str, tuple[int, Org]],
    found: Mapping[str, _Row],
    wanted_from: Mapping[str, datetime],
) -> dict[str, CutOver]:
    cuts = {}
    for name, (key, org_) in entries.items():
        known = instant_of(found[name].wanted_from)
        wanted = wanted_since(org_, known, first=wanted_from.get(name))
        if cut := calendars.cut_over(key, org_, wanted_from=wanted, known=known):
            cuts[name] = cut
    return cuts


def _refused(resolved: Mapping[str, datetime | CalendarChanged | None]) -> dict[str, CalendarChanged]:
    return {name: changed for name, changed in resolved.items() if isinstance(changed, CalendarChanged)}


class _Registry:
    """All orgs and aliases of the ledger (few enough for memory), indexed by pin, name and user."""

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
        """Return the rows of the orgs that have one, by name. Each lookup runs for all orgs, the most certain first."""
        found: dict[str, _Row] = {}
        for look_up in (self._by_pin, self._by_name, self._by_user_renamed):
            for org_ in orgs:
                if org_.name not in found and (row := look_up(org_)) is not None:
                    found[org_.name] = row
                    # With the new name, no other org is found as a rename of this one.
                    self._rows[row.key] = replace(row, name=org_.name)
        return found

    def write_names(self, matched: Sequence[tuple[Org, _Row]]) -> None:
        """Write the current name of each row, and the aliases."""
        names, renamed = [], []
        for org_, row in matched:
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

    def write_wanted_from(self, matched: Sequence[tuple[_Row, Standing | CalendarChanged]]) -> None:
        """Move `wanted_from` of each row back to what the org's standing says, where that is earlier."""
        earlier = [
            {"key": row.key, "from": wanted_from}
            for row, standing in matched
            if isinstance(standing, Standing) and (wanted_from := micros(standing.wanted_from)) < row.wanted_from
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
        # The row's org was renamed, and its new name is in the config too. So the old name now belongs to another
        # org, unless the user is the same.
        given_away = row.name != org_.name and row.name in self._names
        same_user = known.fingerprint is not None and known.fingerprint == fingerprint(org_)
        return None if given_away and not same_user else _unless_another(row, org_)

    def _by_user_renamed(self, org_: Org) -> _Row | None:
        user = fingerprint(org_)
        rows = [self._rows[key] for key in self._by_user.get(user, ())] if user is not None else []
        renamed = [row for row in rows if row.name not in self._names]
        return _unless_another(renamed[0], org_) if len(renamed) == 1 else None


def _unless_another(row: _Row, org_: Org) -> _Row | None:
    """Return the row, or None if it belongs to another organization than the one that the config pins."""
    return None if org_.org_id is not None and row.org_id not in (None, org_.org_id) else row


def _insert(tx: Connection, orgs: Sequence[Org], wanted_from: Mapping[str, datetime]) -> dict[str, _Row]:
    if not orgs:
        return {}
    values = [{"name": org_.name, "wanted_from": micros(wanted_from[org_.name])} for org_ in orgs]
    statement = insert(org).returning(org.c.id, org.c.name, org.c.wanted_from)
    return {row.name: _Row(row.id, None, row.name, row.wanted_from) for row in tx.execute(statement, values)}
