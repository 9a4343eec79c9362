"""The orgs that the config no longer has, until a person says that this is meant.

Several configs may share a ledger, and paths don't tell them apart: two containers may have the same one. So a config
is recognised by its orgs. Each row of `org` has the token of the config that had it last. A config is the one of the
token that most of its orgs have, if that is half of them, or half of all orgs with that token. Orgs with that token
that it hasn't are removed. Orgs that are removed already don't count: where a config is split in two, the second half
becomes a config of its own.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from collector.core.ledger_entries import RemovedOrg
from collector.ledger import changes
from collector.ledger.codec import instant_of, micros
from collector.ledger.org_rows import OrgRows
from collector.ledger.schema import alias, org
from collector.ledger.statements import batches
from collector.model import Org

_REMOVED = select(org).where(org.c.removed_at.is_not(None), org.c.forgotten_at.is_(None)).order_by(org.c.name)
_CONFIGS = (
    select(org.c.config, func.count())
    .join(alias, alias.c.org == org.c.id)
    .where(alias.c.name.in_(bindparam("names", expanding=True)), org.c.config.is_not(None), org.c.removed_at.is_(None))
    .group_by(org.c.config)
)
_SIZES = (
    select(org.c.config, func.count())
    .where(org.c.config.is_not(None), org.c.removed_at.is_(None))
    .group_by(org.c.config)
)
_WRITE = (
    update(org)
    .where(org.c.id == bindparam("key"))
    .values(config=bindparam("of"), removed_at=bindparam("removed"), forgotten_at=bindparam("forgotten"))
)
_FORGET = update(org).where(org.c.id == bindparam("key")).values(forgotten_at=bindparam("at"))


def note(tx: Connection, orgs: Sequence[Org], now: datetime) -> list[RemovedOrg]:
    """Note which orgs a config has; return those that it no longer has. `orgs` are all of it."""
    rows = tx.execute(select(org)).all()
    present = {row.key for row in OrgRows(tx, [one.name for one in orgs]).find(orgs).values()}
    counted = [row for row in rows if row.config is not None and row.removed_at is None]
    sizes = Counter(row.config for row in counted)
    known = Counter(row.config for row in counted if row.id in present)
    token = _token(known, sizes, orgs=len(orgs)) or secrets.token_hex(8)
    writes = []
    for row in rows:
        if row.id in present:
            after: tuple[str, int | None, int | None] = (token, None, None)
        elif row.config == token:
            after = (token, row.removed_at or micros(now), row.forgotten_at)
        else:
            continue
        if after != (row.config, row.removed_at, row.forgotten_at):
            writes.append(dict(zip(("key", "of", "removed", "forgotten"), (row.id, *after), strict=True)))
    if writes:
        tx.execute(_WRITE, writes)
    return _removed(tx, token)


def removed(tx: Connection, names: Collection[str]) -> list[RemovedOrg]:
    """Return the orgs that the last run of a config found removed; `names` are all of the config's."""
    if tx.execute(_REMOVED.limit(1)).first() is None:  # as a rule; a service looks often
        return []
    return _removed(tx, _token_of(tx, names))


def gone(tx: Connection, names: Collection[str], present: Collection[int]) -> set[int]:
    """Return the keys of the orgs that a config had and has no more, also of those that are forgotten.

    `names` are all of the config's, `present` the keys of its orgs.
    """
    token = _token_of(tx, names)
    if token is None:
        return set()
    return set(tx.scalars(select(org.c.id).where(org.c.config == token))) - {*present}


def _token_of(tx: Connection, names: Collection[str]) -> str | None:
    known: Counter[str] = Counter()
    for batch in batches(names):
        known.update(dict(tx.execute(_CONFIGS, {"names": batch}).all()))
    return _token(known, dict(tx.execute(_SIZES).all()), orgs=len(names))


def forget(tx: Connection, keys: Collection[int], now: datetime) -> None:
    """Note that a person means it: these orgs are removed."""
    if keys:
        tx.execute(_FORGET, [{"key": key, "at": micros(now)} for key in keys])
        changes.note(tx, keys)


def _removed(tx: Connection, token: str | None) -> list[RemovedOrg]:
    return [_of(row) for row in tx.execute(_REMOVED) if token is not None and row.config == token]


def _of(row: Any) -> RemovedOrg:
    return RemovedOrg(
        key=row.id,
        name=row.name,
        org_id=None if row.org_name is None else row.org_id,
        org_name=row.org_name,
        since=instant_of(row.removed_at),
    )


def _token(known: Mapping[str, int], sizes: Mapping[str, int], *, orgs: int) -> str | None:
    """Return the token of a config with so many orgs, of which some are `known`; None for one that is new."""
    most = min(known, key=lambda token: (-known[token], token), default=None)
    return most if most is not None and known[most] * 2 >= min(orgs, sizes[most]) else None
