"""Register orgs of the config: find the row that belongs to each (`org_rows`), or create it.

After a rename in the config, no slice is fetched again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from collector.core.identities import user_fingerprint
from collector.core.ledger_entries import CalendarChanged, CutOver, EarlierCalendar, Holder, Standing
from collector.core.wanted import wanted_since
from collector.ledger import refusals
from collector.ledger.calendars import Calendars
from collector.ledger.codec import instant_of, micros
from collector.ledger.identity import merge
from collector.ledger.org_rows import Alias, OrgRows, Row
from collector.ledger.schema import CONFIRMED, alias, org
from collector.ledger.statements import insert_into
from collector.model import Org, Window


def register(
    tx: Connection,
    orgs: Sequence[Org],
    *,
    wanted_from: Mapping[str, datetime],
    names: Collection[str] | None,
    me: Holder,
) -> dict[str, Standing | CalendarChanged]:
    """Find or create the row of each org (`Ledger.register`). `names` are the names of all orgs in the config."""
    rows = OrgRows(tx, {org_.name for org_ in orgs} | set(names or ()))
    calendars = Calendars(tx)
    found = rows.find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars_since = calendars.resolve(entries)
    refused = _refused(calendars_since)  # nothing is written of these
    cuts = _cuts(calendars, _without(entries, refused), found, wanted_from)
    for second, (into, name) in rows.merged.items():
        if name not in refused:
            merge(tx, second, into, name)
    new = [org_ for org_ in orgs if org_.name not in found]
    created = _insert(tx, new, wanted_from)
    calendars.add_first({created[org_.name].key: org_ for org_ in reversed(new)})
    calendars.write(me)
    standings: dict[str, Standing | CalendarChanged] = {}
    matched: list[tuple[Org, Row]] = []
    for org_ in orgs:
        row = created.get(org_.name) or found[org_.name]
        since = calendars_since.get(org_.name)
        changed = since if isinstance(since, CalendarChanged) else None
        standing = Standing(
            key=row.key,
            org_id=row.org_id if row.confirmed else None,
            wanted_from=wanted_since(org_, instant_of(row.wanted_from), first=wanted_from.get(org_.name)),
            calendar_since=None if isinstance(since, CalendarChanged) else since,
            cut_over=cuts.get(org_.name),
            org_name=row.org_name,
        )
        if changed is None:
            matched.append((org_, row))
            standings[org_.name] = standing
        else:
            standings[org_.name] = replace(changed, standing=standing)
    keys = {name: row.key for name, row in {**found, **created}.items()}
    _write_names(tx, rows, matched, keys, whole=names is not None)
    _write_pins(tx, rows, matched)
    _write_wanted_from(tx, [(row, standings[org_.name]) for org_, row in matched])
    return standings


def identified(tx: Connection) -> dict[str, str]:
    """Return the organization id of each org by its current name, for all orgs that are identified."""
    query = select(org.c.name, org.c.org_id).where(CONFIRMED)
    return {row.name: row.org_id for row in tx.execute(query)}


def locate(
    tx: Connection, orgs: Sequence[Org], names: Collection[str]
) -> dict[str, tuple[int, datetime | None, CalendarChanged | None]]:
    """Return the key of the row that the next run will find for each org, and when its calendar begins, by name.

    Where a run will refuse the calendar, it is when the one of the ledger began; then why is returned, too. Writes
    nothing.
    """
    found = OrgRows(tx, names).find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars = Calendars(tx)
    resolved = calendars.resolve(entries)
    located: dict[str, tuple[int, datetime | None, CalendarChanged | None]] = {}
    for name, (key, _) in entries.items():
        since = resolved[name]
        if isinstance(since, CalendarChanged):
            located[name] = (key, calendars.begins(key), since)
        else:
            located[name] = (key, since, None)
    return located


def calendar_changes(
    tx: Connection, orgs: Sequence[Org], names: Collection[str]
) -> dict[str, CalendarChanged | CutOver]:
    """Return the orgs whose calendar `register` will refuse, and those with a new one that leaves time out."""
    found = OrgRows(tx, names).find(orgs)
    entries = {org_.name: (found[org_.name].key, org_) for org_ in orgs if org_.name in found}
    calendars = Calendars(tx)
    refused = _refused(calendars.resolve(entries))
    return {**refused, **_cuts(calendars, _without(entries, refused), found, {})}


def earlier_calendars(tx: Connection, key: int) -> list[EarlierCalendar]:
    """Return the calendars that an org had before its present one, oldest first."""
    return Calendars(tx, [key]).earlier(key)


def left_out(tx: Connection, key: int, org_: Org, span: Window) -> CutOver | None:
    """Return what isn't complete of a span because it is older than the org's present calendar."""
    return Calendars(tx, [key]).left_out(key, org_, [span])


def _cuts(
    calendars: Calendars,
    entries: Mapping[str, tuple[int, Org]],
    found: Mapping[str, Row],
    wanted_from: Mapping[str, datetime],
) -> dict[str, CutOver]:
    cuts = {}
    for name, (key, org_) in entries.items():
        known = instant_of(found[name].wanted_from)
        wanted = wanted_since(org_, known, first=wanted_from.get(name))
        if cut := calendars.cut_over(key, org_, wanted_from=wanted, known=known):
            cuts[name] = cut
    return cuts


def _without(entries: Mapping[str, tuple[int, Org]], refused: Collection[str]) -> dict[str, tuple[int, Org]]:
    return {name: entry for name, entry in entries.items() if name not in refused}


def _refused(resolved: Mapping[str, datetime | CalendarChanged | None]) -> dict[str, CalendarChanged]:
    return {name: changed for name, changed in resolved.items() if isinstance(changed, CalendarChanged)}


def _write_pins(tx: Connection, rows: OrgRows, matched: Sequence[tuple[Org, Row]]) -> None:
    """Write which organization each row is expected to be of, where neither an answer nor a file has shown it."""
    pins = {
        row.key: org_.org_id
        for org_, row in matched
        if not row.confirmed and row.org_id != org_.org_id and rows.may_expect(row, org_.org_id)
    }
    if pins:
        changed = update(org).where(org.c.id == bindparam("key")).values(org_id=bindparam("pin"))
        tx.execute(changed, [{"key": key, "pin": pin} for key, pin in pins.items()])


def _write_names(
    tx: Connection, rows: OrgRows, matched: Sequence[tuple[Org, Row]], keys: Mapping[str, int], *, whole: bool
) -> None:
    """Write the current name of each row, and the aliases. A refusal goes with its org, not with the name.

    `keys` are those of all orgs, by name. `whole`: the names of the whole config are known. Then any other is an old
    one.
    """
    names, renamed, given_away = [], [], []
    moved: dict[str, str] = {}
    for org_, row in matched:
        now_known = Alias(row.key, user_fingerprint(org_))
        before = rows.aliases.get(org_.name)
        if before is not None and before.key != row.key:
            given_away.append(org_.name)
        if before != now_known:
            names.append({"name": org_.name, "org": now_known.key, "fingerprint": now_known.fingerprint})
        if row.name != org_.name:
            renamed.append({"key": row.key, "to": org_.name})
            old = rows.aliases.get(row.name)
            free = row.name not in rows.names or keys.get(row.name, row.key) != row.key
            if whole and free and old is not None and old.key == row.key:
                moved[row.name] = org_.name
    if names:
        statement = insert_into(alias, tx)
        new = statement.excluded
        same = [alias.c.name]
        statement = statement.on_conflict_do_update(
            index_elements=same, set_={"org": new.org, "fingerprint": new.fingerprint}
        )
        tx.execute(statement, names)
    refusals.move(tx, moved, given_away)
    if renamed:
        tx.execute(update(org).where(org.c.id == bindparam("key")).values(name=bindparam("to")), renamed)


def _write_wanted_from(tx: Connection, matched: Sequence[tuple[Row, Standing | CalendarChanged]]) -> None:
    """Move `wanted_from` of each row back to what the org's standing says, where that is earlier."""
    earlier = [
        {"key": row.key, "from": wanted_from}
        for row, standing in matched
        if isinstance(standing, Standing) and (wanted_from := micros(standing.wanted_from)) < row.wanted_from
    ]
    if earlier:
        changed = update(org).where(org.c.id == bindparam("key")).values(wanted_from=bindparam("from"))
        tx.execute(changed, earlier)


def _insert(tx: Connection, orgs: Sequence[Org], wanted_from: Mapping[str, datetime]) -> dict[str, Row]:
    """Make a row for each org; one for all that pin the same organization."""
    if not orgs:
        return {}
    alike: dict[str, list[Org]] = {}
    for org_ in orgs:
        alike.setdefault(f"name {org_.name}" if org_.org_id is None else f"pin {org_.org_id}", []).append(org_)
    values = [
        {
            "name": some[0].name,
            "org_id": some[0].org_id,
            "wanted_from": min(micros(wanted_from[org_.name]) for org_ in some),
        }
        for some in alike.values()
    ]
    statement = insert(org).returning(org.c.id, org.c.org_id, org.c.name, org.c.wanted_from)
    rows = {row.name: Row(*row) for row in tx.execute(statement, values)}
    return {org_.name: rows[some[0].name] for some in alike.values() for org_ in some}
